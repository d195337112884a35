"""Predictive intervals whose coverage is known exactly, in memory that does not grow with the number of draws.

If a fresh label and S replicated ones are drawn independently from the same predictive law, the fresh one lies between
the least and the largest of the others with probability (S - 1) / (S + 1), at every size and for every law: 95 % for
S = 39 (distribution-free prediction intervals; Wilks 1941). The fresh label's noise is averaged out, so that coverage
is a smooth function of the teacher's output.
"""

import math
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nishimori.models.layout import Layout
from nishimori.models.randomness import Randomness
from nishimori_kernels.rng.streams import Stream

REPLICATES = 39
"""95 % intervals."""


class PredictiveIntervals:
    """The least and the largest of up to 39 labels replicated at each test input, [instances, test_samples], float64.

    Replicates are spread evenly over chains and draws. `noise_variance` is the channel's, as the student believes it.
    """

    def __init__(self, draws: int, chains: int, noise_variance: float) -> None:
        self.noise_variance = noise_variance
        total = draws * chains
        self.replicates = min(REPLICATES, total)
        self._chains_at: dict[int, list[int]] = {}
        for number in range(self.replicates):
            chain, draw = divmod((2 * number + 1) * total // (2 * self.replicates), draws)
            self._chains_at.setdefault(draw, []).append(chain)
        self.least: Tensor | None = None
        self.largest: Tensor | None = None

    def update(self, draw: int, mean: Tensor, variance: Tensor | None, randomness: Randomness) -> None:
        """Replicate labels at draw number `draw` for the chains whose turn it is.

        `mean` [instances, chains, test_samples] is F, or its mean given what was drawn with `variance` left.
        """
        chains = self._chains_at.get(draw)
        if chains is None:
            return
        instances, count, samples = mean.shape
        noise = Layout(instances, count, ((samples,),)).empty(torch.float64, mean.device)
        randomness.fill_normals(noise, Stream.PREDICTIVE, draw)
        spread = self.noise_variance if variance is None else self.noise_variance + variance.double()
        labels = (
            mean.double() + noise.blocks[0] * torch.as_tensor(spread, dtype=torch.float64, device=mean.device).sqrt()
        )[:, chains]
        least, largest = labels.amin(1), labels.amax(1)
        self.least = least if self.least is None else torch.minimum(self.least, least)
        self.largest = largest if self.largest is None else torch.maximum(self.largest, largest)

    @property
    def nominal(self) -> float:
        """The exact coverage, 0.95 for 39 replicates."""
        return (self.replicates - 1) / (self.replicates + 1)

    def coverage(self, test_latent: Tensor) -> NDArray[np.float64] | None:
        """Mean over test inputs of the probability that a fresh label of `test_latent` F* [instances, 1, test_samples]
        lies in its interval, [instances]; None before the first replicate."""
        if self.least is None or self.largest is None:
            return None
        deviation, latent = math.sqrt(self.noise_variance), test_latent.double().squeeze(1)
        upper, lower = ((edge - latent) / deviation for edge in (self.largest, self.least))
        return (torch.special.ndtr(upper) - torch.special.ndtr(lower)).mean(-1).cpu().numpy()

    def to_host(self) -> dict[str, NDArray[np.float64]]:
        """The edges as host arrays, to be written to a file; empty before the first replicate."""
        if self.least is None or self.largest is None:
            return {}
        return {"least": self.least.cpu().numpy(), "largest": self.largest.cpu().numpy()}

    @classmethod
    def from_host(
        cls,
        draws: int,
        chains: int,
        noise_variance: float,
        arrays: Mapping[str, NDArray[np.float64]],
        device: torch.device | str = "cpu",
    ) -> "PredictiveIntervals":
        """What `to_host` wrote."""
        intervals = cls(draws, chains, noise_variance)
        if arrays:
            intervals.least, intervals.largest = (
                torch.as_tensor(arrays[name], device=device) for name in ("least", "largest")
            )
        return intervals
