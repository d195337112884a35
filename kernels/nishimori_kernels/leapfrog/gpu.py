"""Kick, drift and rotation in Triton: the operations and the rounding of `reference`."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from nishimori_kernels.blocks import Buffer
from nishimori_kernels.pieces import EXACT, LANES, factor_of, launch, pieces_of, place, spread_factor


@triton.jit
def add_scaled_kernel(
    buffer, direction, factor, by_block, by_instance, by_chain, table, count, rows, chains,
    ALIGNED: tl.constexpr, LANES: tl.constexpr,
):  # fmt: skip
    _, row, block, _, start, size = place(table, count, rows, ALIGNED)
    lanes = tl.arange(0, LANES)
    inside = lanes < size
    own = factor_of(factor, by_block, by_instance, by_chain, block, row, chains)
    values = tl.load(buffer + start + lanes, mask=inside, other=0.0)
    step = tl.load(direction + start + lanes, mask=inside, other=0.0)
    tl.store(buffer + start + lanes, values + own.to(values.dtype) * step, mask=inside)


@triton.jit
def rotate_kernel(
    position, momentum, cosines, sines, by_block, by_instance, by_chain, table, count, rows, chains,
    ALIGNED: tl.constexpr, LANES: tl.constexpr,
):  # fmt: skip
    _, row, block, _, start, size = place(table, count, rows, ALIGNED)
    lanes = tl.arange(0, LANES)
    inside = lanes < size
    q = tl.load(position + start + lanes, mask=inside, other=0.0)
    p = tl.load(momentum + start + lanes, mask=inside, other=0.0)
    cosine = factor_of(cosines, by_block, by_instance, by_chain, block, row, chains).to(q.dtype)
    sine = factor_of(sines, by_block, by_instance, by_chain, block, row, chains).to(q.dtype)
    tl.store(position + start + lanes, cosine * q + sine * p, mask=inside)
    tl.store(momentum + start + lanes, cosine * p - sine * q, mask=inside)


@triton.jit
def kick_drift_kernel(
    position, momentum, gradient, kick, kick_block, kick_instance, kick_chain,
    drift, drift_block, drift_instance, drift_chain, table, count, rows, chains,
    ALIGNED: tl.constexpr, LANES: tl.constexpr,
):  # fmt: skip
    _, row, block, _, start, size = place(table, count, rows, ALIGNED)
    lanes = tl.arange(0, LANES)
    inside = lanes < size
    p = tl.load(momentum + start + lanes, mask=inside, other=0.0)
    g = tl.load(gradient + start + lanes, mask=inside, other=0.0)
    time = factor_of(kick, kick_block, kick_instance, kick_chain, block, row, chains).to(p.dtype)
    way = factor_of(drift, drift_block, drift_instance, drift_chain, block, row, chains).to(p.dtype)
    p = p - time * g
    q = tl.load(position + start + lanes, mask=inside, other=0.0) + way * p
    tl.store(momentum + start + lanes, p, mask=inside)
    tl.store(position + start + lanes, q, mask=inside)


@triton.jit
def kick_rotate_kernel(
    position, momentum, gradient, kick, kick_block, kick_instance, kick_chain,
    cosines, sines, by_block, by_instance, by_chain, table, count, rows, chains,
    ALIGNED: tl.constexpr, LANES: tl.constexpr,
):  # fmt: skip
    _, row, block, _, start, size = place(table, count, rows, ALIGNED)
    lanes = tl.arange(0, LANES)
    inside = lanes < size
    q = tl.load(position + start + lanes, mask=inside, other=0.0)
    p = tl.load(momentum + start + lanes, mask=inside, other=0.0)
    g = tl.load(gradient + start + lanes, mask=inside, other=0.0)
    time = factor_of(kick, kick_block, kick_instance, kick_chain, block, row, chains).to(q.dtype)
    cosine = factor_of(cosines, by_block, by_instance, by_chain, block, row, chains).to(q.dtype)
    sine = factor_of(sines, by_block, by_instance, by_chain, block, row, chains).to(q.dtype)
    p = p - time * g
    p = p + time * q
    tl.store(position + start + lanes, cosine * q + sine * p, mask=inside)
    tl.store(momentum + start + lanes, cosine * p - sine * q, mask=inside)


@triton.jit
def advanced(q, p, g, coefficients, own, between):
    """Position and momentum after the map of `advance.py`, whose coefficients of a row in a block are `between` apart,
    the first at `own`."""
    coefficients += own
    kick, prior_kick = tl.load(coefficients).to(q.dtype), tl.load(coefficients + between).to(q.dtype)
    stay, mix = tl.load(coefficients + 2 * between).to(q.dtype), tl.load(coefficients + 3 * between).to(q.dtype)
    turn = tl.load(coefficients + 4 * between).to(q.dtype)
    p = p - kick * g - prior_kick * q
    return stay * q + mix * p, stay * p - turn * q


@triton.jit
def advance_kernel(
    position, momentum, gradient, coefficients, rounded, gradient_scale, between, table, count, rows,
    ROUNDED: tl.constexpr, ALIGNED: tl.constexpr, LANES: tl.constexpr,
):  # fmt: skip
    _, row, block, _, start, size = place(table, count, rows, ALIGNED)
    lanes = tl.arange(0, LANES)
    inside = lanes < size
    q = tl.load(position + start + lanes, mask=inside, other=0.0)
    p = tl.load(momentum + start + lanes, mask=inside, other=0.0)
    g = gradient_scale * tl.load(gradient + start + lanes, mask=inside, other=0.0).to(q.dtype)
    q, p = advanced(q, p, g, coefficients, block * rows + row, between)
    tl.store(momentum + start + lanes, p, mask=inside)
    tl.store(position + start + lanes, q, mask=inside)
    if ROUNDED:
        tl.store(rounded + start + lanes, q.to(rounded.dtype.element_ty), mask=inside)


def add_scaled_(buffer: Buffer, direction: Buffer, factor: Tensor) -> None:
    """As `leapfrog.add_scaled_`."""
    blocks, pieces = buffer.blocks, pieces_of(buffer.blocks, buffer.flat.device)
    launch(
        add_scaled_kernel, (pieces.tasks(blocks),), EXACT,
        buffer.flat, direction.flat, *spread_factor(factor, buffer),
        pieces.table, pieces.count, blocks.rows, blocks.chains, pieces.aligned, LANES,
    )  # fmt: skip


def rotate_(position: Buffer, momentum: Buffer, angle: Tensor) -> None:
    """As `leapfrog.rotate_`."""
    blocks, pieces = position.blocks, pieces_of(position.blocks, position.flat.device)
    cosines, (sines, *strides) = spread_factor(torch.cos(angle), position)[0], spread_factor(torch.sin(angle), position)
    launch(
        rotate_kernel, (pieces.tasks(blocks),), EXACT,
        position.flat, momentum.flat, cosines, sines, *strides,
        pieces.table, pieces.count, blocks.rows, blocks.chains, pieces.aligned, LANES,
    )  # fmt: skip


def kick_drift_(position: Buffer, momentum: Buffer, gradient: Buffer, kick: Tensor, drift: Tensor) -> None:
    """As `leapfrog.kick_drift_`."""
    blocks, pieces = position.blocks, pieces_of(position.blocks, position.flat.device)
    launch(
        kick_drift_kernel, (pieces.tasks(blocks),), EXACT,
        position.flat, momentum.flat, gradient.flat, *spread_factor(kick, position), *spread_factor(drift, position),
        pieces.table, pieces.count, blocks.rows, blocks.chains, pieces.aligned, LANES,
    )  # fmt: skip


def kick_rotate_(position: Buffer, momentum: Buffer, gradient: Buffer, kick: Tensor, angle: Tensor) -> None:
    """As `leapfrog.kick_rotate_`."""
    blocks, pieces = position.blocks, pieces_of(position.blocks, position.flat.device)
    cosines, (sines, *strides) = spread_factor(torch.cos(angle), position)[0], spread_factor(torch.sin(angle), position)
    launch(
        kick_rotate_kernel, (pieces.tasks(blocks),), EXACT,
        position.flat, momentum.flat, gradient.flat, *spread_factor(kick, position), cosines, sines, *strides,
        pieces.table, pieces.count, blocks.rows, blocks.chains, pieces.aligned, LANES,
    )  # fmt: skip


def advance_(
    position: Buffer,
    momentum: Buffer,
    gradient: Tensor,
    coefficients: Tensor,
    gradient_scale: float,
    rounded: Tensor | None,
) -> None:
    """As `advance.advance_`."""
    blocks, pieces = position.blocks, pieces_of(position.blocks, position.flat.device)
    launch(
        advance_kernel, (pieces.tasks(blocks),), EXACT,
        position.flat, momentum.flat, gradient, coefficients, position.flat if rounded is None else rounded,
        gradient_scale, coefficients[0].numel(), pieces.table, pieces.count, blocks.rows,
        rounded is not None, pieces.aligned, LANES,
    )  # fmt: skip
