"""The definition: standard normals by address in every block, and their sums of squares."""

from torch import Tensor

from nishimori_kernels.blocks import Buffer
from nishimori_kernels.overlap import reference
from nishimori_kernels.rng import torch_ops
from nishimori_kernels.rng.address import Address


def fill_normals_(buffer: Buffer, address: Address) -> None:
    """Element j of block b is element sizes[0] + ... + sizes[b - 1] + j of its row's address."""
    first = 0
    for values in buffer.parts:
        torch_ops.fill_normals(values, address, first)
        first += values.shape[-1]


def refresh_(buffer: Buffer, address: Address) -> Tensor:
    """The same, and the sum of squares of each row, [instances, chains], float64."""
    fill_normals_(buffer, address)
    return reference.row_dot(buffer, buffer)
