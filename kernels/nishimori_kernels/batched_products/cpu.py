"""Batched products on the CPU, by Numba: SciPy's BLAS on one thread a product, or a panel of the rows of one.

A matrix that is `turned` is given by its transpose. All arrays are contiguous, of one format.
"""

import numpy as np
from numba import njit, prange

from nishimori_kernels.blocks import EXACT

PANEL = 100
"""Rows of a panel, at least. A product is cut by its own rows alone, whatever stands beside it."""
NOTHING, ANOTHER, ITSELF = range(3)
"""What is added to a product: nothing, another array than the one it is written to, or what stands there."""


@njit(**EXACT)
def _dot(first, first_turned, second, second_turned, low, high, out):
    """Rows low, ..., high - 1 of a product."""
    if first_turned:
        rows = first if high - low == first.shape[1] else np.ascontiguousarray(first[:, low:high])
        np.dot(rows.T, second, out)
    elif second_turned:
        np.dot(first[low:high], second.T, out)
    else:
        np.dot(first[low:high], second, out)


# LLVM vectorises a loop over two arrays only where it finds them apart: what may share memory is one argument.


@njit(**EXACT)
def _scale(out, alpha):
    for i in range(len(out)):
        row = out[i]
        for j in range(row.size):
            row[j] *= alpha


@njit(**EXACT)
def _scale_and_add(out, alpha, addend):
    for i in range(len(out)):
        row, added = out[i], addend[i]
        for j in range(row.size):
            row[j] = added[j] + alpha * row[j]


@njit(**EXACT)
def _add_scaled(out, alpha, product):
    for i in range(len(out)):
        row, more = out[i], product[i]
        for j in range(row.size):
            row[j] += alpha * more[j]


@njit(**EXACT)
def _panel(first, first_turned, second, second_turned, added, addend, alpha, low, high, out):
    """Rows low, ..., high - 1 of one entry."""
    own = out[low:high]
    if added == ITSELF:
        product = np.empty_like(own)
        _dot(first, first_turned, second, second_turned, low, high, product)
        _add_scaled(own, alpha, product)
        return
    _dot(first, first_turned, second, second_turned, low, high, own)
    if added == ANOTHER:
        _scale_and_add(own, alpha, addend[low:high])
    elif alpha != 1:
        _scale(own, alpha)


@njit(**EXACT)
def _panels(first, first_turned, second, second_turned, added, addend, alpha, out, begin, end):
    """Some of the panels of all entries."""
    rows, share, factor = out.shape[1], len(first) // len(second), first.dtype.type(alpha)
    panels = max(1, rows // PANEL)
    for task in range(begin, end):
        entry, panel = task // panels, task % panels
        low, high = panel * rows // panels, (panel + 1) * rows // panels
        operands = first[entry], first_turned, second[entry // share], second_turned
        _panel(*operands, added, addend[entry], factor, low, high, out[entry])


@njit(parallel=True, **EXACT)
def multiply(first, first_turned, second, second_turned, added, addend, alpha, out, threads):
    """first [batch, rows, inner] and second [batch / share, inner, columns], where they are not turned; addend and out
    [batch, rows, columns]."""
    tasks = len(out) * max(1, out.shape[1] // PANEL)
    if threads == 1:
        _panels(first, first_turned, second, second_turned, added, addend, alpha, out, 0, tasks)
    else:
        for thread in prange(threads):
            begin, end = thread * tasks // threads, (thread + 1) * tasks // threads
            _panels(first, first_turned, second, second_turned, added, addend, alpha, out, begin, end)
