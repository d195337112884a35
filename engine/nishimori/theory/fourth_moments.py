"""Fourth moments E phi(h_a) phi(h_b) phi(h_c) phi(h_d) of an activation under h ~ N(0, S).

Closed forms for the identity (Isserlis), sin (characteristic functions) and erf (an integral over one variable); other
activations by Gauss-Legendre panels in each of the up to four different variables, which end at 0, where kinks are.
"""

import math
from itertools import combinations, combinations_with_replacement, product

import numpy as np
from numpy.typing import NDArray

from nishimori.description.activations import ACTIVATIONS, Activation
from nishimori.description.quadrature import panel_rule

Array = NDArray[np.float64]
REACH = 9.0
"""Standard deviations, beyond which lies less than 1e-15 of a fourth power."""
MOST_POINTS = 640
"""Of a variable."""
LARGEST_EXPONENT = 600.0
"""Of a factor of the density: beyond, a number in double precision overflows."""
_TIMES, _WEIGHTS = np.polynomial.legendre.leggauss(96)


def fourth_moments(activation: Activation, covariance: Array) -> Array:
    """[p, p, p, p] at `covariance` S [p, p].

    To 1e-12 where there is a closed form, or the activation is analytic but for a kink at 0. Raises ValueError where
    there is no closed form and S is too close to singular for quadrature: `sampled_fourth_moments` then has them, with
    an error.
    """
    quadruples = np.array(list(combinations_with_replacement(range(len(covariance)), 4)))
    variances = np.diagonal(covariance)
    if activation == ACTIVATIONS["identity"]:
        values = _isserlis(_blocks(covariance, quadruples))
    elif activation == ACTIVATIONS["sin"]:
        values = _of_sines(_blocks(covariance, quadruples))
    elif activation in (ACTIVATIONS["erf_sqrt2"], ACTIVATIONS["erf"]):
        scale = 1.0 if activation == ACTIVATIONS["erf_sqrt2"] else 2.0
        deviations = np.sqrt(1 + scale * variances)
        values = _of_signs(_blocks(scale * covariance / np.outer(deviations, deviations), quadruples))
    else:
        values = np.array([_by_quadrature(activation, covariance, quadruple) for quadruple in quadruples])
    return _filled(len(covariance), quadruples, values)


def sampled_fourth_moments(activation: Activation, covariance: Array, normals: Array) -> tuple[Array, Array]:
    """Monte Carlo averages over `normals` [draws, p], independent N(0, 1), and their standard errors, [p, p, p, p]."""
    eigenvalues, vectors = np.linalg.eigh(covariance)
    hidden = activation.function(normals @ (vectors * np.sqrt(np.maximum(eigenvalues, 0.0))).T)
    size = len(covariance)
    pairs = np.einsum("ra,rb->rab", hidden, hidden).reshape(len(normals), -1)
    mean, square = pairs.T @ pairs / len(normals), (pairs**2).T @ pairs**2 / len(normals)
    errors = np.sqrt(np.maximum(square - mean**2, 0.0) / (len(normals) - 1))
    return mean.reshape((size,) * 4), errors.reshape((size,) * 4)


def _blocks(matrix: Array, quadruples: NDArray[np.int64]) -> Array:
    """[quadruples, 4, 4]."""
    return matrix[quadruples[:, :, None], quadruples[:, None, :]]


def _filled(size: int, quadruples: NDArray[np.int64], values: Array) -> Array:
    """The symmetric tensor of which `values` are the entries at ordered places."""
    shape = (size,) * 4
    table = np.zeros(size**4)
    table[np.ravel_multi_index(tuple(quadruples.T), shape)] = values
    places = np.sort(np.indices(shape).reshape(4, -1), axis=0)
    return table[np.ravel_multi_index(tuple(places), shape)].reshape(shape)


def _isserlis(blocks: Array) -> Array:
    s = blocks
    return s[:, 0, 1] * s[:, 2, 3] + s[:, 0, 2] * s[:, 1, 3] + s[:, 0, 3] * s[:, 1, 2]


def _of_sines(blocks: Array) -> Array:
    """sum over signs of their product times exp(-signs.S signs / 2), over 16."""
    signs = np.array(list(product((-1.0, 1.0), repeat=4)))
    exponents = np.einsum("si,qij,sj->qs", signs, blocks, signs)
    return np.exp(-0.5 * exponents) @ np.prod(signs, axis=1) / 16


