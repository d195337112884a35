"""Which kernel computes an activation on a device: a registered one, or functions of the user's own."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from nishimori.description import ACTIVATIONS, Activation
from nishimori_kernels.energy import dispatch
from nishimori_kernels.energy.activations import TORCH_ACTIVATIONS, ActivationKernel, numpy_kernel, torch_kernel

NumpyFunction = Callable[[Any], Any]
TensorFunction = Callable[[torch.Tensor], torch.Tensor]

_PROBES = np.array([[-2.3, -0.4, 0.0], [0.3, 1.1, 4.2]])
_TOLERANCE = 1e-5


def activation_kernel(
    activation: Activation,
    device: torch.device,
    dtype: torch.dtype,
    implementation: dispatch.Implementation = "auto",
) -> ActivationKernel:
    """The kernel of a registered activation that `implementation` names, else one made of `torch_function` and
    `torch_derivative`, else one that copies through the CPU in float64.

    Raises ValueError for the last on another device, and for an implementation that there is not.
    """
    if _registered(activation):
        return dispatch.activation_kernel(activation.name, device, dtype, implementation)
    if implementation == "numba":
        raise ValueError(f"activation {activation.name!r} has no numba kernel: it is your own; use torch")
    if activation.torch_function is not None and activation.torch_derivative is not None:
        return torch_kernel(activation.torch_function, activation.torch_derivative)
    if device.type != "cpu":
        raise ValueError(
            f"activation {activation.name!r} has numpy functions alone and cannot run on {device.type}: give its "
            "torch_function and torch_derivative, or use device 'cpu'"
        )
    return numpy_kernel(activation.function, activation.derivative)


def torch_function(activation: Activation, device: torch.device) -> TensorFunction:
    """The activation alone, in float64, of tensors of any shape; what it is given it may write over."""
    kernel = activation_kernel(activation, device, torch.float64, "torch")

    def phi(values: torch.Tensor) -> torch.Tensor:
        out = torch.empty_like(values)
        kernel.apply(values.mul_(kernel.input_scale), out)
        return out

    return phi


def require_samplable(activation: Activation) -> None:
    """ValueError, with a sentence, unless a sampler may use the activation and its functions are what they say."""
    name = activation.name
    if not activation.samplable:
        raise ValueError(
            f"activation {name!r} cannot be sampled; use one of {', '.join(sorted(TORCH_ACTIVATIONS))}, "
            "or an Activation(function, derivative) with a derivative that is not zero"
        )
    if name in ACTIVATIONS and not _registered(activation):
        raise ValueError(f"this activation is not the {name!r} that has a sampling kernel; give it another name")
    if not _registered(activation):
        _require_elementwise(activation)


def _registered(activation: Activation) -> bool:
    return ACTIVATIONS.get(activation.name) == activation


def _require_elementwise(activation: Activation) -> None:
    pairs = {
        "function": (activation.function, activation.torch_function),
        "derivative": (activation.derivative, activation.torch_derivative),
    }
    require_elementwise(f"activation {activation.name!r}", pairs)


def require_elementwise(owner: str, pairs: Mapping[str, tuple[NumpyFunction, TensorFunction | None]]) -> None:
    """ValueError unless the numpy function of each pair maps one array to one of its shape, and the torch function does
    the same. `owner` is what the sentence calls their owner."""
    for name, (function, torch_function) in pairs.items():
        values = np.asarray(function(_PROBES.copy()))
        if values.shape != _PROBES.shape:
            raise ValueError(
                f"the {name} of {owner} maps an array of shape {_PROBES.shape} to {values.shape}: return one value an "
                "element"
            )
        if torch_function is None:
            continue
        given = torch_function(torch.tensor(_PROBES, dtype=torch.float64, device="cpu"))
        if given.shape != values.shape or not np.allclose(given.numpy(), values, _TOLERANCE, _TOLERANCE):
            raise ValueError(f"the torch_{name} of {owner} differs from its {name}: make them the same")
