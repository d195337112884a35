"""The mutual information of weights and data from bounds on the evidence, plain and against a Gaussian process.

    I(theta*; D) = E[log p(y | theta*, X) - log p(y | X)]

With a covariance matrix C(X) of the labels in a Gaussian process, exactly and whatever C is,

    I(theta*; D) = E[-log N(y; 0, C)] - (n / 2) log(2 pi e Delta) - E KL,      KL = log p(y | X) - log N(y; 0, C).

The average of KL is not negative, and for the infinitely wide network it stays O(1) in n: an estimate that measures it
and knows the first two terms without sampling has a small error bar.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nishimori.measurement.error_bars import Estimate, disorder_mean
from nishimori.measurement.evidence import EvidenceBounds

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Bracket:
    """`lower` and `upper` bound a number on average; `gap` is the average of their difference, instance by instance."""

    lower: Estimate
    upper: Estimate
    gap: Estimate

    @classmethod
    def of(cls, lower: Values, upper: Values, lower_variance: Values, upper_variance: Values) -> "Bracket":
        """From values by instance and their Monte Carlo variances, [instances] each."""
        gap = disorder_mean(upper - lower, lower_variance + upper_variance)
        return cls(disorder_mean(lower, lower_variance), disorder_mean(upper, upper_variance), gap)

    @property
    def midpoint(self) -> float:
        return (self.lower.value + self.upper.value) / 2


@dataclass(frozen=True, eq=False)
class GaussianReference:
    """The Gaussian process that labels are compared with; per instance, in nats, [instances] each.

    `log_density` is log N(y; 0, C) of the instance's labels; `information` the instance's term of
    E[-log N(y; 0, C)] - (n / 2) log(2 pi e Delta), the labels averaged over.
    """

    log_density: Values
    information: Values


@dataclass(frozen=True, eq=False)
class Information:
    """Mutual information and log evidence, in nats a sample; standard errors are those over instances.

    `mutual_information` is plain; `controlled` the same number with the Gaussian process as control variate, and
    `divergence` the KL that it subtracts from `reference`, the process's own term; these three are None where no
    reference was given. `evidence` holds the bounds of every instance, in nats and not a sample; `acceptance` is the
    mean over all transitions.
    """

    mutual_information: Bracket
    log_evidence: Bracket
    controlled: Bracket | None
    divergence: Bracket | None
    reference: Estimate | None
    evidence: EvidenceBounds
    acceptance: float

    @classmethod
    def of(
        cls,
        evidence: EvidenceBounds,
        log_likelihood: Values,
        samples: int,
        acceptance: float,
        gaussian: GaussianReference | None = None,
    ) -> "Information":
        """`log_likelihood` is log p(y | theta*, X), [instances], in nats."""
        mutual = _minus(log_likelihood, evidence, samples)
        bounds = _bracket(evidence, np.zeros_like(evidence.lower), samples)
        if gaussian is None:
            return cls(mutual, bounds, None, None, None, evidence, acceptance)
        return cls(
            mutual,
            bounds,
            _minus(gaussian.information + gaussian.log_density, evidence, samples),
            _bracket(evidence, gaussian.log_density, samples),
            disorder_mean(gaussian.information / samples, np.zeros_like(evidence.lower)),
            evidence,
            acceptance,
        )


def _bracket(evidence: EvidenceBounds, offset: Values, samples: int) -> Bracket:
    """(log evidence - offset) / samples."""
    bounds = (evidence.lower - offset) / samples, (evidence.upper - offset) / samples
    return Bracket.of(*bounds, evidence.lower_variance / samples**2, evidence.upper_variance / samples**2)


def _minus(offset: Values, evidence: EvidenceBounds, samples: int) -> Bracket:
    """(offset - log evidence) / samples."""
    bounds = (offset - evidence.upper) / samples, (offset - evidence.lower) / samples
    return Bracket.of(*bounds, evidence.upper_variance / samples**2, evidence.lower_variance / samples**2)
