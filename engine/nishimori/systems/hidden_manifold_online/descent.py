"""Stochastic gradient descent of both layers, a fresh input a step; all instances of a point move at once, to
the bit as each would alone: torch's batched products, and one product for all, are rounded by what stands beside."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nishimori.models.addressed import Draws
from nishimori.models.inputs import InputGenerator
from nishimori.theory.hidden_manifold import Start
from nishimori_kernels.batched_products import multiply
from nishimori_kernels.rng.streams import Stream

if TYPE_CHECKING:
    from nishimori.chains.progress import Progress

Array = NDArray[np.float64]
NUMBERS = 1 << 22
"""In the largest array of a chunk of steps, of all instances of a point."""
SLOPE = math.sqrt(2 / math.pi)


@dataclass(frozen=True, eq=False)
class Descent:
    """Student and teacher of every instance, on inputs of one generator; `noise_variance` is that of the labels.
    Inputs of a `chunk` of steps are made together."""

    generator: InputGenerator
    draws: Draws
    starts: Sequence[Start]
    learning_rate: float
    noise_variance: float = 0.0
    test_samples: int = 5000
    chunk: int = 1000

    def errors(self, times: Sequence[float], progress: "Progress") -> Array:
        """E (f - y)^2 / 2 without label noise, [instances, times], averaged over fresh inputs, those of time 0 too."""
        weights, readout = self._stacked("weights"), self._stacked("readout")
        dim, step, found = self.generator.input_dim, 0, []
        ends = [round(time * dim) for time in times]
        for end in ends:
            while step < end:
                count = min(end - step, self.chunk)
                inputs, labels = self._examples(Stream.TRAIN_INPUTS, step, count)
                labels = labels + math.sqrt(self.noise_variance) * self._noise(step, count)
                for row in range(count):
                    self._step(weights, readout, inputs[:, row], labels[:, row])
                step += count
                progress("descent", step, ends[-1], math.nan)
            found.append(self._error(weights, readout))
        return torch.stack(found, dim=1).cpu().numpy()

    def _step(self, weights: Tensor, readout: Tensor, inputs: Tensor, labels: Tensor) -> None:
        """In place: weights [instances, units, N], readout [instances, units]."""
        dim = inputs.shape[1]
        fields = (weights * inputs[:, None]).sum(2) / math.sqrt(dim)
        hidden = torch.erf(fields / math.sqrt(2))
        missed = labels - (readout * hidden).sum(1)
        pull = self.learning_rate * missed[:, None]
        slopes = pull * readout * SLOPE * torch.exp(-0.5 * fields**2) / math.sqrt(dim)
        weights.addcmul_(slopes[:, :, None], inputs[:, None])
        readout += pull / dim * hidden

    def _error(self, weights: Tensor, readout: Tensor) -> Tensor:
        """[instances], on the same test rows every time."""
        total = torch.zeros(len(weights), dtype=torch.float64, device=weights.device)
        for first in range(0, self.test_samples, self.chunk):
            count = min(self.chunk, self.test_samples - first)
            inputs, labels = self._examples(Stream.TEST_INPUTS, first, count)
            fields = multiply(inputs, weights.mT) / math.sqrt(self.generator.input_dim)
            missed = labels - (torch.erf(fields / math.sqrt(2)) * readout[:, None]).sum(2)
            total += 0.5 * missed.square().sum(1)
        return total / self.test_samples

    def _examples(self, stream: Stream, first: int, count: int) -> tuple[Tensor, Tensor]:
        """Inputs [instances, count, N] and the teacher's outputs [instances, count]."""
        normals = self.draws.rows(stream, count, self.generator.numbers, first)
        latent = normals[..., : self.generator.latent_dim]
        fields = multiply(latent, self._stacked("teacher_weights").mT) / math.sqrt(self.generator.latent_dim)
        outputs = (torch.erf(fields / math.sqrt(2)) * self._stacked("teacher_readout")[:, None]).sum(2)
        return torch.stack([self.generator(one.clone()) for one in normals]), outputs

    def _noise(self, first: int, count: int) -> Tensor:
        return self.draws.rows(Stream.TRAIN_NOISE, count, 1, first).squeeze(2)

    def _stacked(self, name: str) -> Tensor:
        return torch.tensor(np.stack([getattr(start, name) for start in self.starts]), device=self.draws.device)


def chunk_of(generator: InputGenerator, instances: int) -> int:
    """Steps, for a point of so many instances: the same for some of them, as products of other shapes are rounded
    otherwise."""
    return max(1, NUMBERS // (instances * max(generator.input_dim, generator.numbers)))


def drawn_starts(
    generator: InputGenerator, units: int, teacher_units: int, deviations: tuple[float, float], draws: Draws
) -> list[Start]:
    """One an instance: teacher directions iid N(0, 1) with readouts 1; weights and readouts of students are normal with
    these standard deviations."""
    teacher = draws.rows(Stream.TEACHER, teacher_units, generator.latent_dim).cpu().numpy()
    weights = draws.rows(Stream.PRIOR_START, units, generator.input_dim).cpu().numpy()
    readout = draws.rows(Stream.PRIOR_START, units, 1, step=1).squeeze(2).cpu().numpy()
    ones = np.ones(teacher_units)
    return [
        Start(deviations[0] * first, deviations[1] * second, taught, ones)
        for first, second, taught in zip(weights, readout, teacher, strict=True)
    ]
