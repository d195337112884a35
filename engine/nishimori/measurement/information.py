"""The mutual information of weights and data, plain and against a Gaussian process, whatever it was measured by.

    I(theta*; D) = E[log p(y | theta*, X) - log p(y | X)]

With a covariance matrix C(X) of the labels in a Gaussian process, exactly and whatever C is,

    I(theta*; D) = E[-log N(y; 0, C)] - (n / 2) log(2 pi e Delta) - E KL,      KL = log p(y | X) - log N(y; 0, C).

The average of KL is not negative, and for the infinitely wide network it stays O(1) in n: an estimate that measures it
and knows the first two terms without sampling has a small error bar.
"""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from nishimori.measurement.error_bars import Estimate, controlled_mean, disorder_mean, standard_error_of
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
        return cls.same(disorder_mean(values, variance))

    @classmethod
    def same(cls, estimate: Estimate) -> "Bracket":
        return cls(estimate, estimate, Estimate(0.0, 0.0, 0.0), estimate)

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
    E[-log N(y; 0, C)] - (n / 2) log(2 pi e Delta), the labels averaged over. `further` holds that term of other data
    sets, [any], over which it is averaged too.
    """

    log_density: Values
    information: Values
    further: Values = field(default_factory=lambda: np.zeros(0))

    def minus(self, divergence: Values, variance: Values, samples: int) -> Estimate:
        """The mean of the term minus that of `divergence` [instances], in nats a sample."""
        known, further = self.information / samples, self.further / samples
        return controlled_mean(known, further, divergence / samples, variance / samples**2)

    def mean(self, samples: int) -> Estimate:
        """Of the term itself, in nats a sample."""
        values = np.concatenate([self.information, self.further]) / samples
        return disorder_mean(values, np.zeros_like(values))


@dataclass(frozen=True, eq=False)
class Integrand:
    """What an integral or a sum was made of: its `nodes`, [nodes], and its values there, [instances, nodes].

    Of "immse" the nodes are signal-to-noise ratios and the values training MMSEs; of "chain_rule" they are numbers of
    samples, and the values what the next label tells of the weights, in nats.
    """

    nodes: Values
    by_instance: Values

    @property
    def values(self) -> Values:
        """[nodes]."""
        return self.by_instance.mean(0)

    @property
    def standard_errors(self) -> Values:
        """Over instances, [nodes]."""
        return np.array([standard_error_of(column) for column in self.by_instance.T])


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
class Measured:
    """All that a measurement left, instance by instance: `bounds` on the evidence, or what a sum came to.

    `log_likelihood` is log p(y | theta*, X), [instances], in nats; `reference` the Gaussian process of a controlled
    estimate; `acceptance` is the mean over all transitions.
    """

    method: str
    samples: int
    log_likelihood: Values
    found: EvidenceBounds | Summed
    reference: GaussianReference | None
    acceptance: float


@dataclass(frozen=True, eq=False)
class Information:
    """Mutual information and log evidence, in nats a sample; standard errors are those over instances.

    `mutual_information` is plain; `controlled` the same number with the Gaussian process as control variate, and
    `divergence` the KL that it subtracts from `reference`, the process's own term; these three are None where no
    reference was given. `measured` is what all of them were made of.
    """

    measured: Measured
    mutual_information: Bracket
    log_evidence: Bracket
    controlled: Bracket | None = None
    divergence: Bracket | None = None
    reference: Estimate | None = None

    @property
    def best(self) -> Bracket:
        """The mutual information with the smaller error bar: `controlled` where there is a control variate."""
        return self.controlled or self.mutual_information

    @property
    def method(self) -> str:
        return self.measured.method

    @property
    def acceptance(self) -> float:
        """The mean over all transitions."""
        return self.measured.acceptance

    @property
    def evidence(self) -> EvidenceBounds | None:
        """The bounds of every instance, in nats and not a sample, where there are some."""
        return self.measured.found if isinstance(self.measured.found, EvidenceBounds) else None

    @property
    def integrand(self) -> Integrand | None:
        """What was summed, where something was."""
        return self.measured.found.integrand if isinstance(self.measured.found, Summed) else None

    @property
    def alarms(self) -> tuple[str, ...]:
        """What looked wrong."""
        return self.measured.found.alarms if isinstance(self.measured.found, Summed) else ()

    @classmethod
    def of(cls, measured: Measured) -> "Information":
        if isinstance(measured.found, EvidenceBounds):
            return _between_bounds(measured, measured.found)
        return _summed(measured, measured.found)


def _between_bounds(measured: Measured, evidence: EvidenceBounds) -> Information:
    samples, gaussian = measured.samples, measured.reference
    mutual = _minus(measured.log_likelihood, evidence, samples)
    bounds = _bracket(evidence, np.zeros_like(evidence.lower), samples)
    if gaussian is None:
        return Information(measured, mutual, bounds)
    lower, upper = (bound - gaussian.log_density for bound in (evidence.lower, evidence.upper))
    variances = evidence.lower_variance, evidence.upper_variance
    divergence = _bracket(evidence, gaussian.log_density, samples)
    controlled = Bracket(
        gaussian.minus(upper, variances[1], samples),
        gaussian.minus(lower, variances[0], samples),
        divergence.gap,
        gaussian.minus((lower + upper) / 2, (variances[0] + variances[1]) / 4, samples),
    )
    return Information(measured, mutual, bounds, controlled, divergence, gaussian.mean(samples))


def _summed(measured: Measured, found: Summed) -> Information:
    samples, gaussian, total, divergence = measured.samples, measured.reference, found.total, found.divergence
    variance = total.variance / samples**2
    plain = Bracket.unbiased(total.value / samples, variance)
    evidence = Bracket.unbiased((measured.log_likelihood - total.value) / samples, variance)
    if gaussian is None or divergence is None:
        return Information(measured, plain, evidence)
    controlled = Bracket.same(gaussian.minus(divergence.value, divergence.variance, samples))
    against = Bracket.unbiased(divergence.value / samples, divergence.variance / samples**2)
    return Information(measured, plain, evidence, controlled, against, gaussian.mean(samples))


def _bracket(evidence: EvidenceBounds, offset: Values, samples: int) -> Bracket:
    """(log evidence - offset) / samples."""
    bounds = (evidence.lower - offset) / samples, (evidence.upper - offset) / samples
    return Bracket.of(*bounds, evidence.lower_variance / samples**2, evidence.upper_variance / samples**2)


def _minus(offset: Values, evidence: EvidenceBounds, samples: int) -> Bracket:
    """(offset - log evidence) / samples."""
    bounds = (offset - evidence.upper) / samples, (offset - evidence.lower) / samples
    return Bracket.of(*bounds, evidence.upper_variance / samples**2, evidence.lower_variance / samples**2)
