"""The numbers of Philox4x32-10 and of the float32 logarithm, sine and cosine.

Every float is exactly a float32. They define the draws: a change of any of them changes every normal. A
compiled Numba cache does not see a change made here, so clear it with one.
"""

import math

import numpy as np


def _single(value: float) -> float:
    return float(np.float32(value))


# Salmon et al. (2011), section 3.3, and Random123's philox.h.
PHILOX_ROUNDS = 10
PHILOX_M0 = 0xD2511F53
PHILOX_M1 = 0xCD9E8D57
PHILOX_W0 = 0x9E3779B9
PHILOX_W1 = 0xBB67AE85

# Cephes logf (S. L. Moshier): log(1 + f) = f - f^2 / 2 + f^3 P(f) on [sqrt(1/2) - 1, sqrt(2) - 1].
LOG = tuple(
    _single(c)
    for c in (
        7.0376836292e-2,
        -1.1514610310e-1,
        1.1676998740e-1,
        -1.2420140846e-1,
        1.4249322787e-1,
        -1.6668057665e-1,
        2.0000714765e-1,
        -2.4999993993e-1,
        3.3333331174e-1,
    )
)

# Cephes sinf, cosf on [-pi/4, pi/4]: sin a = a + a^3 S(a^2), cos a = 1 - a^2 / 2 + a^4 C(a^2).
SIN = tuple(_single(c) for c in (-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1))
COS = tuple(_single(c) for c in (2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2))

TWO_LN_2 = _single(2 * math.log(2))
RADIANS = _single(2 * math.pi / 2**32)

# Float bits of 1 less those of sqrt(1/2): added to a float's bits, it rounds the exponent at sqrt(2).
ROUND_EXPONENT = 0x3F800000 - 0x3F3504F3
