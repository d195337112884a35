"""Inner products row by row in Triton: a partial sum a piece, then the pieces of a row; the same bits every time."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from nishimori_kernels.blocks import Blocks, Buffer
from nishimori_kernels.pieces import EXACT, LANES, Pieces, launch, pieces_of, place

SUMMED = 128
"""Partial sums taken at a time."""


@triton.jit
def partial_dot_kernel(
    first, second, partial, table, count, rows, ALIGNED: tl.constexpr, LANES: tl.constexpr
):  # fmt: skip
    task, _, _, _, start, size = place(table, count, rows, ALIGNED)
    lanes = tl.arange(0, LANES)
    inside = lanes < size
    a = tl.load(first + start + lanes, mask=inside, other=0.0).to(tl.float64)
    b = tl.load(second + start + lanes, mask=inside, other=0.0).to(tl.float64)
    tl.store(partial + task, tl.sum(a * b, axis=0))


@triton.jit
def sum_pieces_kernel(partial, out, count, SUMMED: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    lanes = tl.arange(0, SUMMED)
    total = tl.zeros((SUMMED,), tl.float64)
    for low in range(0, count, SUMMED):
        total += tl.load(partial + row * count + low + lanes, mask=low + lanes < count, other=0.0)
    tl.store(out + row, tl.sum(total, axis=0))


def partial_sums(blocks: Blocks, pieces: Pieces, device: torch.device) -> Tensor:
    """Room for a sum a piece."""
    return torch.empty(pieces.tasks(blocks), dtype=torch.float64, device=device)


def sum_pieces(partial: Tensor, blocks: Blocks, pieces: Pieces) -> Tensor:
    """[instances, chains] of the sums of the pieces."""
    out = torch.empty(blocks.instances, blocks.chains, dtype=torch.float64, device=partial.device)
    launch(sum_pieces_kernel, (blocks.rows,), EXACT, partial, out, pieces.count, SUMMED)
    return out


def row_dot(first: Buffer, second: Buffer) -> Tensor:
    """As `overlap.row_dot`."""
    blocks, pieces = first.blocks, pieces_of(first.blocks, first.flat.device)
    partial = partial_sums(blocks, pieces, first.flat.device)
    launch(
        partial_dot_kernel,
        (pieces.tasks(blocks),),
        EXACT,
        first.flat,
        second.flat,
        partial,
        pieces.table,
        pieces.count,
        blocks.rows,
        pieces.aligned,
        LANES,
    )
    return sum_pieces(partial, blocks, pieces)
