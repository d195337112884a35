"""Posterior-mean predictions of every chain, and unbiased products of them.

The square of one noisy posterior mean is biased by its Monte Carlo variance; the product of the means of two chains
that are independent given the data is not. The draws are split into consecutive batches, and leaving out one batch at
a time (the jackknife) gives the Monte Carlo variance of any such product.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nishimori.measurement.overlaps import gram

MOST_BATCHES = 10
PREDICTION_SUM = "test_prediction_sum"
LABEL_SUM = "test_label_sum"
WEIGHT_SUM = "effective_weight_sum"


def batch_of(draw: int, draws: int) -> int:
    """The jackknife batch of draw number `draw` of `draws`."""
    return draw * min(MOST_BATCHES, draws) // draws


def batches_of(first: int, last: int, draws: int) -> tuple[int, int]:
    """The first batch of draws `first` to `last` (not included), and the one after the last."""
    return (batch_of(first, draws), batch_of(last - 1, draws) + 1) if first < last else (0, 0)


class PredictionMeans:
    """Sums over draws of F on the test inputs, by batch: [batches, instances, chains, test_samples], float64.

    Memory is flat in the number of draws.
    """

    def __init__(self, draws: int) -> None:
        self.draws = draws
        self.batches = min(MOST_BATCHES, draws)
        self.counts = torch.zeros(self.batches, dtype=torch.float64, device="cpu")
        self.sums: Tensor | None = None
        self.labels: PredictionMeans | None = None
        """The same of E[y | F], where that is not F."""
        self.weights: PredictionMeans | None = None
        """The same of the effective linear weights v, [..., input_dim], where there is a teacher to compare with."""

    def keep(
        self, draw: int, predictions: Tensor, label_means: Tensor | None, effective_weights: Tensor | None = None
    ) -> None:
        """`update` with F, and with E[y | F] and v where they are not None."""
        self.update(draw, predictions)
        if label_means is not None:
            self.labels = self.labels or PredictionMeans(self.draws)
            self.labels.update(draw, label_means)
        if effective_weights is not None:
            self.weights = self.weights or PredictionMeans(self.draws)
            self.weights.update(draw, effective_weights)

    def update(self, draw: int, predictions: Tensor) -> None:
        """Add draw number `draw`: `predictions` [instances, chains, test_samples]."""
        batch = batch_of(draw, self.draws)
        if self.sums is None:
            self.sums = predictions.new_zeros(self.batches, *predictions.shape)
        self.sums[batch] += predictions
        self.counts[batch] += 1

    def mean(self) -> Tensor:
        """[instances, chains, test_samples]."""
        return self._sums().sum(0) / float(self.counts.sum())

    def _sums(self) -> Tensor:
        if self.sums is None:
            raise ValueError("no draw was recorded; run at least one draw before asking for a mean")
        return self.sums

    def to_host(self, first: int = 0, last: int | None = None) -> dict[str, NDArray[np.float64]]:
        """The counts, and the sums of the batches that draws `first` to `last` (not included; all by default) are of,
        as host arrays of their own, to be written to a file; nothing before the first draw."""
        if self.sums is None:
            return {}
        touched = slice(*batches_of(first, self.draws if last is None else last, self.draws))
        others = {PREDICTION_SUM: self, LABEL_SUM: self.labels, WEIGHT_SUM: self.weights}
        sums = {
            name: means._sums()[touched].to("cpu", copy=True).numpy()
            for name, means in others.items()
            if means is not None
        }
        return {**sums, "count": self.counts.clone().numpy()}

    @classmethod
    def from_host(
        cls, draws: int, arrays: Mapping[str, NDArray[np.float64]], device: torch.device | str = "cpu"
    ) -> "PredictionMeans":
        """What `to_host` wrote."""
        means = cls(draws)
        if arrays:
            means.counts = torch.tensor(arrays["count"], dtype=torch.float64, device="cpu")
            means.sums = torch.as_tensor(arrays[PREDICTION_SUM], device=device)

        def other(name: str) -> "PredictionMeans | None":
            if name not in arrays:
                return None
            return cls.from_host(draws, {PREDICTION_SUM: arrays[name], "count": arrays["count"]}, device)

        means.labels, means.weights = other(LABEL_SUM), other(WEIGHT_SUM)
        return means

    def bayes_error(self, test_latent: Tensor, pairs: Sequence[tuple[int, int]]) -> tuple[Tensor, Tensor]:
        """Per instance, mean over the test inputs and the independent pairs (A, B) of (F* - <F>_A)(F* - <F>_B).

        `test_latent` is F*, or what else the means are compared with, [instances, 1, test_samples]. Returns value and
        variance as `jackknife` does.
        """
        first, second = [a for a, _ in pairs], [b for _, b in pairs]

        def product(mean: Tensor) -> Tensor:
            return gram(mean - test_latent)[:, first, second].mean(-1)

        return self.jackknife(product)

    def jackknife(self, statistic: Callable[[Tensor], Tensor], corrected: bool = False) -> tuple[Tensor, Tensor]:
        """`statistic` of the mean [instances, chains, test_samples], and its Monte Carlo variance; [instances] each.

        The variance is NaN for a single batch. `corrected` takes away the bias in first order of the variance of the
        mean, where the statistic is not linear in it and there are batches (Quenouille 1956).
        """
        sums, counts = self._sums(), self.counts
        total, count = sums.sum(0), float(counts.sum())
        value = statistic(total / count)
        if self.batches < 2:
            return value, torch.full_like(value, torch.nan)
        left_out = torch.stack([statistic((total - sums[k]) / (count - float(counts[k]))) for k in range(self.batches)])
        if corrected:
            value = self.batches * value - (self.batches - 1) * left_out.mean(0)
        return value, (self.batches - 1) * left_out.var(0, correction=0)
