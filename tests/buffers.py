"""Buffers of several blocks at awkward sizes."""

import numba
import torch
from numba.core import config

from nishimori_kernels.blocks import PIECE, Blocks, Buffer

BLOCKS = [
    Blocks(1, 1, (1,)),
    Blocks(1, 1, (63, 100, 3)),
    Blocks(2, 3, (100, 63)),
    Blocks(7, 9, (1, 5)),
    Blocks(1, 100, (63,)),
]
LONG = Blocks(1, 2, (2 * PIECE + 63, 7))
"""Rows of several pieces, more than one thread takes for itself."""
FORMATS = [torch.float32, torch.float64]


def buffer(blocks: Blocks, dtype: torch.dtype, seed: int = 0) -> Buffer:
    generator = torch.Generator().manual_seed(seed)
    return Buffer(torch.randn(blocks.elements, generator=generator, dtype=dtype), blocks)


def copy(original: Buffer) -> Buffer:
    return Buffer(original.flat.clone(), original.blocks)


def poisoned(blocks: Blocks, dtype: torch.dtype) -> Buffer:
    return Buffer(torch.full((blocks.elements,), torch.nan, dtype=dtype), blocks)


def first_row(original: Buffer) -> Buffer:
    """The first row by itself."""
    blocks = Blocks(1, 1, original.blocks.sizes)
    return Buffer(torch.cat([part[0, 0] for part in original.parts]), blocks)


def by_threads(call):
    """The results of a call with one thread and with two."""
    before, results = numba.get_num_threads(), []
    try:
        for threads in (1, min(2, config.NUMBA_NUM_THREADS)):  # pyright: ignore[reportAttributeAccessIssue]
            numba.set_num_threads(threads)
            results.append(call())
    finally:
        numba.set_num_threads(before)
    return results
