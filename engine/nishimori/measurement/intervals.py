"""Predictive intervals whose coverage is known exactly, in memory that does not grow with the number of draws.

If a fresh label and S replicated ones are drawn independently from the same predictive law, the fresh one lies between
the least and the largest of the others with probability (S - 1) / (S + 1), at every size and for every law: 95 % for
S = 39 (distribution-free prediction intervals; Wilks 1941). The fresh label's noise is averaged out, so that coverage
is a smooth function of the teacher's output.

One draw more is held out: the labels of its outputs are covered just as often, with the same skewed spread over
instances, so that the difference of the two coverages is symmetric about zero and a Student t of few instances is too.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nishimori.models.layout import Layout
from nishimori.models.randomness import Randomness
from nishimori_kernels.rng.streams import Stream

Values = NDArray[np.float64]

REPLICATES = 39
"""95 % intervals."""
KEPT = ("least", "largest", "held_out")


class PredictiveIntervals:
    """The least and the largest of up to 39 labels replicated at each test input, and the noiseless label of a draw
    held out, [instances, test_samples], float64.

    Labels are f(F) with Gaussian noise of variance `noise_variance`, as the student believes, f the identity for the
    Gaussian channel. Replicates are spread evenly over all `chains` and draws, the one held out in their middle; those
    of `own` chains, by default of all, are gathered here.
    """

    def __init__(self, draws: int, chains: int, noise_variance: float, own: Sequence[int] | None = None) -> None:
        self.noise_variance = noise_variance
        here = {chain: place for place, chain in enumerate(range(chains) if own is None else own)}
        self._complete = len(here) == chains
        total = draws * chains
        self.replicates = min(REPLICATES, total - 1)
        places = [
            divmod((2 * number + 1) * total // (2 * (self.replicates + 1)), draws)
            for number in range(self.replicates + 1)
        ]
        chain, draw = places.pop(len(places) // 2)
        self._held_out = (here[chain], draw) if chain in here else (0, -1)
        """Where the chain is, and the draw, -1 for none."""
        self._chains_at: dict[int, list[int]] = {}
        for chain, draw in places:
            if chain in here:
                self._chains_at.setdefault(draw, []).append(here[chain])
        self.least: Tensor | None = None
        self.largest: Tensor | None = None
        self.held_out: Tensor | None = None

    def update(self, draw: int, mean: Tensor, variance: Tensor | None, randomness: Randomness) -> None:
        """Replicate labels at draw number `draw` for the chains whose turn it is.

        `mean` [instances, chains, test_samples] is f(F), or its mean given what was drawn with `variance` left.
        """
        held_out_chain, held_out_draw = self._held_out
        chains = self._chains_at.get(draw, [])
        if not chains and draw != held_out_draw:
            return
        noise = self._noise(draw, mean, randomness)
        left = torch.zeros_like(noise) if variance is None else variance.double()
        if draw == held_out_draw:
            outputs = mean.double() + noise * left.sqrt()
            self.held_out = outputs[:, held_out_chain].clone()
        if chains:
            labels = (mean.double() + noise * (self.noise_variance + left).sqrt())[:, chains]
            least, largest = labels.amin(1), labels.amax(1)
            self.least = least if self.least is None else torch.minimum(self.least, least)
            self.largest = largest if self.largest is None else torch.maximum(self.largest, largest)

    @staticmethod
    def _noise(draw: int, like: Tensor, randomness: Randomness) -> Tensor:
        """Standard normals, shaped like predictions; a chain's own serve its replicate or the output held out."""
        layout = Layout(like.shape[0], like.shape[1], (tuple(like.shape[2:]),))
        return randomness.fill_normals(layout.empty(torch.float64, like.device), Stream.PREDICTIVE, draw).blocks[0]

    @property
    def nominal(self) -> float:
        """The exact coverage, 0.95 for 39 replicates."""
        return (self.replicates - 1) / (self.replicates + 1)

    def coverage(self, truth: Tensor) -> tuple[Values, Values] | None:
        """Mean over test inputs of the probability that a fresh label lies in its interval, [instances]: of `truth`
        f(F*) [instances, 1, test_samples] with noise, and of the draw held out. None where there are too few draws, and
        where some of the chains are not here."""
        if self.held_out is None or self.least is None or not self._complete:
            return None
        return self._covered(truth.double().squeeze(1)), self._covered(self.held_out)

    def _covered(self, mean: Tensor) -> Values:
        assert self.least is not None and self.largest is not None
        deviation = math.sqrt(self.noise_variance)
        upper, lower = ((edge - mean) / deviation for edge in (self.largest, self.least))
        return (torch.special.ndtr(upper) - torch.special.ndtr(lower)).mean(-1).cpu().numpy()

    def to_host(self) -> dict[str, Values]:
        """What `update` gathered as host arrays, to be written to a file; nothing before the first replicate."""
        kept = {name: getattr(self, name) for name in KEPT}
        return {name: values.to("cpu", copy=True).numpy() for name, values in kept.items() if values is not None}

    @classmethod
    def from_host(
        cls,
        draws: int,
        chains: int,
        noise_variance: float,
        arrays: Mapping[str, Values],
        device: torch.device | str = "cpu",
    ) -> "PredictiveIntervals":
        """What `to_host` wrote."""
        intervals = cls(draws, chains, noise_variance)
        intervals.put_back(arrays, device)
        return intervals

    def put_back(self, arrays: Mapping[str, Values], device: torch.device | str = "cpu") -> None:
        """What `to_host` wrote of the first draws, to be gone on from."""
        for name in KEPT:
            if name in arrays:
                setattr(self, name, torch.tensor(arrays[name], device=device))
