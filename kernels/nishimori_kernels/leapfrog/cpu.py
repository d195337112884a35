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
def _kick_drift(q, p, g, factors):
    kick, drift = factors
    for j in range(q.size):
        moved = p[j] - kick * g[j]
        p[j] = moved
        q[j] += drift * moved


@njit(**EXACT)
def _kick_rotate(q, p, g, time, turn):
    kick, (cosine, sine) = time[0], turn
    for j in range(q.size):
        old_q = q[j]
        old_p = (p[j] - kick * g[j]) + kick * old_q
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


@njit(**EXACT)
def _kick_drift_piece(position, momentum, gradient, kick, drift, chains, pieces, rows, task):
    row, block, low, high = place(pieces, rows, task)
    times = spread_value(kick, chains, row, block), spread_value(drift, chains, row, block)
    own = _rounded(times[0], times[1], position)
    _kick_drift(position[low:high], momentum[low:high], gradient[low:high], own)


@njit(**EXACT)
def _kick_rotate_piece(position, momentum, gradient, kick, angle, chains, pieces, rows, task):
    row, block, low, high = place(pieces, rows, task)
    time, own = spread_value(kick, chains, row, block), spread_value(angle, chains, row, block)
    turn = _rounded(np.cos(own), np.sin(own), position)
    arrays = position[low:high], momentum[low:high], gradient[low:high]
    _kick_rotate(arrays[0], arrays[1], arrays[2], _rounded(time, time, position), turn)


@njit(parallel=True, **EXACT)
def kick_drift(position, momentum, gradient, kick, drift, chains, pieces, rows):
    """position, momentum, gradient [elements]; kick, drift, float64, as `Blocks.spread` gives them."""
    tasks = rows * len(pieces)
    if position.size <= SMALL:
        for task in range(tasks):
            _kick_drift_piece(position, momentum, gradient, kick, drift, chains, pieces, rows, task)
    else:
        for task in prange(tasks):
            _kick_drift_piece(position, momentum, gradient, kick, drift, chains, pieces, rows, task)


@njit(parallel=True, **EXACT)
def kick_rotate(position, momentum, gradient, kick, angle, chains, pieces, rows):
    """position, momentum, gradient [elements]; kick, angle, float64, as `Blocks.spread` gives them."""
    tasks = rows * len(pieces)
    if position.size <= SMALL:
        for task in range(tasks):
            _kick_rotate_piece(position, momentum, gradient, kick, angle, chains, pieces, rows, task)
    else:
        for task in prange(tasks):
            _kick_rotate_piece(position, momentum, gradient, kick, angle, chains, pieces, rows, task)


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
