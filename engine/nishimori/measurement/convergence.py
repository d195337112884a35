"""Did the chains converge: effective sample sizes, R-hats and Monte Carlo error (arviz-stats; Vehtari et al. 2021,
arXiv 1903.08008), nested R-hat (Margossian et al. 2024, arXiv 2110.13017), decay of the start, stuck chains."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nishimori.measurement.thresholds import AUTOCORRELATION_TIMES_OF_CHAIN, SHORTEST_CHAIN

Values = NDArray[np.float64]
Superchains = Sequence[Sequence[int]]
"""Places of the chains of each superchain, as many in each."""
TAILS = (0.05, 0.95)
"""Quantiles whose effective sample size is that of the tails."""


class ChainTooShort(ValueError):
    """An estimator asked for too short a chain refuses; `value` is what it says so far, not to be relied upon."""

    def __init__(self, message: str, value: object) -> None:
        super().__init__(message)
        self.value = value


@dataclass(frozen=True)
class Convergence:
    """Of one observable.

    `effective_sample_size` is the bulk size summed over instances, `tail_sample_size` that of the 5 and 95 % quantiles.
    Three R-hats, each pooled over instances as the root of its mean square: `r_hat` rank-normalised (the larger of bulk
    and folded), which also sees chains that differ in spread or have no mean; `split_r_hat` not rank-normalised, which
    of one instance is unbounded, so that a single instance whose chains disagree shows in the pooled value;
    `nested_r_hat` between superchains, NaN where there are not two. `worst_r_hat` is the largest split R-hat of an
    instance; `monte_carlo_variance` that of each instance's mean, and `r_hats` the rank-normalised R-hat of each,
    [instances].
    """

    effective_sample_size: float
    tail_sample_size: float
    r_hat: float
    split_r_hat: float
    nested_r_hat: float
    worst_r_hat: float
    monte_carlo_variance: Values
    r_hats: Values


def convergence(draws: Values, superchains: Superchains = ()) -> Convergence:
    """Diagnostics of `draws` [instances, chains, draws]; a single chain is judged as two, its halves.

    Raises ChainTooShort below eight draws; its `value` is NaN in all but the nested R-hat, which needs no long chains.
    """
    from arviz_stats.base.array import array_stats

    instances, chains, count = draws.shape
    nested = pooled(nested_r_hat(draws, superchains)) if len(superchains) > 1 else math.nan
    if count < SHORTEST_CHAIN:
        nan = math.nan
        unknown = Convergence(nan, nan, nan, nan, nested, nan, *np.full((2, instances), nan))
        raise ChainTooShort(f"{count} draws a chain; take at least {SHORTEST_CHAIN}", unknown)
    if chains == 1:
        draws = draws[..., count % 2 :].reshape(instances, 2, count // 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a constant trace gives NaN, which is refused downstream
        bulk = np.asarray(array_stats.ess(draws, chain_axis=1, draw_axis=2, method="bulk"))
        tail = np.asarray(array_stats.ess(draws, chain_axis=1, draw_axis=2, method="tail", prob=TAILS))
        ranked, split = (
            np.asarray(array_stats.rhat(draws, chain_axis=1, draw_axis=2, method=method))
            for method in ("rank", "split")
        )
        error = np.asarray(array_stats.mcse(draws, chain_axis=1, draw_axis=2, method="mean"))
    bulk_size, tail_size, worst = float(bulk.sum()), float(tail.sum()), float(split.max())
    return Convergence(bulk_size, tail_size, pooled(ranked), pooled(split), nested, worst, error**2, ranked)


def monte_carlo_variance(draws: Values) -> Values:
    """That of each instance's mean of `draws` [instances, chains, draws], [instances]; NaN below eight draws."""
    try:
        return convergence(draws).monte_carlo_variance
    except ChainTooShort:
        return np.full(len(draws), math.nan)


def pooled(r_hat: Values) -> float:
    """The root of the mean square over instances: between-chain variances are averaged."""
    return float(np.sqrt(np.mean(r_hat**2)))


def nested_r_hat(draws: Values, superchains: Superchains) -> Values:
    """sqrt(1 + B / W) of each instance, [instances], for many chains that may be as short as one draw.

    B is the variance of the means of superchains; W the mean over superchains of the variance between means of their
    chains plus the mean variance within chains (eqs. 6 and 7 of arXiv 2110.13017). At stationarity it is close to 1
    plus half the inverse effective size of a superchain, however short its chains are. The chains of a superchain
    should share their start. Raises ValueError unless there are two superchains of equal size, with two draws at least
    in each.
    """
    sizes = {len(places) for places in superchains}
    if len(superchains) < 2 or len(sizes) != 1 or min(sizes) * draws.shape[-1] < 2:
        raise ValueError(
            "nested R-hat compares two or more superchains of equal size, of two draws at least; make them"
        )
    grouped = np.stack([draws[:, list(places)] for places in superchains], axis=1)
    chain_means = grouped.mean(axis=3)
    between_chains = chain_means.var(axis=2, ddof=1) if grouped.shape[2] > 1 else 0.0
    within_chains = grouped.var(axis=3, ddof=1).mean(axis=2) if grouped.shape[3] > 1 else 0.0
    between = chain_means.mean(axis=2).var(axis=1, ddof=1)
    within = np.mean(between_chains + within_chains, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.sqrt(1 + between / within)


def autocorrelation_time(draws: Values) -> float:
    """Integrated autocorrelation time tau of `draws` [instances, chains, draws], in draws, pooled over instances: the
    variance of a long mean is tau times that of independent draws.

    Raises ChainTooShort, with the current value, where a chain is shorter than 50 tau.
    """
    from arviz_stats.base.array import array_stats

    count = draws.shape[-1]
    value = math.nan
    if count >= SHORTEST_CHAIN:
        size = np.asarray(array_stats.ess(draws, chain_axis=1, draw_axis=2, method="mean"))
        value = draws.size / float(size.sum())
    if not count >= AUTOCORRELATION_TIMES_OF_CHAIN * value:
        needed = "more" if math.isnan(value) else f"at least {math.ceil(AUTOCORRELATION_TIMES_OF_CHAIN * value)}"
        raise ChainTooShort(
            f"{count} draws a chain are too few for an autocorrelation time of {value:.3g} draws so far; take {needed}",
            value,
        )
    return value


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
