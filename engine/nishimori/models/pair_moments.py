"""E phi(u) phi(v) of two centred Gaussians: one layer of the kernel of an infinitely wide network.

u and v have variances a and b (variances, not standard deviations) and covariance k. Closed forms: the arcsine law for
erf (Williams 1998, Neural Comput. 10, 1203, eq. 11), sin by the characteristic function of a Gaussian, relu by the
arc-cosine kernel (Cho and Saul 2009, eqs. 3-6). Every other activation by Mehler's series,

    E phi(u) phi(v) = sum_j c_j(a) c_j(b) rho^j,    c_j(a) = E phi(sqrt(a) Z) He_j(Z) / sqrt(j!),    rho = k / sqrt(ab),

with c_j by the trapezium rule, which for an analytic integrand that decays at both ends converges exponentially in the
spacing. As sum_j c_j(a)^2 = E phi(sqrt(a) Z)^2, what is left out after J terms is at most |rho|^(J + 1) times the
geometric mean of what is left of the two sums: the series is followed until that bound is below 1e-10 for every pair.
Where |rho| = 1 up to rounding, as for an input with itself, the average over one normal is taken instead.
"""

import math
from collections.abc import Callable, Mapping
from itertools import islice
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nishimori.description import ACTIVATIONS, Activation
from nishimori.description.quadrature import hermite_products

PairMoment = Callable[[Tensor, Tensor, Tensor], Tensor]
"""From k, a and b, which broadcast against one another, float64."""

TOLERANCE, MOST_TERMS = 1e-10, 2000
REACH, SPACING = 13.0, 1 / 128
PARALLEL = 1 - 1e-13
"""Of the trapezium rule: the Gaussian weight at its ends is 1e-37, and He_2000 has eighteen points a
period."""


def pair_moment(activation: Activation, covariance: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """E phi(u) phi(v), [rows, columns], from k of that shape and variances [rows] and [columns], float64, on the CPU.

    Raises ValueError where a series does not converge: an activation of one's own with a kink or a jump.
    """
    a, b = left.unsqueeze(-1), right.unsqueeze(-2)
    if ACTIVATIONS.get(activation.name) == activation and activation.name in CLOSED_FORMS:
        return CLOSED_FORMS[activation.name](covariance, a, b)
    return _mehler(activation, covariance, left, right)


def second_moment(activation: Activation, variance: Tensor) -> Tensor:
    """E phi(u)^2 of every variance, in its shape."""
    if ACTIVATIONS.get(activation.name) == activation and activation.name in CLOSED_FORMS:
        return CLOSED_FORMS[activation.name](variance, variance, variance)
    return _averages(activation, variance)


def mean_slope(activation: Activation, variance: Tensor) -> Tensor:
    """E phi'(sqrt(variance) Z) of every variance, in its shape, by Stein's lemma E Z phi(sqrt(variance) Z) /
    sqrt(variance): a kink of phi at 0 is no matter. 0 where the variance is."""
    products = _values(activation, variance) @ torch.from_numpy(_density() * _points())
    return torch.where(variance > 0, products / variance.sqrt(), 0)


def _identity(k: Tensor, a: Tensor, b: Tensor) -> Tensor:
    del a, b
    return k


def _erf(k: Tensor, a: Tensor, b: Tensor) -> Tensor:
    sine = 2 * k / ((1 + 2 * a) * (1 + 2 * b)).sqrt()
    return 2 / math.pi * sine.clamp(-1, 1).asin()


def _erf_sqrt2(k: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return _erf(k / 2, a / 2, b / 2)


def _sin(k: Tensor, a: Tensor, b: Tensor) -> Tensor:
    middle = (a + b) / 2
    return ((k - middle).exp() - (-k - middle).exp()) / 2


def _relu(k: Tensor, a: Tensor, b: Tensor) -> Tensor:
    scale = (a * b).sqrt()
    cosine = torch.where(scale > 0, k / scale, 0).clamp(-1, 1)
    angle = cosine.acos()
    return scale * ((1 - cosine.square()).sqrt() + (math.pi - angle) * cosine) / (2 * math.pi)


CLOSED_FORMS: Mapping[str, PairMoment] = MappingProxyType(
    {"identity": _identity, "erf": _erf, "erf_sqrt2": _erf_sqrt2, "sin": _sin, "relu": _relu}
)


def _mehler(activation: Activation, covariance: Tensor, left: Tensor, right: Tensor) -> Tensor:
    correlation = _correlation(covariance, left, right)
    of_left, of_right = (_values(activation, variance) for variance in (left, right))
    parallel = correlation.abs() > PARALLEL
    moments = _series(activation, torch.where(parallel, 0, correlation), of_left, of_right)
    density = torch.from_numpy(_density())
    for row in parallel.any(1).nonzero().flatten().tolist():
        columns = parallel[row].nonzero().flatten()
        opposite = (correlation[row, columns] < 0).unsqueeze(-1)
        others = torch.where(opposite, of_right[columns].flip(-1), of_right[columns])
        moments[row, columns] = (of_left[row] * others) @ density
    return moments


def _series(activation: Activation, correlation: Tensor, of_left: Tensor, of_right: Tensor) -> Tensor:
    """Mehler's, from phi at the points, [rows, points] and [columns, points]."""
    density = torch.from_numpy(_density())
    rest_left, rest_right = of_left.square() @ density, of_right.square() @ density
    total, power = torch.zeros_like(correlation), torch.ones_like(correlation)
    for weighted in islice(hermite_products(_points(), _density()), MOST_TERMS):
        weights = torch.from_numpy(weighted)
        rows, columns = of_left @ weights, of_right @ weights
        total += power * rows.unsqueeze(-1) * columns
        rest_left, rest_right = rest_left - rows.square(), rest_right - columns.square()
        power *= correlation
        bound = power.abs() * (rest_left.clamp(min=0).unsqueeze(-1) * rest_right.clamp(min=0)).sqrt()
        if float(bound.max()) < TOLERANCE:
            return total
    raise ValueError(
        f"the kernel of activation {activation.name!r} is not known to {TOLERANCE:g} after {MOST_TERMS} terms of its "
        "series; use a smooth activation, or a registered one"
    )


def _correlation(covariance: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """0 where a variance is: phi is constant there, and the first term is all."""
    scale = (left.unsqueeze(-1) * right.unsqueeze(-2)).sqrt()
    return torch.where(scale > 0, covariance / scale, 0).clamp(-1, 1)


def _values(activation: Activation, variance: Tensor) -> Tensor:
    """phi(sqrt(variance) z) at the points, [..., points]."""
    return torch.from_numpy(np.asarray(activation.function(np.sqrt(variance.numpy())[..., None] * _points())))


def _averages(activation: Activation, variance: Tensor) -> Tensor:
    return _values(activation, variance).square() @ torch.from_numpy(_density())


def _points() -> NDArray[np.float64]:
    return np.arange(-REACH, REACH + SPACING / 2, SPACING)


def _density() -> NDArray[np.float64]:
    return SPACING / math.sqrt(2 * math.pi) * np.exp(-(_points() ** 2) / 2)
