"""One root of a function of one variable."""

from collections.abc import Callable

import numpy as np


def root(function: Callable[[float], float], low: float, high: float) -> float:
    """The root between `low` and `high`, where `function` has opposite signs, to round-off (Brent 1973)."""
    from scipy import optimize  # it loads slowly, and few commands need it

    found = optimize.brentq(function, low, high, xtol=1e-300, rtol=4 * np.finfo(float).eps)
    return float(found)  # pyright: ignore[reportArgumentType]
