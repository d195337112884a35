"""Did the chains converge: effective sample size, R-hat and Monte Carlo error (arviz-stats), decay of the start,
stuck chains."""

import math
import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Convergence:
    """Of one observable.

    `effective_sample_size` is the bulk size summed over instances; `r_hat` the split R-hat pooled over instances, the
    root of its mean square, and `worst_r_hat` the largest; `monte_carlo_variance` that of each instance's mean,
    [instances]. The R-hat is not rank-normalised: that of one instance is then unbounded, so a single instance whose
    chains disagree shows in the pooled value.
    """

    effective_sample_size: float
    r_hat: float
    worst_r_hat: float
    monte_carlo_variance: Values


def convergence(draws: Values) -> Convergence:
    """Diagnostics of `draws` [instances, chains, draws]; NaN where there are fewer than eight draws.

    A single chain is judged as two, its halves.
    """
    from arviz_stats.base.array import array_stats

    instances, chains, count = draws.shape
    if count < 8:
        return Convergence(math.nan, math.nan, math.nan, np.full(instances, math.nan))
    if chains == 1:
        draws = draws[..., count % 2 :].reshape(instances, 2, count // 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a constant trace gives NaN, which is refused downstream
        size = np.asarray(array_stats.ess(draws, chain_axis=1, draw_axis=2, method="bulk"))
        r_hat = np.asarray(array_stats.rhat(draws, chain_axis=1, draw_axis=2, method="split"))
        error = np.asarray(array_stats.mcse(draws, chain_axis=1, draw_axis=2, method="mean"))
    pooled = float(np.sqrt(np.mean(r_hat**2)))
    return Convergence(float(size.sum()), pooled, float(r_hat.max()), error**2)


def decay_time(trace: Values, plateau: float) -> float:
    """Transitions after which `trace` [steps], averaged over chains and instances, has come within 1/e of its plateau.

    Interpolated between steps; infinite where it never does.
    """
    start = trace[0] - plateau
    if start == 0:
        return 0.0
    remaining = (trace - plateau) / start
    below = np.flatnonzero(remaining < math.exp(-1))
    if len(below) == 0:
        return math.inf
    last = int(below[0])
    high, low = remaining[last - 1], remaining[last]
    return float(last - 1 + (high - math.exp(-1)) / (high - low))


def stuck_chains(accepted: Values) -> list[tuple[int, int]]:
    """(instance, chain) places that accepted nothing; `accepted` [instances, chains, transitions]."""
    stuck = np.argwhere(~accepted.astype(bool).any(axis=-1))
    return [(int(instance), int(chain)) for instance, chain in stuck]
