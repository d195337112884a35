"""Standard normals in every block of a buffer, and their sums of squares, on the CPU by Numba.

The bits of `rng.cpu`. A piece is summed while it is in the cache, in the order of `overlap.cpu`.
"""

import numpy as np
from numba import njit, prange

from nishimori_kernels.blocks import EXACT, SMALL, place
from nishimori_kernels.overlap.cpu import add_pieces, dot
from nishimori_kernels.rng.cpu import fill_row


@njit(**EXACT)
def _fill_piece(out, key_low, key_high, step, chains, tags, pieces, rows, task):
    """The range of `out` that was filled."""
    row, _, low, high = place(pieces, rows, task)
    piece = pieces[task % len(pieces)]
    chain, tag = chains[row % chains.size], tags[row // chains.size]
    fill_row(out[low:high], key_low, key_high, step, chain, tag, piece[1] + piece[3])
    return low, high


@njit(parallel=True, **EXACT)
def fill_normals(out, key_low, key_high, step, chains, tags, pieces, rows):
    """out [elements], float32 or float64; chains [chains] and tags [instances] of an `Address`."""
    tasks = rows * len(pieces)
    if out.size <= SMALL:
        for task in range(tasks):
            _fill_piece(out, key_low, key_high, step, chains, tags, pieces, rows, task)
    else:
        for task in prange(tasks):
            _fill_piece(out, key_low, key_high, step, chains, tags, pieces, rows, task)


@njit(parallel=True, **EXACT)
def refresh(out, key_low, key_high, step, chains, tags, pieces, rows, squares):
    """As `fill_normals`; squares [rows], float64."""
    partial = np.empty(rows * len(pieces), np.float64)
    if out.size <= SMALL:
        for task in range(partial.size):
            low, high = _fill_piece(out, key_low, key_high, step, chains, tags, pieces, rows, task)
            partial[task] = dot(out[low:high], out[low:high])
    else:
        for task in prange(partial.size):
            low, high = _fill_piece(out, key_low, key_high, step, chains, tags, pieces, rows, task)
            partial[task] = dot(out[low:high], out[low:high])
    add_pieces(partial, squares)