def _of_signs(correlations: Array) -> Array:
    """E erf(h_i / sqrt 2) ... = E sign(u_1) sign(u_2) sign(u_3) sign(u_4) for u = h + z, z of law N(0, 1) and another
    for every factor. With R the correlations of u, and t R in their place, it is 0 at t = 0 and grows by

        d/dt = sum_{i<j} R_ij (2 / pi) / sqrt(1 - t^2 R_ij^2) (2 / pi) asin(corr(u_k, u_l | u_i = u_j = 0)),

    {k, l} the other two (Plackett 1954).
    """
    total = np.zeros(len(correlations))
    for i, j in combinations(range(4), 2):
        k, m = (other for other in range(4) if other not in (i, j))
        total += _rate_of_a_pair(correlations, (i, j), (k, m))
    return total


def _rate_of_a_pair(correlations: Array, given: tuple[int, int], others: tuple[int, int]) -> Array:
    """Integrated over t from 0 to 1, [quadruples]."""
    (i, j), (k, m) = given, others
    times, weights = 0.5 * (_TIMES + 1), 0.5 * _WEIGHTS

    def at(first: int, second: int) -> Array:
        return correlations[:, first, second, None] * times

    between = at(i, j)
    free = 1 - between**2

    def explained(first: int, second: int) -> Array:
        crossed = at(first, i) * at(second, j) + at(first, j) * at(second, i)
        return (at(first, i) * at(second, i) + at(first, j) * at(second, j) - between * crossed) / free

    variances = (1 - explained(k, k)) * (1 - explained(m, m))
    cosine = np.clip((at(k, m) - explained(k, m)) / np.sqrt(variances), -1.0, 1.0)
    rate = (2 / math.pi) ** 2 * correlations[:, i, j, None] / np.sqrt(free) * np.arcsin(cosine)
    return rate @ weights


def _by_quadrature(activation: Activation, covariance: Array, quadruple: NDArray[np.int64]) -> float:
    places, powers = np.unique(quadruple, return_counts=True)
    precision = _inverse(covariance[np.ix_(places, places)])
    own = np.diagonal(precision)
    rest = 2 * own - np.abs(precision).sum(axis=1)  # what `_contracted` leaves to a variable alone
    sites, points = [], []
    for place, power, one, left in zip(places, powers, own, rest, strict=True):
        at, weights = _rule(math.sqrt(covariance[place, place]), 1 / math.sqrt(one), left)
        sites.append(weights * activation.function(at) ** power * np.exp(-0.5 * left * at**2))
        points.append(at)
    missing = 4 - len(places)
    sites, points = [*sites, *[np.ones(1)] * missing], [*points, *[np.zeros(1)] * missing]
    scale = (2 * math.pi) ** (-len(places) / 2) * math.sqrt(np.linalg.det(precision))
    return scale * _contracted(sites, points, np.pad(precision, (0, missing)))


def _rule(deviation: float, own: float, rest: float) -> tuple[Array, Array]:
    """Panels of a variable of this deviation, `own` given the others."""
    reach, width = REACH * deviation, min(2 * own, 2.0)
    if -0.5 * rest * reach**2 > LARGEST_EXPONENT or 16 * (2 * reach / width + 2) > MOST_POINTS:
        raise _singular()
    return panel_rule((-reach, reach), width, (0.0,))


def _inverse(block: Array) -> Array:
    if np.linalg.eigvalsh(block)[0] <= 1e-10 * np.trace(block):
        raise _singular()
    return np.asarray(np.linalg.inv(block), dtype=np.float64)


def _singular() -> ValueError:
    return ValueError(
        "inputs are too close to linear dependence for fourth moments by quadrature: give fewer samples than input "
        "dimensions, an activation with a closed form (identity, sin, erf, erf_sqrt2), or sample them "
        "(sampled_kernel_changes)"
    )


def _contracted(sites: list[Array], points: list[Array], precision: Array) -> float:
    """sum of the four sites times a factor for every pair. exp(-q x y) is split into
    exp(-|q| (x +- y)^2 / 2), which is at most 1, and what `sites` hold."""

    def pair(i: int, j: int) -> Array:
        q = precision[i, j]
        return np.exp(-0.5 * abs(q) * (points[i][:, None] + np.copysign(1.0, q) * points[j]) ** 2)

    first, second, third = pair(0, 1), pair(0, 2), pair(0, 3)
    below, left, right = pair(1, 2), pair(1, 3), pair(2, 3)
    total = 0.0
    for row, weight in enumerate(sites[0]):
        last = (left * (sites[3] * third[row])) @ right.T
        total += weight * float((sites[1] * first[row]) @ (below * last) @ (sites[2] * second[row]))
    return total
