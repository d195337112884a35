"""Where the integrals of the mutual information are evaluated, and with what weights.

I-MMSE (Guo, Shamai and Verdu 2005, arXiv cs/0412108, eq. 1), with labels F* + Z / sqrt(s) at signal-to-noise ratio s:

    I(theta*; D) = (1/2) int_0^{1/Delta} sum_mu E (F*_mu - <F_mu>)^2 ds.

The integrand falls like 1 / (1 + sigma s) and is smooth in log(1 + sigma s): few Gauss-Legendre nodes there suffice.
The chain rule is a sum over the number k of samples seen, of an integrand that is smooth in log(1 + k / d).
"""

import math

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import NDArray

Values = NDArray[np.float64]


def noise_rule(nodes: int, signal_variance: float, noise_variance: float) -> tuple[Values, Values]:
    """Inverse temperatures b = s Delta in (0, 1), rising, and weights w with I = sum_k w_k sum_mu mmse_mu(s_k).

    [nodes] each, nodes in log(1 + `signal_variance` s); the factor 1/2 is in the weights.
    """
    points, weights = legendre.leggauss(nodes)
    length = math.log1p(signal_variance / noise_variance)
    exponents = length * (points + 1) / 2
    ratios = np.expm1(exponents) / signal_variance
    return ratios * noise_variance, weights * length / 4 * np.exp(exponents) / signal_variance


def sum_rule(count: int, nodes: int, scale: float) -> tuple[NDArray[np.int64], Values]:
    """Integers k_j, rising, and weights w with sum_{k < count} g(k) = sum_j w_j g(k_j), [nodes] each.

    Exact for polynomials of a degree below `nodes` in log(1 + k / `scale`). The k_j are the whole numbers next to the
    Gauss nodes of the sum, all k where they are no more than `nodes`.
    """
    if nodes >= count:
        return np.arange(count), np.ones(count)
    places = np.log1p(np.arange(count) / scale)
    places = 2 * places / places[-1] - 1
    basis = legendre.legvander(places, nodes)
    orthogonal = np.linalg.inv(np.linalg.qr(basis, mode="r"))[:, nodes]
    roots = np.sort(legendre.legroots(orthogonal).real)
    nearest = np.abs(places - roots[:, None]).argmin(1)
    chosen = _distinct(nearest, count)
    weights = np.linalg.solve(basis[chosen, :nodes].T, basis[:, :nodes].sum(0))
    return chosen, weights


def _distinct(places: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Rising whole numbers below `count`, moved up, then down, where two are the same."""
    steps = np.arange(len(places))
    rising = np.maximum.accumulate(places - steps) + steps
    return np.minimum(rising, count - len(places) + steps)
