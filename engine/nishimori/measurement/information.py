"""The mutual information of weights and data, plain and against a Gaussian process, whatever it was measured by.

    I(theta*; D) = E[log p(y | theta*, X) - log p(y | X)]

With a covariance matrix C(X) of the labels in a Gaussian process, exactly and whatever C is,

    I(theta*; D) = E[-log N(y; 0, C)] - (n / 2) log(2 pi e Delta) - E KL,      KL = log p(y | X) - log N(y; 0, C).

The average of KL is not negative, and for the infinitely wide network it stays O(1) in n: an estimate that measures it
and knows the first two terms without sampling has a small error bar.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nishimori.measurement.error_bars import Estimate, disorder_mean
from nishimori.measurement.evidence import EvidenceBounds

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Bracket:
    """`lower` and `upper` bound a number on average; `gap` is the average of their difference, instance by instance,
    `middle` that of their mean. Where an estimate is without bias, all three are the same and the gap is 0."""

    lower: Estimate
    upper: Estimate
    gap: Estimate
    middle: Estimate

    @classmethod
    def of(cls, lower: Values, upper: Values, lower_variance: Values, upper_variance: Values) -> "Bracket":
        """From values by instance and their Monte Carlo variances, [instances] each."""
        both = lower_variance + upper_variance
        return cls(
            disorder_mean(lower, lower_variance),
            disorder_mean(upper, upper_variance),
            disorder_mean(upper - lower, both),
            disorder_mean((lower + upper) / 2, both / 4),
        )

    @classmethod
    def unbiased(cls, values: Values, variance: Values) -> "Bracket":
        """From values by instance that need no bounds, [instances], and their Monte Carlo variances."""
        mean = disorder_mean(values, variance)
        return cls(mean, mean, Estimate(0.0, 0.0, 0.0), mean)

    @property
    def midpoint(self) -> float:
        return self.middle.value

    @property
    def estimate(self) -> Estimate:
        """The midpoint; its standard error holds half the gap, as an error of its own."""
        error = math.hypot(self.middle.standard_error, self.gap.value / 2)
        return Estimate(self.middle.value, error, self.middle.monte_carlo_variance)


@dataclass(frozen=True, eq=False)
class GaussianReference:
    """The Gaussian process that labels are compared with; per instance, in nats, [instances] each.

    `log_density` is log N(y; 0, C) of the instance's labels; `information` the instance's term of
    E[-log N(y; 0, C)] - (n / 2) log(2 pi e Delta), the labels averaged over.
    """

    log_density: Values
    information: Values


@dataclass(frozen=True, eq=False)
class Integrand:
    """What an integral or a sum was made of: its `nodes`, its value and standard error over instances there, [nodes].

    Of "immse" the nodes are signal-to-noise ratios and the values training MMSEs; of "chain_rule" they are numbers of
    samples, and the values what the next label tells of the weights, in nats.
    """

    nodes: Values
    values: Values
    standard_errors: Values


@dataclass(frozen=True, eq=False)
class Sum:
    """What an integral or a sum came to, by instance, in nats; `variance` is the Monte Carlo variance. [instances]."""

    value: Values
    variance: Values


@dataclass(frozen=True, eq=False)
class Summed:
    """A measurement of the information without bounds: `total` is the information, `divergence` the KL, where it was
    measured; `acceptance` is the mean over all transitions, and `alarms` say what looked wrong."""

    total: Sum
    divergence: Sum | None
    integrand: Integrand
    acceptance: float
    alarms: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Information:
    """Mutual information and log evidence, in nats a sample; standard errors are those over instances.

    `mutual_information` is plain; `controlled` the same number with the Gaussian process as control variate, and
    `divergence` the KL that it subtracts from `reference`, the process's own term; these three are None where no
    reference was given. `evidence` holds the bounds of every instance, in nats and not a sample, where there are some;
    `integrand` what was summed, where something was; `acceptance` is the mean over all transitions, and `alarms` say
    what looked wrong.
    """

    mutual_information: Bracket
    log_evidence: Bracket
    controlled: Bracket | None
    divergence: Bracket | None
    reference: Estimate | None
    evidence: EvidenceBounds | None
    acceptance: float
    method: str = "ais"
    integrand: Integrand | None = None
    alarms: tuple[str, ...] = ()

    @property
    def best(self) -> Bracket:
        """The mutual information with the smaller error bar: `controlled` where there is a control variate."""
        return self.controlled or self.mutual_information

    @classmethod
    def of(
        cls,
        evidence: EvidenceBounds,
        log_likelihood: Values,
        samples: int,
        acceptance: float,
        gaussian: GaussianReference | None = None,
        method: str = "ais",
    ) -> "Information":
        """From bounds on the evidence; `log_likelihood` is log p(y | theta*, X), [instances], in nats."""
        mutual = _minus(log_likelihood, evidence, samples)
        bounds = _bracket(evidence, np.zeros_like(evidence.lower), samples)
        if gaussian is None:
            return cls(mutual, bounds, None, None, None, evidence, acceptance, method)
        return cls(
            mutual,
            bounds,
            _minus(gaussian.information + gaussian.log_density, evidence, samples),
            _bracket(evidence, gaussian.log_density, samples),
            _reference(gaussian, samples),
            evidence,
            acceptance,
            method,
        )

    @classmethod
    def summed(
        cls, method: str, measured: Summed, log_likelihood: Values, samples: int, gaussian: GaussianReference | None
    ) -> "Information":
        """From a measurement without bounds; `log_likelihood` is log p(y | theta*, X), [instances], in nats."""
        total, divergence = measured.total, measured.divergence
        variance = total.variance / samples**2
        plain = Bracket.unbiased(total.value / samples, variance)
        evidence = Bracket.unbiased((log_likelihood - total.value) / samples, variance)
        told = None, measured.acceptance, method, measured.integrand, measured.alarms
        if gaussian is None or divergence is None:
            return cls(plain, evidence, None, None, None, *told)
        variance = divergence.variance / samples**2
        controlled = Bracket.unbiased((gaussian.information - divergence.value) / samples, variance)
        against = Bracket.unbiased(divergence.value / samples, variance)
        return cls(plain, evidence, controlled, against, _reference(gaussian, samples), *told)


def _reference(gaussian: GaussianReference, samples: int) -> Estimate:
    return disorder_mean(gaussian.information / samples, np.zeros_like(gaussian.information))


def _bracket(evidence: EvidenceBounds, offset: Values, samples: int) -> Bracket:
    """(log evidence - offset) / samples."""
    bounds = (evidence.lower - offset) / samples, (evidence.upper - offset) / samples
    return Bracket.of(*bounds, evidence.lower_variance / samples**2, evidence.upper_variance / samples**2)


def _minus(offset: Values, evidence: EvidenceBounds, samples: int) -> Bracket:
    """(offset - log evidence) / samples."""
    bounds = (offset - evidence.upper) / samples, (offset - evidence.lower) / samples
    return Bracket.of(*bounds, evidence.upper_variance / samples**2, evidence.lower_variance / samples**2)
