"""The nonlinear part of tanh(2x), of unit variance: an activation without Hermite components of order 0, 1 and 2.

    phi(x) = (tanh(2x) - rho x) / sqrt(eps),   rho = E 2 sech(2Z)^2,   eps = E tanh(2Z)^2 - rho^2,   Z ~ N(0, 1)

Its even components vanish as it is odd. A committee of such units learns nothing from n ~ d samples (arXiv 2510.24616).
"""

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

from nishimori.description.quadrature import normal_rule

Array = NDArray[np.float64]


@cache
def linear_part() -> tuple[float, float]:
    """rho and sqrt(eps), to round-off: the poles of tanh(2x) are pi / 4 from the real line, 12 spacings of the rule."""
    points, weights = normal_rule(1 / 16)
    values = np.tanh(2 * points)
    gain = float(weights @ (2 - 2 * values**2))
    return gain, math.sqrt(float(weights @ values**2) - gain**2)


def tanh2_nonlinear(x: Array) -> Array:
    """phi, elementwise."""
    gain, deviation = linear_part()
    return (np.tanh(2.0 * x) - gain * x) / deviation


def tanh2_nonlinear_derivative(x: Array) -> Array:
    """phi', elementwise."""
    gain, deviation = linear_part()
    return (2.0 * (1.0 - np.tanh(2.0 * x) ** 2) - gain) / deviation
