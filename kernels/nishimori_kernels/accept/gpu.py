"""The Metropolis decision and its consequence in Triton."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from nishimori_kernels.blocks import Buffer
from nishimori_kernels.pieces import EXACT, LANES, launch, pieces_of, place

DECIDED = 128
"""Decisions a program."""


@triton.jit
def metropolis_kernel(
    energy_error, uniform, acceptance, accepted, divergent, divergence, count, DECIDED: tl.constexpr
):  # fmt: skip
    where = tl.program_id(0).to(tl.int64) * DECIDED + tl.arange(0, DECIDED)
    inside = where < count
    error = tl.load(energy_error + where, mask=inside, other=0.0)
    finite = error - error == 0.0
    safe = tl.where(finite, error, 0.0)
    probability = tl.where(finite, tl.exp(-tl.maximum(safe, 0.0)), 0.0)
    below = tl.log(tl.load(uniform + where, mask=inside, other=0.5)) < -safe
    tl.store(acceptance + where, probability, mask=inside)
    tl.store(accepted + where, finite & below, mask=inside)
    tl.store(divergent + where, (finite == 0) | (tl.abs(safe) > divergence), mask=inside)


@triton.jit
def restore_kernel(
    accepted, proposed, current, table, count, rows, ALIGNED: tl.constexpr, LANES: tl.constexpr
):  # fmt: skip
    _, row, _, _, start, size = place(table, count, rows, ALIGNED)
    lanes = tl.arange(0, LANES)
    inside = lanes < size
    if tl.load(accepted + row) == 0:
        tl.store(proposed + start + lanes, tl.load(current + start + lanes, mask=inside, other=0.0), mask=inside)


def metropolis(energy_error: Tensor, uniform: Tensor, divergence: float) -> tuple[Tensor, Tensor, Tensor]:
    """As `accept.metropolis`."""
    errors, numbers = energy_error.contiguous(), uniform.contiguous()
    acceptance = torch.empty_like(errors)
    accepted, divergent = (torch.empty_like(errors, dtype=torch.bool) for _ in range(2))
    made = acceptance, accepted.view(torch.int8), divergent.view(torch.int8)
    programs = triton.cdiv(errors.numel(), DECIDED)
    launch(metropolis_kernel, (programs,), EXACT, errors, numbers, *made, divergence, errors.numel(), DECIDED)
    return acceptance, accepted, divergent


def restore_(accepted: Tensor, proposed: Buffer, current: Buffer) -> None:
    """As `accept.restore_`."""
    blocks, pieces = proposed.blocks, pieces_of(proposed.blocks, proposed.flat.device)
    launch(
        restore_kernel, (pieces.tasks(blocks),), EXACT,
        accepted.contiguous().view(torch.int8), proposed.flat, current.flat,
        pieces.table, pieces.count, blocks.rows, pieces.aligned, LANES,
    )  # fmt: skip
