"""exp, tanh and erf of float32 numbers, as straight-line arithmetic that LLVM vectorises inside a Numba loop.

Each is a polynomial near zero and an exponential far from it, both evaluated and one selected (`coefficients.py`); the
errors are below 2 units in the last place (tests/kernels/test_elementary.py looks at them all). Multiply-adds may be
fused: values can differ by a unit between processors, and from a run with NUMBA_DISABLE_JIT=1. NaN stays NaN.

exp(x)  = 2^m exp(f), m = round(x / ln 2), |f| <= ln 2 / 2;   exp(f) = 1 + f + f^2 P(f)
tanh(x) = x + x^3 P(x^2) where |x| < 0.625, else 1 - 2 / (exp(2 |x|) + 1) with the sign of x
erf(x)  = x + x P(x^2) where |x| < 0.9, else 1 - exp(Q(|x|)) with the sign of x, Q a fit of log erfc on [0.9, 4]
"""

import math

import numpy as np
from numba import njit

from nishimori_kernels.energy.coefficients import ERF, EXP, LOG_ERFC, TANH

STRAIGHT = {"nogil": True, "cache": True, "error_model": "numpy", "fastmath": {"contract"}}
"""How the functions here, and the loops around them, are compiled: division is the hardware's, multiply-adds fuse."""

_LOG2_E, _LN2_HIGH, _LN2_LOW = np.float32(1.4426950408889634), np.float32(0.693359375), np.float32(-2.12194440e-4)
_ROUND = np.float32(1.5 * 2**23)
"""Added and taken away again, it rounds to a whole number."""
_LARGEST = np.float32(88.0)
_E0, _E1, _E2, _E3, _E4 = map(np.float32, EXP)
_T0, _T1, _T2, _T3, _T4 = map(np.float32, TANH)
_S0, _S1, _S2, _S3, _S4, _S5, _S6 = map(np.float32, ERF)
_L0, _L1, _L2, _L3, _L4, _L5, _L6 = map(np.float32, LOG_ERFC)
_ONE, _TWO = np.float32(1), np.float32(2)
_TANH_SPLIT, _TANH_FLAT = np.float32(0.625), np.float32(10)
_ERF_SPLIT, _ERF_FLAT = np.float32(0.9), np.float32(4)
_TWO_OVER_ROOT_PI = np.float32(2 / math.sqrt(math.pi))


@njit(**STRAIGHT)
def exp(x):
    """e^x for -87 <= x <= 88."""
    shifted = x * _LOG2_E + _ROUND
    whole = shifted - _ROUND
    f = (x - whole * _LN2_HIGH) - whole * _LN2_LOW
    p = (((_E0 * f + _E1) * f + _E2) * f + _E3) * f + _E4
    power = np.int32((np.int32(whole) + 127) << 23).view(np.float32)
    return (p * f * f + f + _ONE) * power


@njit(**STRAIGHT)
def tanh(x):
    size, square = abs(x), x * x
    near = x + x * square * ((((_T0 * square + _T1) * square + _T2) * square + _T3) * square + _T4)
    far = math.copysign(_ONE - _TWO / (exp(min(size, _TANH_FLAT) * _TWO) + _ONE), x)
    return near if size < _TANH_SPLIT else far


@njit(**STRAIGHT)
def erf(x):
    size, square = abs(x), x * x
    p = (((((_S0 * square + _S1) * square + _S2) * square + _S3) * square + _S4) * square + _S5) * square + _S6
    near = x + x * p
    t = min(size, _ERF_FLAT)
    q = (((((_L0 * t + _L1) * t + _L2) * t + _L3) * t + _L4) * t + _L5) * t + _L6
    far = math.copysign(_ONE - exp(q), x)
    return near if size < _ERF_SPLIT else far


@njit(**STRAIGHT)
def erf_derivative(x):
    """2 exp(-x^2) / sqrt(pi); what lies below 1e-38 is not told from 1e-38."""
    square = x * x
    return _TWO_OVER_ROOT_PI * exp(-min(square, _LARGEST - _ONE)) if square == square else x
