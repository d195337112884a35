"""Student t to normal: error bars from few instances, judged on the scale everyone reads."""

import math

import numpy as np
from scipy import special


def student_to_normal(t: float, degrees_of_freedom: int) -> float:
    """The standard normal deviate with the same tail probability as `t`; NaN without a degree of freedom."""
    if degrees_of_freedom < 1 or math.isnan(t):
        return math.nan
    return float(-np.sign(t) * special.ndtri(special.stdtr(degrees_of_freedom, -abs(t))))
