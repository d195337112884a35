"""From the log weights of annealed importance sampling to bounds on the evidence.

With E w = Z and E r = 1 / Z (see `samplers.annealed_importance`), Jensen's inequality gives for the means over chains

    E log mean(w) <= log E mean(w) = log Z        and        E[-log mean(r)] >= -log E mean(r) = log Z,

expectations over chains and, for r, over the teachers of a data set; the chains need not be independent. By the same
inequality log mean(w) >= mean(log w) and -log mean(r) <= -mean(log r): more chains bring the bounds closer.
Source: Grosse, Ghahramani and Adams 2015, arXiv 1511.02543; Burda, Grosse and Salakhutdinov 2016, arXiv 1509.00519,
theorem 1.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class WeightMean:
    """The mean of the weights of every instance; each [instances], float64.

    `log` is log mean(w) over its chains; `effective_samples` (sum w)^2 / sum w^2, between 1 and the number of chains;
    `variance` the Monte Carlo variance of `log` by the delta method, NaN for one chain.
    """

    log: Values
    effective_samples: Values
    variance: Values

    @classmethod
    def of(cls, log_weights: Values) -> "WeightMean":
        """`log_weights` are [instances, chains]."""
        chains = log_weights.shape[1]
        total = np.asarray(logsumexp(log_weights, axis=1))
        effective = np.exp(2 * total - logsumexp(2 * log_weights, axis=1))
        variance = (chains / effective - 1) / (chains - 1) if chains > 1 else np.full_like(total, math.nan)
        return cls(total - math.log(chains), effective, variance)


@dataclass(frozen=True, eq=False)
class EvidenceBounds:
    """Bounds on log p(labels | inputs) of every instance, in nats; each [instances], float64.

    Each bound holds on average, not for every instance: `lower` may lie above `upper` by chance where they are close.
    `lower_variance` and `upper_variance` are Monte Carlo variances (see `WeightMean`); `upper_variance` leaves out that
    the chains of an instance start at one teacher.
    """

    lower: Values
    upper: Values
    lower_variance: Values
    upper_variance: Values
    forward_effective_samples: Values
    reverse_effective_samples: Values

    @classmethod
    def of(cls, forward: Values, reverse: Values, constant: float = 0.0) -> "EvidenceBounds":
        """From log w and log r [instances, chains] of a Phi that is `constant` - log p(labels | F)."""
        w, r = WeightMean.of(forward), WeightMean.of(reverse)
        bounds = w.log + constant, -r.log + constant
        return cls(*bounds, w.variance, r.variance, w.effective_samples, r.effective_samples)
