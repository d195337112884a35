"""Gradient flow of the squared error of many networks at once: all weights, full batch, by Runge and Kutta's rule."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nishimori.models.layout import Position, chain_dot
from nishimori.models.posterior import Posterior

if TYPE_CHECKING:
    from nishimori.chains.progress import Progress
    from nishimori.models.problem import Problem

Array = NDArray[np.float64]
STEP = 0.25
"""Of the flow, in units of the fastest mode's time: the rule of order four is then off by 1e-5 of that mode."""


@dataclass(frozen=True, eq=False)
class Trained:
    """What networks gave: `outputs` [times, instances, members, test inputs], `lengths` and `energies` of their paths
    in the space of training outputs and `traces` tr J^T J [times, instances, members], and `starts`, their training
    outputs before any training [instances, members, samples]."""

    outputs: Array
    lengths: Array
    energies: Array
    traces: Array
    starts: Array


class Ensemble:
    """`members` networks an instance of a problem, drawn from the prior, float64, on their way down |z - Y|^2 / 2.

    Weights and biases are N(0, 1), scaled in the forward pass. Draws are those of prior starts at (seed, point), so
    that a member depends on its instance and number alone. `lengths` int |dz/dt| dt and `energies` int |dz/dt|^2 dt
    [instances, members] are those of the paths of training outputs so far.
    """

    def __init__(self, problem: "Problem", members: int, seed: int, point: str, device: str) -> None:
        self.posterior, self.members = Posterior(problem, "fp64", device), members
        self.weights = self.posterior.initial_position(members, "prior", seed, point)
        self.labels = problem.labels.to(self.posterior.device).unsqueeze(1)  # [instances, 1, samples]
        self.zero = Position(torch.zeros_like(self.weights.flat), self.weights.layout)
        self.lengths = torch.zeros(len(problem.instances), members, dtype=torch.float64, device=self.posterior.device)
        self.energies = torch.zeros_like(self.lengths)

    def outputs(self, inputs: str, weights: Position | None = None) -> Tensor:
        """z on the "train" or "test" inputs, [instances, members, rows]."""
        blocks = (self.weights if weights is None else weights).blocks
        return self.posterior.network(inputs, self.members).forward(blocks).clone()

    def gradients(self) -> Iterator[Position]:
        """dz/dtheta of every training input, one after the other."""
        for sample in range(self.labels.shape[2]):
            chosen = torch.zeros_like(self.outputs("train"))  # whose forward pass the pull-back takes up
            chosen[..., sample] = 1
            yield self._pull_back(self.weights, chosen)

    def fisher_traces(self) -> Tensor:
        """tr J^T J over the training inputs, [instances, members]."""
        total = torch.zeros_like(self.lengths)
        for one in self.gradients():
            total += chain_dot(one, one)
        return total

    def step(self, size: float) -> None:
        """One of the classical Runge-Kutta rule, of order four."""
        before, start = self.outputs("train"), self.weights.flat
        slopes = [self._velocity(self.weights)]
        for ahead in (0.5, 0.5, 1.0):
            slopes.append(self._velocity(self._moved(size * ahead * slopes[-1].flat)))
        first, second, third, fourth = (slope.flat for slope in slopes)
        middle = self.outputs("train", self._moved(size / 24 * (5 * first + 4 * (second + third) - fourth)))
        start.add_(first + 2 * (second + third) + fourth, alpha=size / 6)
        after = self.outputs("train")
        self.lengths += _arc(before, middle, after)
        self.energies += _arc_energy(before, middle, after) / size

    def _moved(self, by: Tensor) -> Position:
        return Position(self.weights.flat + by, self.weights.layout)

    def _velocity(self, weights: Position) -> Position:
        """-J^T (z - Y)."""
        return self._pull_back(weights, (self.labels - self.outputs("train", weights)).contiguous())

    def _pull_back(self, weights: Position, latent_gradient: Tensor) -> Position:
        out = weights.empty_like()
        network = self.posterior.network("train", self.members)
        network.pull_back(weights.blocks, latent_gradient, self.zero.blocks, out.blocks)
        return out


def _arc(before: Tensor, middle: Tensor, after: Tensor) -> Tensor:
    """The length of a smooth arc [..., samples] from its chords, to fourth order (Richardson)."""
    halves = (middle - before).norm(dim=-1) + (after - middle).norm(dim=-1)
    return (4 * halves - (after - before).norm(dim=-1)) / 3


def _arc_energy(before: Tensor, middle: Tensor, after: Tensor) -> Tensor:
    """int_0^1 |dz/dt|^2 dt of a smooth arc [..., samples], half of it before `middle`, likewise."""
    halves = 2 * ((middle - before).square().sum(-1) + (after - middle).square().sum(-1))
    return (4 * halves - (after - before).square().sum(-1)) / 3


def train(ensemble: Ensemble, times: Sequence[float], rate: float, progress: "Progress") -> Trained:
    """For so long; `rate` is the largest eigenvalue of the tangent kernels, which sets the step."""
    starts, found, now, done = ensemble.outputs("train"), [], 0.0, 0
    spans = [later - earlier for earlier, later in zip((0.0, *times), times, strict=False)]
    counts = [max(1, math.ceil(span * rate / STEP)) for span in spans]
    for time, count in zip(times, counts, strict=True):
        size = (time - now) / count
        for _ in range(count):
            ensemble.step(size)
            done += 1
            progress("training", done, sum(counts), math.nan)
        now = time
        paths = ensemble.lengths.clone(), ensemble.energies.clone()
        found.append((ensemble.outputs("test"), *paths, ensemble.fisher_traces()))
    outputs, lengths, energies, traces = (torch.stack(column).cpu().numpy() for column in zip(*found, strict=True))
    return Trained(outputs, lengths, energies, traces, starts.cpu().numpy())
