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
    """Of one observable: bulk effective sample size summed over instances, R-hat pooled over them (root mean square),
    and the Monte Carlo variance of each instance's mean, [instances]."""

    effective_sample_size: float
    r_hat: float
    monte_carlo_variance: Values


def convergence(draws: Values) -> Convergence:
    """Diagnostics of `draws` [instances, chains, draws]; NaN where there are fewer than four draws."""
    from arviz_stats.base.array import array_stats

    if draws.shape[-1] < 4:
        return Convergence(math.nan, math.nan, np.full(len(draws), math.nan))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a constant trace gives NaN, which is refused downstream
        size = np.asarray(array_stats.ess(draws, chain_axis=1, draw_axis=2, method="bulk"))
        r_hat = np.asarray(array_stats.rhat(draws, chain_axis=1, draw_axis=2))
        error = np.asarray(array_stats.mcse(draws, chain_axis=1, draw_axis=2, method="mean"))
    return Convergence(float(size.sum()), float(np.sqrt(np.mean(r_hat**2))), error**2)


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
