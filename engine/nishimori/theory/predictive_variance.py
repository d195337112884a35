"""What a predictive variance is made of, and how often its interval covers a label.

The predictive variance of a label is that of the output, over a posterior or an ensemble, and the label's noise. Over
networks whose readout is integrated out, given hidden layers W, the law of total variance splits that of the output
into what readouts and what hidden layers do not agree on: E_W v_W + Var_W m_W.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TotalVariance:
    """`mean` of the output, `within` E_W v_W and `between` Var_W m_W, in the shape of what was averaged over W."""

    mean: Array
    within: Array
    between: Array

    @property
    def variance(self) -> Array:
        return self.within + self.between


def total_variance(means: ArrayLike, variances: ArrayLike) -> TotalVariance:
    """Of m_W and v_W, [draws, ...] both."""
    of_draws = np.asarray(means, dtype=np.float64)
    return TotalVariance(of_draws.mean(axis=0), np.asarray(variances).mean(axis=0), of_draws.var(axis=0))


def coverage(
    mean: ArrayLike, variance: ArrayLike, latent: ArrayLike, noise_variance: float, level: float = 0.95
) -> Array:
    """How often mean +- k sqrt(variance + noise_variance), k that of a normal's `level`, covers a label of noise about
    the true output `latent`: the noise averaged out, in the shape of the arguments.

    The mean of it is `level` where the predictive law is normal and the true posterior's, as under a matched teacher.
    Raises ValueError for a noise variance that is not positive or a level that is no probability.
    """
    from scipy.special import ndtr, ndtri

    if not (noise_variance > 0 and 0 < level < 1):
        raise ValueError(f"noise_variance = {noise_variance} must be positive, and level = {level} between 0 and 1")
    half = ndtri(0.5 + 0.5 * level) * np.sqrt(np.asarray(variance, dtype=np.float64) + noise_variance)
    missed, deviation = np.asarray(mean, dtype=np.float64) - np.asarray(latent), math.sqrt(noise_variance)
    return ndtr((missed + half) / deviation) - ndtr((missed - half) / deviation)
