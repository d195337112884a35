"""Integrals by Gauss-Legendre panels: averages over a standard normal, and rules split where a function has a kink."""

import math
from collections.abc import Callable, Iterable, Iterator
from itertools import count

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Elementwise = Callable[[Array], Array]

_RANGE = 12.0
_DYADIC_PANELS = 52
_MAX_ROUNDS = 64
_MAX_PANELS = 2**16
_PANEL_TOLERANCE = 1e-14
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)


def panel_rule(bounds: tuple[float, float], width: float, kinks: Iterable[float] = ()) -> tuple[Array, Array]:
    """Points and weights [points] of 16-point Gauss-Legendre panels no wider than `width` between `bounds`.

    No panel has a kink inside: a function that is smooth between its kinks is integrated at the rate of a smooth one.
    """
    low, high = bounds
    corners = [low, *sorted(kink for kink in kinks if low < kink < high), high]
    edges = np.unique(
        np.concatenate(
            [np.linspace(a, b, 1 + math.ceil((b - a) / width)) for a, b in zip(corners, corners[1:], strict=False)]
        )
    )
    half_width = 0.5 * np.diff(edges)[:, None]
    points = 0.5 * (edges[:-1] + edges[1:])[:, None] + half_width * _NODES
    return points.ravel(), (half_width * _WEIGHTS).ravel()


def normal_rule(spacing: float) -> tuple[Array, Array]:
    """Trapezoidal points and weights [points] of an average over N(0, 1), for functions analytic near the real line.

    The range is nine standard deviations: what lies beyond is below 1e-18 of the total.
    """
    number = math.ceil(9.0 / spacing)
    points = 9.0 * np.arange(-number, number + 1) / number
    weights = gaussian_density(points)
    return points, weights / weights.sum()


def hermite_products(points: Array, factor: Array) -> Iterator[Array]:
    """factor * He_j(points) / sqrt(j!), in the shape of `points`, for j = 0, 1, ...: normalised under N(0, 1).

    By He_{j+1} = z He_j - j He_{j-1}; with `factor` the weights of a rule, or their roots, no value overflows.
    """
    below, this = np.zeros_like(factor), factor
    for order in count():
        yield this
        below, this = this, (points * this - math.sqrt(order) * below) / math.sqrt(order + 1)


def gaussian_average(integrand: Elementwise) -> float:
    """E integrand(Z) by bisection of 16-point Gauss-Legendre panels, each resolved to 1e-14 of the total.

    Raises ArithmeticError when a value is not finite, the tails carry weight beyond 12 standard deviations,
    or the panels do not resolve the integrand.
    """
    left, right = _initial_panels()
    coarse = _panel_integrals(integrand, left, right)
    scale = float(np.abs(coarse).sum())
    ends = np.array([-_RANGE, _RANGE])
    if np.any(np.abs(integrand(ends)) * gaussian_density(ends) > _PANEL_TOLERANCE * scale):
        raise ArithmeticError("does not converge in the tails")
    total = 0.0
    for _ in range(_MAX_ROUNDS):
        middle = 0.5 * (left + right)
        halves = np.stack([_panel_integrals(integrand, left, middle), _panel_integrals(integrand, middle, right)])
        refined = halves.sum(axis=0)
        if not np.isfinite(refined).all():
            raise ArithmeticError("is not finite")
        open_panels = np.abs(refined - coarse) > _PANEL_TOLERANCE * scale
        total += float(refined[~open_panels].sum())
        if not open_panels.any():
            return total
        if open_panels.sum() > _MAX_PANELS:
            break
        left, right = (
            np.concatenate([left[open_panels], middle[open_panels]]),
            np.concatenate([middle[open_panels], right[open_panels]]),
        )
        coarse = halves[:, open_panels].ravel()
    raise ArithmeticError("did not converge")


def _initial_panels() -> tuple[Array, Array]:
    # Dyadic towards 0: a step of width 1/sqrt(variance) at the origin is seen at every variance.
    positive = np.concatenate([[0.0], _RANGE * 0.5 ** np.arange(_DYADIC_PANELS, -1.0, -1.0)])
    edges = np.concatenate([-positive[:0:-1], positive])
    return edges[:-1], edges[1:]


def _panel_integrals(integrand: Elementwise, left: Array, right: Array) -> Array:
    half_width = 0.5 * (right - left)
    points = 0.5 * (left + right)[:, None] + half_width[:, None] * _NODES  # [panels, nodes]
    return half_width * ((integrand(points) * gaussian_density(points)) @ _WEIGHTS)


def gaussian_density(z: Array) -> Array:
    return np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)
