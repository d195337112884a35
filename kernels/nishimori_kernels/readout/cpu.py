"""Gram matrices and small factorisations on the CPU, by Numba: a thread takes a matrix, or rows of one.

Symmetric matrices are given by their upper triangles, rows side by side, and factorised as U^T U.
"""

import numpy as np
from numba import njit, prange

from nishimori_kernels.blocks import EXACT

PANEL = 50
"""Rows, at least, that are multiplied at once by those from them on."""


@njit(**EXACT)
def _add(matrix, factor, products):
    for i in range(len(products)):
        row, more = matrix[i], products[i]
        for j in range(more.size):
            row[j] += factor * more[j]


@njit(**EXACT)
def _gram_panel(rows, turned, block, factor, low, high, out):
    terms, size = rows.shape if turned else rows.T.shape
    out[low:high] = 0
    products = np.empty((high - low, size - low), rows.dtype)
    for first in range(0, terms, block):
        last = min(first + block, terms)
        if turned:
            left = np.ascontiguousarray(rows[first:last, low:high])
            np.dot(left.T, np.ascontiguousarray(rows[first:last, low:]), products)
        else:
            left = np.ascontiguousarray(rows[low:high, first:last])
            np.dot(left, np.ascontiguousarray(rows[low:, first:last]).T, products)
        _add(out[low:high, low:size], factor, products)


@njit(**EXACT)
def _gram_panels(rows, turned, block, factor, out, begin, end):
    size = rows.shape[2] if turned else rows.shape[1]
    panels = max(1, size // PANEL)
    for task in range(begin, end):
        entry, panel = task // panels, task % panels
        low, high = panel * size // panels, (panel + 1) * size // panels
        _gram_panel(rows[entry], turned, block, factor, low, high, out[entry])


@njit(parallel=True, **EXACT)
def gram(rows, turned, block, factor, out, threads):
    """The upper triangle of factor R R^T in the first rows and columns of out [batch, ...], float64, for R = rows
    [batch, size, terms], or [batch, terms, size] where they are `turned`. Products of `block` terms are summed in the
    format of R. Beside and below the triangle, the first rows are not to be used."""
    size = rows.shape[2] if turned else rows.shape[1]
    tasks = len(out) * max(1, size // PANEL)
    if threads == 1:
        _gram_panels(rows, turned, block, factor, out, 0, tasks)
    else:
        for thread in prange(threads):
            begin, end = thread * tasks // threads, (thread + 1) * tasks // threads
            _gram_panels(rows, turned, block, factor, out, begin, end)


@njit(**EXACT)
def _divide(row, divisor):
    for j in range(row.size):
        row[j] /= divisor


@njit(**EXACT)
def _subtract(row, factor, other):
    for j in range(row.size):
        row[j] -= factor * other[j]


@njit(**EXACT)
def _factorise(matrix):
    """U over the upper triangle; whether there is one."""
    size = len(matrix)
    for k in range(size):
        pivot = matrix[k, k]
        if not pivot > 0:
            return False
        row = matrix[k, k:]
        _divide(row, np.sqrt(pivot))
        for i in range(k + 1, size):
            _subtract(matrix[i, i:], row[i - k], row[i - k :])
    return True


@njit(**EXACT)
def _invert_transposed(upper, out):
    """U^{-T}, lower triangular."""
    size = len(upper)
    out[:] = 0
    for k in range(size):
        row = out[k, : k + 1]
        row[k] += 1
        _divide(row, upper[k, k])
        for i in range(k + 1, size):
            _subtract(out[i, : k + 1], upper[k, i], row)


@njit(**EXACT)
def _factorise_some(matrices, shift, inverses, begin, end):
    for entry in range(begin, end):
        matrix, inverse = matrices[entry], inverses[entry]
        for i in range(len(matrix)):
            matrix[i, :i] = 0
            matrix[i, i] += shift
        if np.isfinite(matrix).all() and _factorise(matrix):
            _invert_transposed(matrix, inverse)
        else:
            matrix[:] = np.nan
            inverse[:] = np.nan


@njit(parallel=True, **EXACT)
def factorise(matrices, shift, inverses, threads):
    """U of matrices [batch, size, size] + shift I, over them, from their upper triangles, and U^{-T} in `inverses`;
    both are NaN where there is no U."""
    batch = len(matrices)
    if threads == 1:
        _factorise_some(matrices, shift, inverses, 0, batch)
    else:
        for thread in prange(threads):
            begin, end = thread * batch // threads, (thread + 1) * batch // threads
            _factorise_some(matrices, shift, inverses, begin, end)
