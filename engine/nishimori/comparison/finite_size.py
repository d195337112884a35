"""Laws of finite size, fitted to points with error bars: A + B/d, and A + B/d^g with g fitted.

Corrections to the equivalent linear model are expected to fall as 1/d: exact infinitely wide networks at finite input
dimension show it, though the bound of arXiv 2505.03577 falls as 1/sqrt(d) alone. A free power puts that to the test.

Sizes are input dimensions, errors are standard errors, and points are taken for independent: with `data.common` they
share random numbers, and the limit's error is then only indicative. Error bars from few teachers are noisy: weights
made of them cost precision, which is counted in (Meier, Biometrics 9, 59 (1953) for a mean; Kenward and Roger,
Biometrics 53, 983 (1997) for linear models), and chi-square grows by about (n - 1)/(n - 3) with n teachers a point.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from nishimori.theory.roots import root

LEAST_SIZES = 2
LEAST_SIZES_FOR_POWER = 4
POWERS = (0.25, 4.0)
"""Where the power is looked for: below, it is not told from a logarithm, above, the smallest size stands alone."""
GRID = 200

Values = NDArray[np.float64]


@dataclass(frozen=True)
class LimitFit:
    """Weighted least squares of A + B/d^power: `limit` is A, `slope` B (in units of the observable times d^power).

    Standard errors follow from those of the points, and chi-square does not stretch them. `p_value` is the
    probability of a larger chi-square were the errors known, NaN without a degree of freedom. `instances` is that of a
    single mean with an error bar as sure as the limit's (Welch and Satterthwaite, rounded down).
    """

    power: float
    limit: float
    standard_error: float
    slope: float
    slope_standard_error: float
    chi_square: float
    degrees_of_freedom: int
    p_value: float
    instances: int


@dataclass(frozen=True)
class PowerFit:
    """A + B/d^power with all three fitted. Intervals hold what raises chi-square by at most one (profile likelihood,
    68 %) at powers within POWERS; an end of `power_interval` is None where chi-square stays below that as far as these
    reach: `limit_interval` would then be wider without them."""

    power: float
    power_interval: tuple[float | None, float | None]
    limit: float
    limit_interval: tuple[float, float]
    slope: float
    chi_square: float
    degrees_of_freedom: int
    p_value: float

    @property
    def determined(self) -> bool:
        """Both ends of the power's interval are known."""
        return None not in self.power_interval

    def at(self, inverse_size: Values) -> Values:
        """The fitted law at 1/d [points]."""
        return self.limit + self.slope * inverse_size**self.power


@dataclass(frozen=True, eq=False)
class SizedPoints:
    """Points [points] that differ in size alone: `sizes` d, `values`, `errors` (one standard error, all positive), and
    the `instances` behind each, two or more. Raises ValueError where fewer than two sizes differ."""

    sizes: Values
    values: Values
    errors: Values
    instances: Sequence[int]

    def __post_init__(self) -> None:
        if self.distinct_sizes < LEAST_SIZES:
            raise ValueError("a limit needs two different sizes; give more")

    @property
    def distinct_sizes(self) -> int:
        return len(set(self.sizes))


def fit_limit(points: SizedPoints, power: float = 1.0) -> LimitFit:
    """A + B/d^power at a given power."""
    weights = points.errors**-2
    places = (points.sizes / points.sizes.min()) ** -power
    total = weights.sum()
    centre = (weights * places).sum() / total
    lever = weights * (places - centre)
    spread = (lever * places).sum()
    share = weights / total - centre * lever / spread
    limit, slope = float(share @ points.values), float(lever @ points.values / spread)
    free = 1 - weights / total - lever * (places - centre) / spread
    variances = points.errors**2 * (1 + 4 * free / (np.array(points.instances) - 1))
    residuals = (points.values - limit - slope * places) / points.errors
    chi_square, freedom = float(residuals @ residuals), len(places) - 2
    unit = float(points.sizes.min()) ** power
    return LimitFit(
        power=power,
        limit=limit,
        standard_error=math.sqrt((variances * share**2).sum()),
        slope=slope * unit,
        slope_standard_error=unit * math.sqrt((variances * lever**2).sum()) / spread,
        chi_square=chi_square if freedom else 0.0,
        degrees_of_freedom=freedom,
        p_value=tail(chi_square, freedom),
        instances=_instances((share * points.errors) ** 2, points.instances),
    )


def fit_power(points: SizedPoints) -> PowerFit:
    """A + B/d^g with g between POWERS. Raises ValueError for fewer than four different sizes."""
    if points.distinct_sizes < LEAST_SIZES_FOR_POWER:
        raise ValueError("a fitted power needs four different sizes; give more")
    grid = np.geomspace(*POWERS, GRID)
    fits = [fit_limit(points, power) for power in grid.tolist()]
    at = int(np.argmin([fit.chi_square for fit in fits]))
    bracket = (grid[max(at - 1, 0)], grid[min(at + 1, GRID - 1)])
    from scipy import optimize  # it loads slowly, and few commands need it

    found: Any = optimize.minimize_scalar(_chi_square, args=(points,), bounds=bracket, method="bounded")
    best = min(fit_limit(points, float(found.x)), fits[at], key=lambda fit: fit.chi_square)
    freedom = len(points.sizes) - 3
    return PowerFit(
        power=best.power,
        power_interval=_power_interval(points, best, grid),
        limit=best.limit,
        limit_interval=_limit_interval([best, *fits]),
        slope=best.slope,
        chi_square=best.chi_square,
        degrees_of_freedom=freedom,
        p_value=tail(best.chi_square, freedom),
    )


def _chi_square(power: float, points: SizedPoints) -> float:
    return fit_limit(points, power).chi_square


def _power_interval(points: SizedPoints, best: LimitFit, grid: Values) -> tuple[float | None, float | None]:
    """The outermost crossings on either side."""

    def excess(power: float) -> float:
        return _chi_square(power, points) - best.chi_square - 1

    def crossing(outwards: list[float]) -> float | None:
        path = [best.power, *outwards]
        last = max(at for at, power in enumerate(path) if excess(power) <= 0)
        return root(excess, path[last], path[last + 1]) if last + 1 < len(path) else None

    below, above = (grid[grid < best.power][::-1].tolist(), grid[grid > best.power].tolist())
    return crossing(below), crossing(above)


def _limit_interval(fits: Sequence[LimitFit]) -> tuple[float, float]:
    """Of the limit with power and slope profiled out: at each power chi-square is a parabola in the limit."""
    allowed = min(fit.chi_square for fit in fits) + 1
    reach = [
        (fit, math.sqrt(allowed - fit.chi_square) * fit.standard_error) for fit in fits if fit.chi_square <= allowed
    ]
    return min(fit.limit - by for fit, by in reach), max(fit.limit + by for fit, by in reach)


def tail(chi_square: float, degrees_of_freedom: int) -> float:
    return float(special.chdtrc(degrees_of_freedom, chi_square)) if degrees_of_freedom else math.nan


def _instances(variances: Values, instances: Sequence[int]) -> int:
    freedom = np.array(instances, dtype=float) - 1
    return math.floor(variances.sum() ** 2 / (variances**2 / freedom).sum() + 1e-9) + 1
