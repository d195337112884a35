"""Activations as in-place torch operations: the forward map and the multiplication by its derivative.

Every activation is phi(z) = base(input_scale * z); the scale is folded into the matrix product before it,
so `apply` and `multiply_derivative_` see u = input_scale * z and differentiate with respect to u.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class ActivationKernel:
    """One activation.

    `apply(u, out)` writes base(u) into `out`. `multiply_derivative_(delta, u, hidden)` multiplies `delta` by
    base'(u) in place and may destroy `u`. Where `from_output` holds, the derivative needs `hidden` alone
    and `u` may share its memory.
    """

    input_scale: float
    from_output: bool
    apply: Callable[[Tensor, Tensor], object]
    multiply_derivative_: Callable[[Tensor, Tensor, Tensor], object]


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


def _sin_derivative_(delta: Tensor, u: Tensor, hidden: Tensor) -> None:
    del hidden
    delta.mul_(u.cos_())


def _relu_derivative_(delta: Tensor, u: Tensor, hidden: Tensor) -> None:
    del u
    torch.ops.aten.threshold_backward.grad_input(delta, hidden, 0, grad_input=delta)


def _tanh(input_scale: float) -> ActivationKernel:
    return ActivationKernel(input_scale, True, lambda u, out: torch.tanh(u, out=out), _tanh_derivative_)


def _erf(input_scale: float) -> ActivationKernel:
    return ActivationKernel(input_scale, False, lambda u, out: torch.erf(u, out=out), _erf_derivative_)


ACTIVATION_KERNELS = {
    "identity": ActivationKernel(1.0, True, _copy, _unchanged),
    "tanh": _tanh(1.0),
    "tanh2": _tanh(2.0),
    "erf": _erf(1.0),
    "erf_sqrt2": _erf(1.0 / math.sqrt(2.0)),
    "sin": ActivationKernel(1.0, False, lambda u, out: torch.sin(u, out=out), _sin_derivative_),
    "relu": ActivationKernel(1.0, True, lambda u, out: torch.clamp(u, min=0, out=out), _relu_derivative_),
}


def torch_kernel(function: Callable[[Tensor], Tensor], derivative: Callable[[Tensor], Tensor]) -> ActivationKernel:
    """An activation of one's own: `function` and `derivative` map a tensor to a new one, on its device."""

    def apply(u: Tensor, out: Tensor) -> None:
        out.copy_(function(u))

    def multiply_derivative_(delta: Tensor, u: Tensor, hidden: Tensor) -> None:
        del hidden
        delta.mul_(derivative(u))

    return ActivationKernel(1.0, False, apply, multiply_derivative_)


def numpy_kernel(function: Callable[[Any], Any], derivative: Callable[[Any], Any]) -> ActivationKernel:
    """The same from functions of float64 arrays, for tensors on the CPU: exact, and slow beside the others."""
    return torch_kernel(_through_numpy(function), _through_numpy(derivative))


def _through_numpy(function: Callable[[Any], Any]) -> Callable[[Tensor], Tensor]:
    def on_tensor(u: Tensor) -> Tensor:
        values: NDArray[np.float64] = u.double().numpy()
        values.flags.writeable = False  # the pull-back needs it unchanged
        return torch.from_numpy(np.array(function(values), dtype=np.float64)).to(u.dtype)

    return on_tensor
