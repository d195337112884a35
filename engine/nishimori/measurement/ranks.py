"""The rank of the teacher among draws from its posterior (simulation-based calibration; Cook, Gelman and Rubin 2006).

If theta* is a prior draw and theta_1 ... theta_S independent draws from its posterior, the rank of g(theta*) among
g(theta_s) is uniform on 0 ... S. Normal scores of the ranks, squared and summed over instances, see ranks that are
shifted, bunched or spread.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy import special

from nishimori.measurement.thresholds import SHORTEST_CHAIN

Values = NDArray[np.float64]

AUTOCORRELATION_TIMES_BETWEEN = 2.0
"""Between the draws that are ranked: neighbours then correlate by exp(-4) at most."""


def rank_deviate(draws: Values, truth: Values) -> tuple[float, float]:
    """Sum of squared normal scores per instance minus its mean 1, and the standard normal deviate of that sum.

    `draws` [instances, chains, draws] of chains that know nothing of the teacher, thinned here to independence; `truth`
    [instances]. The sum's law is a scaled chi-square with the exact mean and variance of the scores of discrete ranks.
    The deviate is 0 where a single draw remains, whose rank has but one squared score.
    """
    step = thinning(draws)
    kept = draws[..., step - 1 :: step].reshape(len(draws), -1)
    count = kept.shape[1]
    ranks = (kept < truth[:, None]).sum(axis=1)
    all_scores = special.ndtri((np.arange(count + 1) + 0.5) / (count + 1)) ** 2
    scores = all_scores / all_scores.mean()
    variance = float(scores.var())
    total, instances = float(scores[ranks].sum()), len(ranks)
    if variance < 1e-12:
        return total / instances - 1, 0.0
    degrees, scale = 2 * instances / variance, variance / 2
    above, below = special.chdtrc(degrees, total / scale), special.chdtr(degrees, total / scale)
    deviate = -special.ndtri(above) if above < below else special.ndtri(below)
    return total / instances - 1, float(deviate)


def thinning(draws: Values) -> int:
    """How many draws apart those are that count as independent; all of them where autocorrelation is not to be told."""
    from arviz_stats.base.array import array_stats

    count = draws.shape[-1]
    if count < SHORTEST_CHAIN:
        return count
    size = float(np.asarray(array_stats.ess(draws, chain_axis=1, draw_axis=2, method="mean")).sum())
    if not size > 0:
        return count
    return min(count, max(1, math.ceil(AUTOCORRELATION_TIMES_BETWEEN * draws.size / size - 1e-9)))
