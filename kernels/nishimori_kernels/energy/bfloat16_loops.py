"""What stands between products of bfloat16 matrices: numbers are kept as 16 bits and computed in float32, by Numba.

A bfloat16 is the upper half of a float32; rounding is to nearest, ties to even. One thread does a chain from end
to end.
"""

import numpy as np
from numba import njit, prange

from nishimori_kernels.energy.cpu import ERF, RELU, SUMS, TANH
from nishimori_kernels.energy.elementary import STRAIGHT, erf, erf_derivative, tanh

_ZERO, _ONE = np.float32(0), np.float32(1)
_HALF_WAY, _BIT, _16 = np.uint32(0x7FFF), np.uint32(1), np.uint32(16)


@njit(**STRAIGHT)
def widened(bits):
    """The float32 of a bfloat16 given as uint16."""
    return np.uint32(np.uint32(bits) << _16).view(np.float32)


@njit(**STRAIGHT)
def rounded(value):
    """The bfloat16, as uint16, next to a float32."""
    bits = np.float32(value).view(np.uint32)
    return np.uint16((bits + _HALF_WAY + ((bits >> _16) & _BIT)) >> _16)


@njit(**STRAIGHT)
def _base(kind, scale, u, hidden):
    """hidden = base(scale * u)."""
    if kind == TANH:
        for j in range(u.size):
            hidden[j] = tanh(scale * widened(u[j]))
    elif kind == ERF:
        for j in range(u.size):
            hidden[j] = erf(scale * widened(u[j]))
    elif kind == RELU:
        for j in range(u.size):
            value = scale * widened(u[j])
            hidden[j] = _ZERO if value < _ZERO else value
    else:
        for j in range(u.size):
            hidden[j] = scale * widened(u[j])


@njit(**STRAIGHT)
def _slope(kind, scale, u, hidden, out):
    """out = base'(scale * u)."""
    if kind == TANH:
        for j in range(u.size):
            value = widened(hidden[j])
            out[j] = _ONE - value * value
    elif kind == ERF:
        for j in range(u.size):
            out[j] = erf_derivative(scale * widened(u[j]))
    elif kind == RELU:
        for j in range(u.size):
            value = widened(hidden[j])
            out[j] = _ONE if value > _ZERO else _ZERO * value
    else:
        out[:] = _ONE


@njit(**STRAIGHT)
def _round(values, bits):
    for j in range(values.size):
        bits[j] = rounded(values[j])


@njit(parallel=True, **STRAIGHT)
def activate(kind, scale, u, hidden):
    """hidden = base(scale * u); [chains, units, samples] as bits."""
    for chain in prange(len(u)):
        row = np.empty(u.shape[2], np.float32)
        for unit in range(u.shape[1]):
            _base(kind, scale, u[chain, unit], row)
            _round(row, hidden[chain, unit])


@njit(parallel=True, **STRAIGHT)
def read_out(kind, scale, u, hidden, readout_scale, readout, output):
    """hidden = base(scale * u), output = readout_scale * readout . hidden, of hidden before it is rounded."""
    for chain in prange(len(u)):
        row, total = np.empty(u.shape[2], np.float32), output[chain]
        total[:] = _ZERO
        for unit in range(u.shape[1]):
            weight = readout_scale * readout[chain, unit]
            _base(kind, scale, u[chain, unit], row)
            _round(row, hidden[chain, unit])
            for j in range(row.size):
                total[j] += weight * row[j]


@njit(**SUMS)
def _dot(a, bits):
    total = _ZERO
    for j in range(a.size):
        total += a[j] * widened(bits[j])
    return total


@njit(parallel=True, **STRAIGHT)
def pull_back_read_out(kind, scale, gradient, readout_scale, readout, u, hidden, delta, out, sampled):
    """delta = readout_scale * readout * gradient * base', and where the readout is `sampled` its own gradient,
    out = readout + readout_scale * hidden . gradient."""
    for chain in prange(len(u)):
        row, own = np.empty(u.shape[2], np.float32), gradient[chain]
        for unit in range(u.shape[1]):
            factor = readout_scale * readout[chain, unit]
            if sampled:
                out[chain, unit] = readout[chain, unit] + readout_scale * _dot(own, hidden[chain, unit])
            _slope(kind, scale, u[chain, unit], hidden[chain, unit], row)
            for j in range(row.size):
                row[j] *= factor * own[j]
            _round(row, delta[chain, unit])


@njit(parallel=True, **STRAIGHT)
def multiply_derivative_(kind, scale, factor, delta, u, hidden):
    """delta *= factor * base'(scale * u)."""
    for chain in prange(len(u)):
        row = np.empty(u.shape[2], np.float32)
        for unit in range(u.shape[1]):
            bits = delta[chain, unit]
            _slope(kind, scale, u[chain, unit], hidden[chain, unit], row)
            for j in range(row.size):
                row[j] *= factor * widened(bits[j])
            _round(row, bits)


@njit(parallel=True, **STRAIGHT)
def add(weights, factor, product, out):
    """out = weights + factor * product, of equally long rows; the product is bits."""
    for row in prange(len(weights)):
        own, sums, bits = weights[row], out[row], product[row]
        for j in range(own.size):
            sums[j] = own[j] + factor * widened(bits[j])
