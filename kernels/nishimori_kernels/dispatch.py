"""Which implementation of an operation runs: Numba's on the CPU, torch's elsewhere. Nothing falls back."""

from typing import Any, Literal

from numpy.typing import NDArray
from torch import Tensor

from nishimori_kernels.blocks import FORMATS, Buffer

Implementation = Literal["auto", "numba", "torch"]
IMPLEMENTATIONS = ("auto", "numba", "torch")


def is_compiled(implementation: Implementation, tensor: Tensor) -> bool:
    """Whether Numba's kernel is to run on `tensor`: for "numba", and for "auto" on the CPU.

    Raises ValueError for an implementation that is not known, and for "numba" off the CPU.
    """
    if implementation not in IMPLEMENTATIONS:
        raise ValueError(f"implementation {implementation!r} is not known; use one of {', '.join(IMPLEMENTATIONS)}")
    if implementation == "numba" and not tensor.is_cpu:
        raise ValueError(f"there is no numba kernel for {tensor.device.type} tensors; use torch")
    return implementation != "torch" and tensor.is_cpu


def arrays_of(implementation: Implementation, *buffers: Buffer) -> list[NDArray[Any]] | None:
    """The memory of the buffers for Numba's kernel, None where torch is to run.

    Raises ValueError as `is_compiled`, for buffers of different blocks or formats, and where Numba is to run and has no
    kernel for a buffer.
    """
    blocks, dtype = buffers[0].blocks, buffers[0].flat.dtype
    for buffer in buffers:
        if (buffer.blocks is not blocks and buffer.blocks != blocks) or buffer.flat.dtype is not dtype:
            raise ValueError(
                f"buffers of {blocks} in {dtype} and of {buffer.blocks} in {buffer.flat.dtype} are given together; "
                "give all of them the same blocks and format"
            )
    if not is_compiled(implementation, buffers[0].flat):
        return None
    return [_refuse(buffer) if buffer.array is None else buffer.array for buffer in buffers]


def _refuse(buffer: Buffer) -> NDArray[Any]:
    flat = buffer.flat
    if flat.dtype not in FORMATS:
        raise ValueError(f"there is no numba kernel for {flat.dtype}; use float32, float64 or implementation torch")
    if flat.requires_grad:
        raise ValueError("numba kernels record no gradients; give a detached tensor, or use torch")
    raise ValueError(f"numba kernels need contiguous buffers, got strides {flat.stride()}; give a contiguous copy")
