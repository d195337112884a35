"""Posterior predictive densities of labels, averaged over draws.

The logarithm of a mean of N draws lies below the logarithm of the density by about its relative variance over 2 N. The
draws are split into consecutive batches, and leaving out one batch at a time (the jackknife) removes that bias to first
order and gives the Monte Carlo variance.
"""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

Values = NDArray[np.float64]

BATCHES = 10


class PredictiveDensity:
    """Of some labels an instance: sums over draws and chains of p(label | theta), by batch of consecutive draws.

    Memory is flat in the number of draws.
    """

    def __init__(self, draws: int) -> None:
        self.draws, self.batches = draws, min(BATCHES, draws)
        self.counts = np.zeros(self.batches)
        self.log_sums: Values | None = None

    def update(self, draw: int, log_densities: Values) -> None:
        """Add draw number `draw`: log p(label | theta), [instances, chains, rows]."""
        batch = draw * self.batches // self.draws
        if self.log_sums is None:
            instances, _, rows = log_densities.shape
            self.log_sums = np.full((self.batches, instances, rows), -math.inf)
        added = np.asarray(logsumexp(log_densities, axis=1))
        self.log_sums[batch] = np.logaddexp(self.log_sums[batch], added)
        self.counts[batch] += log_densities.shape[1]

    def to_host(self) -> dict[str, Values]:
        """Counts and sums as arrays of their own, to be written to a file; nothing before the first draw."""
        return {} if self.log_sums is None else {"counts": self.counts.copy(), "log_sums": self.log_sums.copy()}

    @classmethod
    def from_host(cls, draws: int, arrays: Mapping[str, Values]) -> "PredictiveDensity":
        """What `to_host` wrote."""
        density = cls(draws)
        if "log_sums" in arrays:
            density.counts, density.log_sums = arrays["counts"].copy(), arrays["log_sums"].copy()
        return density

    def mean_log(self) -> tuple[Values, Values]:
        """Mean over rows of log <p(label | theta)> and its Monte Carlo variance (NaN for one batch), [instances]."""
        if self.log_sums is None:
            raise ValueError("no draw was recorded; run at least one draw before asking for a density")
        naive = self._without(np.zeros(self.batches, dtype=bool))
        if self.batches < 2:
            return naive, np.full_like(naive, math.nan)
        left_out = np.stack([self._without(one) for one in np.eye(self.batches, dtype=bool)])
        corrected = self.batches * naive - (self.batches - 1) * left_out.mean(0)
        return corrected, (self.batches - 1) * left_out.var(0)

    def halves(self) -> list[Values]:
        """The mean over rows of the log of the mean over the first and over the last batches, [instances] each; biased
        alike."""
        if self.batches < 2:
            return []
        first = np.arange(self.batches) < self.batches // 2
        return [self._without(~first), self._without(first)]

    def _without(self, left_out: NDArray[np.bool_]) -> Values:
        assert self.log_sums is not None
        kept = ~left_out
        density = np.asarray(logsumexp(self.log_sums[kept], axis=0)) - math.log(self.counts[kept].sum())
        return density.mean(-1)
