"""How fast measurements approach theory as the size grows: value - theory = B / d^g, with g fitted.

The bound of arXiv 2505.03577 on the mutual information falls as 1/sqrt(d), and corrections of 1/d are expected (see
`finite_size`). Here the limit is the theory's, so that two sizes determine B and g and a third one tests the law.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nishimori.comparison.align import Residual, residuals
from nishimori.comparison.finite_size import GRID, POWERS, tail
from nishimori.comparison.series import grouped
from nishimori.description.errors import BadInput
from nishimori.theory.roots import root

LEAST_SIZES = 2

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Approach:
    """Points that differ in size alone, by increasing size: `differences` value - theory with their `errors`.

    `label` is what tells this group from the others.
    """

    label: dict[str, Any]
    sizes: Values
    differences: Values
    errors: Values

    def pooled(self) -> tuple[Values, Values, Values]:
        """Sizes, each once, the weighted mean of the differences there, and its error."""
        sizes, place = np.unique(self.sizes, return_inverse=True)
        weights = self.errors**-2
        total = np.bincount(place, weights)
        return sizes, np.bincount(place, weights * self.differences) / total, 1 / np.sqrt(total)


@dataclass(frozen=True)
class PowerLaw:
    """B / d^g of one group or of several, each with a B of its own (`amplitudes`).

    `interval` holds the g that raise chi-square by at most one, None at an end of what was looked at; `p_value` is the
    probability of a larger chi-square, NaN without a degree of freedom.
    """

    power: float
    interval: tuple[float | None, float | None]
    amplitudes: tuple[float, ...]
    chi_square: float
    degrees_of_freedom: int
    p_value: float


def approaches(summaries: Sequence[Mapping[str, Any]], observable: str) -> list[Approach]:
    """Every group of points with a prediction that differ in size alone and are of two sizes or more. Raises BadInput
    where there is none."""
    found = []
    for label, points in grouped(summaries, observable, "input_dim"):
        rows = [row for row in residuals(points, observable) if math.isfinite(row.standard_error)]
        rows.sort(key=_size)
        if len({_size(row) for row in rows}) >= LEAST_SIZES:
            found.append(_approach(label, rows))
    if not found:
        raise BadInput(
            f"no two points with a prediction and an error bar of {observable!r} differ in network.input_dim alone; "
            "sweep it over two values or more"
        )
    return found


def _size(row: Residual) -> int:
    return row.parameters["input_dim"]


def _approach(label: dict[str, Any], rows: Sequence[Residual]) -> Approach:
    columns = ([float(_size(row)), row.value - row.prediction, row.standard_error] for row in rows)
    return Approach(label, *np.array(list(columns)).T)


def fit_power_law(groups: Sequence[Approach]) -> PowerLaw:
    """One g for all `groups`, by weighted least squares."""
    grid = np.geomspace(*POWERS, GRID)
    at = int(np.argmin([_chi_square(groups, power) for power in grid.tolist()]))
    inner = np.linspace(grid[max(at - 1, 0)], grid[min(at + 1, GRID - 1)], GRID)
    best = float(inner[np.argmin([_chi_square(groups, power) for power in inner.tolist()])])
    least = _chi_square(groups, best)
    freedom = sum(len(group.sizes) - 1 for group in groups) - 1

    def excess(power: float) -> float:
        return _chi_square(groups, power) - least - 1

    def crossing(outwards: list[float]) -> float | None:
        path = [best, *outwards]
        last = max(place for place, power in enumerate(path) if excess(power) <= 0)
        return root(excess, path[last], path[last + 1]) if last + 1 < len(path) else None

    interval = crossing(grid[grid < best][::-1].tolist()), crossing(grid[grid > best].tolist())
    amplitudes = tuple(_amplitude(group, best) for group in groups)
    return PowerLaw(best, interval, amplitudes, least, freedom, tail(least, freedom))


def _amplitude(group: Approach, power: float) -> float:
    law = group.sizes**-power
    weights = group.errors**-2
    return float((weights * law) @ group.differences / (weights @ law**2))


def _chi_square(groups: Sequence[Approach], power: float) -> float:
    total = 0.0
    for group in groups:
        law = _amplitude(group, power) * group.sizes**-power
        total += float((((group.differences - law) / group.errors) ** 2).sum())
    return total
