"""The Metropolis decision and its consequence on the CPU, by Numba."""

import math

from numba import njit, prange

from nishimori_kernels.blocks import EXACT, SMALL, place


@njit(**EXACT)
def metropolis(energy_error, uniform, acceptance, accepted, divergent, divergence):
    """energy_error, uniform and acceptance [rows], float64; accepted and divergent [rows], bool."""
    for row in range(energy_error.size):
        error = energy_error[row]
        acceptance[row], accepted[row], divergent[row] = 0.0, False, True
        if math.isfinite(error):
            acceptance[row] = math.exp(-max(error, 0.0))
            accepted[row] = math.log(uniform[row]) < -error
            divergent[row] = abs(error) > divergence


@njit(**EXACT)
def _restore_piece(accepted, proposed, current, pieces, rows, task):
    row, _, low, high = place(pieces, rows, task)
    if not accepted[row]:
        new, old = proposed[low:high], current[low:high]
        for j in range(new.size):
            new[j] = old[j]


@njit(parallel=True, **EXACT)
def restore(accepted, proposed, current, pieces, rows):
    """accepted [rows], bool; proposed, current [elements]."""
    tasks = rows * len(pieces)
    if proposed.size <= SMALL:
        for task in range(tasks):
            _restore_piece(accepted, proposed, current, pieces, rows, task)
    else:
        for task in prange(tasks):
            _restore_piece(accepted, proposed, current, pieces, rows, task)
