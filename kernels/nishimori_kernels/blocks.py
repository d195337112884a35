"""Flat buffers of several blocks, and how threads share them.

Block b holds one layer of all chains of all instances, contiguous [instances, chains, sizes[b]]; the blocks follow one
another. A row is one chain of one instance. Work is cut into pieces of at most `PIECE` elements, each of one row and
one block, wherever it is done: no result depends on how many threads or rows there are.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

Values = TypeVar("Values", NDArray[np.float64], Tensor)

FORMATS = (torch.float32, torch.float64)
PIECE = 8192
SMALL = 1 << 15
"""Up to this many elements one thread is faster than waking the others."""

EXACT = {"nogil": True, "cache": True, "error_model": "numpy"}
"""How loops over pieces are compiled: no fast-math flag, so every operation is rounded once, in the order written."""


@dataclass(frozen=True)
class Blocks:
    """A flat buffer of instances * chains * sum(sizes) elements."""

    instances: int
    chains: int
    sizes: tuple[int, ...]

    @cached_property
    def rows(self) -> int:
        return self.instances * self.chains

    @cached_property
    def elements(self) -> int:
        return self.rows * sum(self.sizes)

    @cached_property
    def pieces(self) -> NDArray[np.int64]:
        """`cut` at `PIECE`."""
        return self.cut(PIECE)

    def cut(self, largest: int) -> NDArray[np.int64]:
        """The pieces of one row, [pieces, 5]: block, elements of a row before the block, size of the block, and the
        range of the piece within the block."""
        starts = np.cumsum((0, *self.sizes))
        cut = [
            (block, starts[block], size, first, min(first + largest, size))
            for block, size in enumerate(self.sizes)
            for first in range(0, size, largest)
        ]
        return np.array(cut, np.int64).reshape(-1, 5)

    def spread(self, values: Values) -> Values:
        """`values`, a number, [instances], [instances, chains] or [blocks, instances, chains], any axis of length one
        instead: a view with the three axes of the last."""
        shape, count = tuple(values.shape), len(self.sizes)
        wide = (1, *shape, 1) if len(shape) == 1 else (1,) * (3 - len(shape)) + shape
        if len(wide) == 3 and wide[0] in (1, count) and wide[1] in (1, self.instances) and wide[2] in (1, self.chains):
            return values.reshape(wide)
        raise ValueError(
            f"values of shape {list(shape)} fit no {count} blocks of {self.instances} instances of "
            f"{self.chains} chains; give [instances], [instances, chains] or [blocks, instances, chains]"
        )


class Buffer:
    """A flat buffer with its blocks. `plain` says whether compiled kernels take it: contiguous, of one of `FORMATS`,
    and no gradients recorded. `array` is the memory of a plain buffer on the CPU.

    Raises ValueError for a tensor that the blocks do not fill.
    """

    __slots__ = ("_array", "blocks", "flat", "plain")

    def __init__(self, flat: Tensor, blocks: Blocks) -> None:
        if flat.numel() != blocks.elements:
            raise ValueError(
                f"a buffer has {flat.numel()} elements and its blocks {blocks.elements}; give one of "
                f"{blocks.instances} instances of {blocks.chains} chains of {sum(blocks.sizes)} elements"
            )
        self.flat, self.blocks = flat, blocks
        self.plain = flat.dtype in FORMATS and flat.is_contiguous() and not flat.requires_grad
        self._array: NDArray[Any] | None = None

    @property
    def array(self) -> NDArray[Any]:
        if self._array is None:
            self._array = self.flat.numpy()
        return self._array

    @property
    def parts(self) -> list[Tensor]:
        """Views [instances, chains, sizes[b]] of the blocks."""
        blocks = self.blocks
        parts = self.flat.split([blocks.rows * size for size in blocks.sizes])
        return [part.view(blocks.instances, blocks.chains, -1) for part in parts]


@njit(**EXACT)
def place(pieces, rows, task):
    """Row, block, and range in the buffer, of one of the rows * len(pieces) tasks; those of a row are neighbours."""
    row, piece = task // len(pieces), pieces[task % len(pieces)]
    base = rows * piece[1] + row * piece[2]
    return row, piece[0], base + piece[3], base + piece[4]


@njit(**EXACT)
def spread_value(values, chains, row, block):
    """Of what `Blocks.spread` gives, the value of a row in a block."""
    instance, chain = row // chains, row % chains
    return values[min(block, values.shape[0] - 1), min(instance, values.shape[1] - 1), min(chain, values.shape[2] - 1)]
