"""Inner products row by row on the CPU, by Numba."""

import numpy as np
from numba import njit, prange

from nishimori_kernels.blocks import EXACT, SMALL, place

LANES = 256
"""How many partial sums a piece has: product j is added to sum j mod LANES, and the sums are folded by halves. Written
out so, the order allows vector instructions without leave to reorder."""


@njit(**EXACT)
def _add_products(lanes, first, second):
    for j in range(first.size):
        lanes[j] += np.float64(first[j]) * np.float64(second[j])


@njit(**EXACT)
def dot(first, second):
    """The inner product of a piece, float64."""
    count = min(first.size, LANES)
    lanes = np.zeros(count, np.float64)
    # A strip is a slice: LLVM does not vectorise the same loop over the places strip + j.
    for strip in range(0, first.size, LANES):
        _add_products(lanes, first[strip : strip + LANES], second[strip : strip + LANES])
    half = LANES // 2
    while half > 0:
        for j in range(half, count):
            lanes[j - half] += lanes[j]
        count = min(count, half)
        half //= 2
    return lanes[0]


@njit(**EXACT)
def add_pieces(partial, out):
    """Sums [rows] of the pieces' sums [rows * pieces], in their order."""
    pieces = partial.size // out.size
    for row in range(out.size):
        total = 0.0
        for piece in range(row * pieces, (row + 1) * pieces):
            total += partial[piece]
        out[row] = total


@njit(**EXACT)
def _dot_of(first, second, pieces, rows, task):
    _, _, low, high = place(pieces, rows, task)
    return dot(first[low:high], second[low:high])


@njit(parallel=True, **EXACT)
def row_dot(first, second, pieces, rows, out):
    """first, second [elements], float32 or float64; out [rows], float64."""
    partial = np.empty(rows * len(pieces), np.float64)
    if first.size <= SMALL:
        for task in range(partial.size):
            partial[task] = _dot_of(first, second, pieces, rows, task)
    else:
        for task in prange(partial.size):
            partial[task] = _dot_of(first, second, pieces, rows, task)
    add_pieces(partial, out)
