"""Activations in place, and fused with the readout above them: the interface, and its implementation by torch.

Every activation is phi(z) = base(input_scale * z); the scale is folded into the matrix product before it,
so that u = input_scale * z is what an implementation sees and differentiates by.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nishimori_kernels.batched_products import multiply
from nishimori_kernels.energy.coefficients import HALF_GAIN, NONLINEAR_SCALE


class ActivationKernel(Protocol):
    """One activation on one kind of device and number.

    Shapes: u, hidden, delta [instances, chains, width, samples]; readout [instances, chains, width]; output, gradient
    [instances, chains, samples]. Where `from_output` holds, derivatives need `hidden` alone and `u` may share its
    memory. Where `in_place` holds, `pull_back_read_out` may write `delta` over `u`.
    """

    @property
    def input_scale(self) -> float: ...

    @property
    def from_output(self) -> bool: ...

    @property
    def in_place(self) -> bool: ...

    def apply(self, u: Tensor, out: Tensor, /) -> object:
        """out = base(u)."""
        ...

    def multiply_derivative_(self, delta: Tensor, u: Tensor, hidden: Tensor, /) -> object:
        """delta *= base'(u); may destroy `u`."""
        ...

    def read_out(self, u: Tensor, hidden: Tensor, readout: Tensor, scale: float, output: Tensor) -> None:
        """hidden = base(u), output = scale * readout . hidden."""
        ...

    def pull_back_read_out(
        self,
        gradient: Tensor,
        readout: Tensor,
        scale: float,
        u: Tensor,
        hidden: Tensor,
        delta: Tensor,
        addend: Tensor | None,
        out: Tensor | None,
    ) -> None:
        """After `read_out`: delta = scale * readout * gradient * base'(u), and where there is an `out` [instances,
        chains, width] the readout's own out = addend + scale * hidden . gradient. May destroy `u`."""
        ...


Kernels = ActivationKernel | Sequence[ActivationKernel]
"""One of all hidden layers, or one each."""


def by_layer(kernels: Kernels, depth: int) -> tuple[ActivationKernel, ...]:
    """Of each of `depth` hidden layers; ValueError for another number of them."""
    if not isinstance(kernels, Sequence):
        return (kernels,) * depth
    if len(kernels) != depth:
        raise ValueError(f"{len(kernels)} activations for {depth} hidden layers; give one, or one a layer")
    return tuple(kernels)


def entries(values: Tensor) -> Tensor:
    """[instances, chains, rows, columns] as [batch, rows, columns], a view."""
    instances, chains, rows, columns = values.shape
    return values.view(instances * chains, rows, columns)


def row_entries(values: Tensor) -> Tensor:
    """[instances, chains, columns] as [batch, 1, columns], a view."""
    instances, chains, columns = values.shape
    return values.view(instances * chains, 1, columns)


@dataclass(frozen=True)
class TorchActivation:
    """Made of two torch operations, on any device: `apply(u, out)` and `multiply_derivative_(delta, u, hidden)`."""

    input_scale: float
    from_output: bool
    apply: Callable[[Tensor, Tensor], object]
    multiply_derivative_: Callable[[Tensor, Tensor, Tensor], object]
    in_place = False

    def read_out(self, u: Tensor, hidden: Tensor, readout: Tensor, scale: float, output: Tensor) -> None:
        self.apply(u, hidden)
        multiply(row_entries(readout), entries(hidden), out=row_entries(output), alpha=scale)

    def pull_back_read_out(
        self,
        gradient: Tensor,
        readout: Tensor,
        scale: float,
        u: Tensor,
        hidden: Tensor,
        delta: Tensor,
        addend: Tensor | None,
        out: Tensor | None,
    ) -> None:
        if addend is not None and out is not None:
            rows, added, written = (row_entries(values) for values in (gradient, addend, out))
            multiply(rows, entries(hidden).transpose(1, 2), out=written, addend=added, alpha=scale)
        torch.mul((readout * scale).unsqueeze(-1), gradient.unsqueeze(-2), out=delta)
        self.multiply_derivative_(delta, u, hidden)


