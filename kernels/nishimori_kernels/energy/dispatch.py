"""Which implementation of an activation runs: the compiled one for float32 on the CPU, else torch."""

from typing import Literal

import torch

from nishimori_kernels.energy.activations import TORCH_ACTIVATIONS, ActivationKernel

Implementation = Literal["auto", "numba", "torch"]


def activation_kernel(
    name: str, device: torch.device, dtype: torch.dtype, implementation: Implementation = "auto"
) -> ActivationKernel:
    """The kernel of a named activation. "auto" takes Numba's where there is one for this device and dtype.

    Raises ValueError for "numba" where there is none, and for an implementation that is not known.
    """
    if implementation not in ("auto", "numba", "torch"):
        raise ValueError(f"implementation {implementation!r} is not known; use auto, numba or torch")
    compiled = _compiled(name, device, dtype) if implementation != "torch" else None
    if compiled is None and implementation == "numba":
        raise ValueError(f"activation {name!r} has no numba kernel for {dtype} on {device.type}; use torch")
    return compiled or TORCH_ACTIVATIONS[name]


def _compiled(name: str, device: torch.device, dtype: torch.dtype) -> ActivationKernel | None:
    if device.type != "cpu" or dtype != torch.float32:
        return None
    from nishimori_kernels.energy.cpu import COMPILED_ACTIVATIONS

    return COMPILED_ACTIVATIONS.get(name)
