"""Which implementation of an operation runs: Numba's on the CPU, Triton's on CUDA, torch's elsewhere. Nothing falls
back."""

import os
from functools import cache
from typing import Any, Literal

import torch
from numpy.typing import NDArray
from torch import Tensor

from nishimori_kernels.blocks import FORMATS, Buffer

Compiled = Literal["numba", "triton"]
Chosen = Literal["numba", "triton", "torch"]
Implementation = Literal["auto", "numba", "triton", "torch"]
IMPLEMENTATIONS = ("auto", "numba", "triton", "torch")


@cache
def interpreted() -> bool:
    """Whether Triton's kernels run in its interpreter, on CPU tensors: asked of the environment once, as by Triton."""
    return os.environ.get("TRITON_INTERPRET") == "1"


def on_gpu(device: torch.device) -> bool:
    """Whether Triton's kernels are what runs there: on CUDA, and on whatever stands for it in the interpreter."""
    return device.type == "cuda" or interpreted()


def compiled(tensor: Tensor) -> bool:
    """Whether Numba's loops take such a tensor, where nothing else is asked for: float32 or float64, on the CPU."""
    return tensor.is_cpu and tensor.dtype in FORMATS and not interpreted()


def chosen(implementation: Implementation, tensor: Tensor) -> Chosen:
    """What is to run on `tensor`; "auto" takes the compiled kernel of its device.

    Raises ValueError for an implementation that is not known, and for a compiled one on another device.
    """
    if implementation not in IMPLEMENTATIONS:
        raise ValueError(f"implementation {implementation!r} is not known; use one of {', '.join(IMPLEMENTATIONS)}")
    if implementation == "auto":
        return "triton" if tensor.is_cuda or interpreted() else "numba" if tensor.is_cpu else "torch"
    runs = {"numba": tensor.is_cpu, "triton": on_gpu(tensor.device), "torch": True}
    if not runs[implementation]:
        raise ValueError(f"there is no {implementation} kernel for {tensor.device.type} tensors; use torch")
    return implementation


def chosen_for(implementation: Implementation, *buffers: Buffer) -> Chosen:
    """What is to run on buffers that go together.

    Raises ValueError as `chosen`, for buffers of different blocks or formats, and where a compiled kernel is to run and
    there is none for such a buffer.
    """
    blocks, dtype = buffers[0].blocks, buffers[0].flat.dtype
    for buffer in buffers:
        if (buffer.blocks is not blocks and buffer.blocks != blocks) or buffer.flat.dtype is not dtype:
            raise ValueError(
                f"buffers of {blocks} in {dtype} and of {buffer.blocks} in {buffer.flat.dtype} are given together; "
                "give all of them the same blocks and format"
            )
    name = chosen(implementation, buffers[0].flat)
    if name != "torch":
        for buffer in buffers:
            if not buffer.plain:
                _refuse(name, buffer.flat)
    return name


def arrays_of(*buffers: Buffer) -> list[NDArray[Any]]:
    """The memory of buffers for which Numba was chosen."""
    return [buffer.array for buffer in buffers]


def _refuse(name: Compiled, flat: Tensor) -> None:
    if flat.dtype not in FORMATS:
        raise ValueError(f"there is no {name} kernel for {flat.dtype}; use float32, float64 or implementation torch")
    if flat.requires_grad:
        raise ValueError(f"{name} kernels record no gradients; give a detached tensor, or use torch")
    raise ValueError(f"{name} kernels need contiguous buffers, got strides {flat.stride()}; give a contiguous copy")
