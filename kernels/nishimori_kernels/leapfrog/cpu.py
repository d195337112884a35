"""Kick, drift and rotation on the CPU, by Numba."""

import numpy as np
from numba import njit, prange

from nishimori_kernels.blocks import EXACT, SMALL, place, spread_value


@njit(**EXACT)
def _add_scaled(values, step, factor):
    for j in range(values.size):
        values[j] += factor[0] * step[j]


@njit(**EXACT)
def _rotate(q, p, turn):
    cosine, sine = turn
    for j in range(q.size):
        old_q, old_p = q[j], p[j]
        q[j] = cosine * old_q + sine * old_p
        p[j] = cosine * old_p - sine * old_q


@njit(**EXACT)
def _rounded(first, second, like):
    """Two numbers in the format of an array."""
    pair = np.empty(2, like.dtype)
    pair[0], pair[1] = first, second
    return pair[0], pair[1]


@njit(**EXACT)
def _add_scaled_piece(buffer, direction, factor, chains, pieces, rows, task):
    row, block, low, high = place(pieces, rows, task)
    own = spread_value(factor, chains, row, block)
    _add_scaled(buffer[low:high], direction[low:high], _rounded(own, own, buffer))


@njit(**EXACT)
def _rotate_piece(position, momentum, angle, chains, pieces, rows, task):
    row, block, low, high = place(pieces, rows, task)
    own = spread_value(angle, chains, row, block)
    _rotate(position[low:high], momentum[low:high], _rounded(np.cos(own), np.sin(own), position))


@njit(parallel=True, **EXACT)
def add_scaled(buffer, direction, factor, chains, pieces, rows):
    """buffer, direction [elements]; factor, float64, as `Blocks.spread` gives it."""
    tasks = rows * len(pieces)
    if buffer.size <= SMALL:
        for task in range(tasks):
            _add_scaled_piece(buffer, direction, factor, chains, pieces, rows, task)
    else:
        for task in prange(tasks):
            _add_scaled_piece(buffer, direction, factor, chains, pieces, rows, task)


@njit(parallel=True, **EXACT)
def rotate(position, momentum, angle, chains, pieces, rows):
    """position, momentum [elements]; angle, float64, as `Blocks.spread` gives it."""
    tasks = rows * len(pieces)
    if position.size <= SMALL:
        for task in range(tasks):
            _rotate_piece(position, momentum, angle, chains, pieces, rows, task)
    else:
        for task in prange(tasks):
            _rotate_piece(position, momentum, angle, chains, pieces, rows, task)