def _copy(u: Tensor, out: Tensor) -> None:
    if out is not u:
        out.copy_(u)


def _unchanged(delta: Tensor, u: Tensor, hidden: Tensor) -> None:
    del delta, u, hidden


def _tanh_derivative_(delta: Tensor, u: Tensor, hidden: Tensor) -> None:
    del u
    torch.ops.aten.tanh_backward.grad_input(delta, hidden, grad_input=delta)


def _erf_derivative_(delta: Tensor, u: Tensor, hidden: Tensor) -> None:
    del hidden
    delta.mul_(u.square_().neg_().exp_().mul_(2.0 / math.sqrt(math.pi)))


def _nonlinear_part(u: Tensor, out: Tensor) -> None:
    torch.tanh(u, out=out)
    out.sub_(u, alpha=HALF_GAIN).mul_(NONLINEAR_SCALE)


def _nonlinear_part_derivative_(delta: Tensor, u: Tensor, hidden: Tensor) -> None:
    del hidden
    delta.mul_(u.tanh_().square_().neg_().add_(1.0 - HALF_GAIN).mul_(NONLINEAR_SCALE))


def _sin_derivative_(delta: Tensor, u: Tensor, hidden: Tensor) -> None:
    del hidden
    delta.mul_(u.cos_())


def _relu_derivative_(delta: Tensor, u: Tensor, hidden: Tensor) -> None:
    del u
    torch.ops.aten.threshold_backward.grad_input(delta, hidden, 0, grad_input=delta)


def _tanh(input_scale: float) -> TorchActivation:
    return TorchActivation(input_scale, True, lambda u, out: torch.tanh(u, out=out), _tanh_derivative_)


def _erf(input_scale: float) -> TorchActivation:
    return TorchActivation(input_scale, False, lambda u, out: torch.erf(u, out=out), _erf_derivative_)


TORCH_ACTIVATIONS = {
    "identity": TorchActivation(1.0, True, _copy, _unchanged),
    "tanh": _tanh(1.0),
    "tanh2": _tanh(2.0),
    "tanh2_nonlinear": TorchActivation(2.0, False, _nonlinear_part, _nonlinear_part_derivative_),
    "erf": _erf(1.0),
    "erf_sqrt2": _erf(1.0 / math.sqrt(2.0)),
    "sin": TorchActivation(1.0, False, lambda u, out: torch.sin(u, out=out), _sin_derivative_),
    "relu": TorchActivation(1.0, True, lambda u, out: torch.clamp(u, min=0, out=out), _relu_derivative_),
}


def torch_kernel(function: Callable[[Tensor], Tensor], derivative: Callable[[Tensor], Tensor]) -> TorchActivation:
    """An activation of one's own: `function` and `derivative` map a tensor to a new one, on its device.

    A chain is the same to the bit in any company if these round a number alike wherever it stands in memory, as torch's
    tanh, erf, exp and sin do, and its sigmoid, softplus, silu and gelu do not.
    """

    def apply(u: Tensor, out: Tensor) -> None:
        out.copy_(function(u))

    def multiply_derivative_(delta: Tensor, u: Tensor, hidden: Tensor) -> None:
        del hidden
        delta.mul_(derivative(u))

    return TorchActivation(1.0, False, apply, multiply_derivative_)


def numpy_kernel(function: Callable[[Any], Any], derivative: Callable[[Any], Any]) -> TorchActivation:
    """The same from functions of float64 arrays, for tensors on the CPU: exact, and slow beside the others."""
    return torch_kernel(through_numpy(function), through_numpy(derivative))


def through_numpy(function: Callable[[Any], Any]) -> Callable[[Tensor], Tensor]:
    """A function of float64 arrays as one of tensors on the CPU, by way of float64."""

    def on_tensor(u: Tensor) -> Tensor:
        values: NDArray[np.float64] = u.double().numpy()
        values.flags.writeable = False  # the pull-back needs it unchanged
        return torch.from_numpy(np.array(function(values), dtype=np.float64)).to(u.dtype)

    return on_tensor
