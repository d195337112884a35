"""E f(u) f(v) over all pairs of centred Gaussians, for any smooth f, by Mehler's series

    E f(u) f(v) = sum_j c_j(a) c_j(b) rho^j,    c_j(a) = E f(sqrt(a) Z) He_j(Z) / sqrt(j!),    rho = k / sqrt(a b),

with a and b the variances of u and v and k their covariance. The coefficients are sums over an equidistant rule, which
converge exponentially where f is analytic near the real line. As sum_j c_j(a)^2 = E f(sqrt(a) Z)^2, the terms left out
after J are at most |rho|^(J + 1) times the geometric mean of what is left of the two sums.
"""

from collections.abc import Callable
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from nishimori.description.quadrature import gaussian_average, hermite_products, normal_rule

Array = NDArray[np.float64]
TOLERANCE, RULE_TOLERANCE, MOST_TERMS = 1e-10, 1e-9, 2000
PARALLEL = 1 - 1e-13
"""|rho| from which on an average over one normal is taken: an input with itself, or with its negative."""


class NotResolved(ArithmeticError):
    """The series goes on after MOST_TERMS, or f is too steep for the rule, or has a kink."""


def pair_averages(function: Callable[[Array], Array], covariance: Array) -> Array:
    """[n, n] of h ~ N(0, `covariance` [n, n]), to TOLERANCE; raises NotResolved."""
    points, weights = normal_rule(1 / 128)
    deviations = np.sqrt(np.diagonal(covariance))
    scale = np.outer(deviations, deviations)
    correlation = np.clip(np.divide(covariance, scale, out=np.zeros_like(covariance), where=scale > 0), -1, 1)
    values = function(deviations[:, None] * points)
    _require_resolved(function, float(deviations.max()), points, weights)
    parallel = np.abs(correlation) > PARALLEL
    averages = _series(values, np.where(parallel, 0.0, correlation), points, weights)
    for row, column in zip(*np.nonzero(parallel), strict=True):
        other = values[column] if correlation[row, column] > 0 else values[column, ::-1]
        averages[row, column] = weights @ (values[row] * other)
    return averages


def _require_resolved(function: Callable[[Array], Array], deviation: float, points: Array, weights: Array) -> None:
    """Against an adaptive rule."""
    exact = gaussian_average(lambda z: function(deviation * z) ** 2)
    if not abs(float(weights @ function(deviation * points) ** 2) - exact) <= RULE_TOLERANCE * exact:
        raise NotResolved


def _series(values: Array, correlation: Array, points: Array, weights: Array) -> Array:
    """From f at the points, [n, points]."""
    left, power = values**2 @ weights, np.ones_like(correlation)
    total = np.zeros_like(correlation)
    for weighted in islice(hermite_products(points, weights), MOST_TERMS):
        coefficients = values @ weighted
        total += power * np.outer(coefficients, coefficients)
        left = left - coefficients**2
        power *= correlation
        rest = np.sqrt(np.clip(left, 0.0, None))
        if float((np.abs(power) * np.outer(rest, rest)).max()) < TOLERANCE:
            return total
    raise NotResolved
