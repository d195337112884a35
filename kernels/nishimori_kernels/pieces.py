"""Flat buffers on a GPU, in Triton: how programs share the rows and blocks of `blocks.py`.

A program takes one piece of one row and one block. `PIECE` is four less than the `LANES` elements it holds in
registers, so that the quads of a random row fit wherever a piece begins. Launches fuse no multiply-add: what is written
is rounded once an operation, as in the references. With TRITON_INTERPRET=1 everything runs on CPU tensors, slowly.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from math import gcd
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from nishimori_kernels.blocks import Blocks, Buffer

LANES = 2048
PIECE = LANES - 4
ALIGNMENT = 4
"""Elements: where all blocks of all rows begin at multiples of it, loads and stores are 16 bytes wide."""
WARPS = 4
EXACT: dict[str, Any] = {"num_warps": WARPS, "enable_fp_fusion": False}


@dataclass(frozen=True, eq=False)
class Launch:
    """A kernel with what it is compiled and run with."""

    kernel: Any
    grid: tuple[int, ...]
    options: dict[str, Any]
    arguments: tuple[Any, ...]


_collected: ContextVar[list[Launch] | None] = ContextVar("collected launches", default=None)
_held: ContextVar[list[Tensor] | None] = ContextVar("held arguments", default=None)


def launch(kernel: Any, grid: tuple[int, ...], options: dict[str, Any], *arguments: object) -> None:
    """Run a kernel on a grid of programs."""
    collected, held = _collected.get(), _held.get()
    if held is not None:
        held.extend(argument for argument in arguments if isinstance(argument, Tensor))
    if collected is None:
        kernel[grid](*arguments, **options)
    else:
        collected.append(Launch(kernel, grid, options, arguments))


@contextmanager
def collected_launches() -> Iterator[list[Launch]]:
    """Nothing runs within: what would is listed, for a compiler that needs no GPU."""
    launches: list[Launch] = []
    token = _collected.set(launches)
    try:
        yield launches
    finally:
        _collected.reset(token)


@contextmanager
def held_arguments() -> Iterator[list[Tensor]]:
    """Tensors that kernels launched within are given. A graph that is recorded knows their addresses alone: who keeps
    the list keeps them in memory."""
    held: list[Tensor] = []
    token = _held.set(held)
    try:
        yield held
    finally:
        _held.reset(token)


@dataclass(frozen=True)
class Pieces:
    """The pieces of a row on a device: `table`, int64 [count, 5], as `Blocks.pieces` has it."""

    table: Tensor
    count: int
    aligned: bool

    def tasks(self, blocks: Blocks) -> int:
        return blocks.rows * self.count


@lru_cache(maxsize=256)
def pieces_of(blocks: Blocks, device: torch.device) -> Pieces:
    table = blocks.cut(PIECE)
    aligned = gcd(*blocks.sizes) % ALIGNMENT == 0
    return Pieces(torch.from_numpy(table).to(device), len(table), aligned)


def spread_factor(values: Tensor, buffer: Buffer) -> tuple[Tensor, int, int, int]:
    """What `Blocks.spread` takes, float64 on the buffer's device, and its strides by block, instance and chain (0 along
    an axis of length one)."""
    wide = buffer.blocks.spread(values).to(device=buffer.flat.device, dtype=torch.float64)
    strides = (0 if length == 1 else stride for length, stride in zip(wide.shape, wide.stride(), strict=True))
    return wide, *strides  # pyright: ignore[reportReturnType]


@triton.jit
def place(table, count, rows, ALIGNED: tl.constexpr):
    """Of this program: its number, row and block; of its piece: the first element in the row and in the buffer, and how
    many there are."""
    task = tl.program_id(0).to(tl.int64)
    row = task // count
    entry = table + 5 * (task % count)
    block, before, size = tl.load(entry), tl.load(entry + 1), tl.load(entry + 2)
    first, last = tl.load(entry + 3), tl.load(entry + 4)
    start, number = rows * before + row * size + first, last - first
    if ALIGNED:  # the compiler cannot know, and without it reads four bytes at a time
        start, number = tl.multiple_of(start, 4), tl.multiple_of(number, 4)
    return task, row, block, before + first, start, number


@triton.jit
def factor_of(factor, by_block, by_instance, by_chain, block, row, chains):
    """Of what `spread_factor` gives, the value of a row in a block, float64."""
    return tl.load(factor + block * by_block + (row // chains) * by_instance + (row % chains) * by_chain)
