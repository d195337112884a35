"""Error bars over the disorder.

Instances are independent, and each instance's value carries its own Monte Carlo noise: the spread of the values over
instances therefore holds both the disorder and the Monte Carlo error, and its Student t has instances - 1 degrees of
freedom.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A disorder average.

    `standard_error` contains Monte Carlo and disorder error (NaN for one instance); `monte_carlo_variance` is the
    part of `standard_error` squared that longer chains would remove, NaN where it is not known.
    """

    value: float
    standard_error: float
    monte_carlo_variance: float

    @property
    def monte_carlo_ratio(self) -> float:
        """Monte Carlo variance over disorder variance; infinite where the Monte Carlo error explains all of the
        spread."""
        disorder = self.standard_error**2 - self.monte_carlo_variance
        return self.monte_carlo_variance / disorder if disorder > 0 else math.inf

    def shifted(self, offset: float) -> "Estimate":
        return Estimate(self.value + offset, self.standard_error, self.monte_carlo_variance)

    def scaled(self, factor: float) -> "Estimate":
        return Estimate(factor * self.value, abs(factor) * self.standard_error, factor**2 * self.monte_carlo_variance)


def disorder_mean(values: Values, monte_carlo_variance: Values) -> Estimate:
    """Mean over instances of `values` [instances], with the Monte Carlo variance of each."""
    count = len(values)
    return Estimate(float(values.mean()), standard_error_of(values), float(monte_carlo_variance.sum()) / count**2)


def disorder_ratio(numerator: Values, denominator: Values, monte_carlo_variance: Values) -> Estimate:
    """Ratio of disorder means, error by the delta method; `monte_carlo_variance` is that of the numerators."""
    count, scale = len(numerator), float(denominator.mean())
    ratio = float(numerator.mean()) / scale
    error = standard_error_of((numerator - ratio * denominator) / scale)
    return Estimate(ratio, error, float(monte_carlo_variance.sum()) / (count * scale) ** 2)


def controlled_mean(known: Values, further: Values, measured: Values, monte_carlo_variance: Values) -> Estimate:
    """Mean of `known` [instances] and `further` [any], which need no sampling, minus that of `measured` [instances].

    The two values of an instance may be correlated, which the error bar counts; `further` ones are of other data sets.
    """
    count, all_known = len(measured), len(measured) + len(further)
    value = float((known.sum() + further.sum()) / all_known - measured.mean())
    own = standard_error_of(count / all_known * known - measured) ** 2
    rest = (len(further) / all_known * standard_error_of(further)) ** 2 if len(further) > 1 else 0.0
    return Estimate(value, math.sqrt(own + rest), float(monte_carlo_variance.sum()) / count**2)


def posterior_mean(values: Values, monte_carlo_variance: Values) -> Estimate:
    """Mean over the instances as given, with no disorder to average over: the error is the Monte Carlo error alone."""
    variance = float(monte_carlo_variance.sum()) / len(values) ** 2
    return Estimate(float(values.mean()), math.sqrt(variance), variance)


def standard_error_of(values: Values) -> float:
    """Standard error of the mean over instances of `values` [instances]; NaN for one instance."""
    return float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.nan
