"""Momentum refreshment: `reference` is the definition, `cpu` Numba's and `gpu` Triton's."""

import numpy as np
import torch
from torch import Tensor

from nishimori_kernels.blocks import Buffer
from nishimori_kernels.dispatch import Implementation, chosen_for
from nishimori_kernels.refresh import cpu, reference
from nishimori_kernels.rng.address import Address, check_elements


def fill_normals_(buffer: Buffer, address: Address, implementation: Implementation = "auto") -> None:
    """Standard normals in every element: the numbers of `rng.fill_normals`, an element being the place in a row.

    Raises ValueError for an address of other rows, and as `dispatch.chosen_for`.
    """
    _require_rows(buffer, address)
    name, blocks = chosen_for(implementation, buffer), buffer.blocks
    if name == "torch":
        return reference.fill_normals_(buffer, address)
    if name == "triton":
        from nishimori_kernels.refresh import gpu

        return gpu.fill_normals_(buffer, address)
    cpu.fill_normals(buffer.array, *address, blocks.pieces, blocks.rows)


def refresh_(buffer: Buffer, address: Address, implementation: Implementation = "auto") -> Tensor:
    """The same, and the sum of squares of each row, [instances, chains], float64: `overlap.row_dot` of the buffer."""
    _require_rows(buffer, address)
    name, blocks = chosen_for(implementation, buffer), buffer.blocks
    if name == "torch":
        return reference.refresh_(buffer, address)
    if name == "triton":
        from nishimori_kernels.refresh import gpu

        return gpu.refresh_(buffer, address)
    squares = np.empty((blocks.instances, blocks.chains))
    cpu.refresh(buffer.array, *address, blocks.pieces, blocks.rows, squares.reshape(-1))
    return torch.from_numpy(squares)


def _require_rows(buffer: Buffer, address: Address) -> None:
    blocks = buffer.blocks
    check_elements(0, sum(blocks.sizes))
    rows = len(address.tags), len(address.chains)
    if rows != (blocks.instances, blocks.chains):
        raise ValueError(
            f"an address of {rows[0]} instances and {rows[1]} chains is given for a buffer of {blocks.instances} and "
            f"{blocks.chains}; give an address of its rows"
        )
