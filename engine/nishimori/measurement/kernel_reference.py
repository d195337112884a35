"""The infinitely wide network as control variate: averages over teachers that need no sampling of a posterior.

For labels and predictions averaged over readout, label noise and hidden weights, the inputs given,

    E[-log N(y; 0, C)] = (tr(C^{-1} E y y^T) + logdet(2 pi C)) / 2,      E (A y - F*(x))^2,      E |B y - v*|^2

ask for second moments of F and of the effective linear weights v alone. With one hidden layer they are the wide
network's, whatever the width. With more, F and v are averaged over the readout and the output's bias exactly (F F^T is
s_a h h^T / d_L + b of the last hidden layer h), and over hidden layers drawn from the prior.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nishimori.description import Channel, Network
from nishimori.measurement.information import GaussianReference
from nishimori.measurement.overlaps import effective_matrix, effective_weights
from nishimori.models.forward import batched_network
from nishimori.models.problem import CPU, Problem, matched_teacher
from nishimori.models.randomness import Randomness
from nishimori.models.wide_network import WideNetwork
from nishimori_kernels.rng.streams import Stream

Values = NDArray[np.float64]

DRAWS = 64
"""Hidden layers an instance is averaged over where second moments are not the wide network's."""
FURTHER_DRAWS = 8
"""The same of data sets that no posterior is sampled of."""
AT_ONCE = 16
"""Data sets in memory together."""


@dataclass(frozen=True)
class KernelReference:
    """Of all instances of a problem; what is drawn depends on (seed, point, instance)."""

    problem: Problem
    seed: int = 0
    point: str = ""
    draws: int = DRAWS

    @cached_property
    def wide(self) -> WideNetwork:
        return WideNetwork(self.problem)

    @property
    def exact(self) -> bool:
        """Whether the second moments of F are the wide network's at any width; F has mean 0 then."""
        network = self.problem.network
        return network.depth <= 1 and (network.readout == "gaussian" or all(one.odd for one in network.activations))

    @cached_property
    def information(self) -> GaussianReference:
        """log N(y; 0, C) and E[-log N(y; 0, C)] - (n / 2) log(2 pi e Delta) of every instance, in nats."""
        samples, wide = self.problem.samples, self.wide
        excess = torch.zeros_like(wide.log_evidence) if self.exact else self._label_square() - samples
        information = wide.mutual_information * samples + excess / 2
        return GaussianReference((wide.log_evidence * samples).numpy(), information.numpy())

    @cached_property
    def squared_error(self) -> Tensor:
        """E (m - F*)^2 on the test inputs, over teachers and label noise, [instances]."""
        return self.wide.bayes_error("test") if self.exact else self._squared_errors[0]

    @property
    def overlap(self) -> Tensor:
        """1 - E |B y - v*|^2 / E |v*|^2, over teachers and label noise, [instances]: that of the wide network's
        mean."""
        return self.wide.overlap if self.exact else 1 - self._squared_errors[1]

    @cached_property
    def _squared_errors(self) -> tuple[Tensor, Tensor]:
        """E (A y - F*)^2 on the test inputs and E |B y - v*|^2 / E |v*|^2, [instances] each."""
        network, noise, samples = self.problem.network, self.problem.channel.noise_variance, self.problem.samples
        norm = network.input_dim * network.effective_variance
        smoother, weight_smoother = self.wide.smoother("test"), self.wide.weight_smoother
        rows = torch.cat([self.problem.inputs, self.problem.rows("test")], dim=1)
        of_outputs = noise * smoother.square().sum(-1).mean(-1)
        of_weights = noise * weight_smoother.square().sum((-1, -2)) / norm
        for features, vectors in self._features(rows):
            error = features[:, samples:] - smoother @ features[:, :samples]
            of_outputs = of_outputs + error.square().sum(-1).mean(-1) / self.draws
            error = vectors - weight_smoother @ features[:, :samples]
            of_weights = of_weights + error.square().sum((-1, -2)) / (norm * self.draws)
        return of_outputs, of_weights

    def _label_square(self) -> Tensor:
        """tr(C^{-1} E y y^T), [instances]."""
        factor = self.wide.factor
        inverse = torch.cholesky_inverse(factor).diagonal(dim1=-2, dim2=-1).sum(-1)
        total = self.problem.channel.noise_variance * inverse
        for features, _ in self._features(self.problem.inputs):
            whitened = torch.linalg.solve_triangular(factor, features, upper=False)
            total = total + whitened.square().sum((-1, -2)) / self.draws
        return total

    def _features(self, rows: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Psi [instances, rows, columns] and V [instances, input_dim, columns] with E F F^T = Psi Psi^T, E F v^T =
        Psi V^T and E v v^T = V V^T given the hidden layers of one draw; F and v themselves where the readout is
        fixed."""
        network, problem = self.problem.network, self.problem
        batched, scale = batched_network(network, rows, chains=1), math.sqrt(network.weight_variances[-1])
        bias = rows.new_full((*rows.shape[:2], 1), math.sqrt(network.bias_variance))
        weights = problem.layout(1).empty(torch.float64, CPU)
        randomness = Randomness.of(self.seed, self.point, problem.instances, (0,))
        for draw in range(self.draws):
            blocks = randomness.fill_normals(weights, Stream.KERNEL_WEIGHTS, draw).blocks
            if network.readout == "fixed":
                yield batched.forward(blocks).transpose(1, 2), effective_weights(weights, network).transpose(1, 2)
            else:
                hidden = batched.forward_hidden(blocks).squeeze(1).transpose(1, 2)
                features = scale * hidden / math.sqrt(network.widths[-1])
                vectors = effective_matrix(weights, network).squeeze(1)
                if network.bias_variance:
                    features = torch.cat([features, bias], dim=-1)
                    vectors = torch.cat([vectors, torch.zeros_like(vectors[..., :1])], dim=-1)
                yield features, vectors


@dataclass(frozen=True, eq=False)
class FurtherAverages:
    """`information` in nats, `squared_error` and `overlap` of a KernelReference for data sets that no posterior is
    sampled of, [data sets] each."""

    information: Values
    squared_error: Values
    overlap: Values


def further_averages(problem: Problem, data_sets: int, seed: int, point: str) -> FurtherAverages:
    """Of `data_sets` more data sets of the law of `problem`; they depend on (seed, point, number)."""
    sizes = problem.samples, max(1, problem.rows("test").shape[1])
    return _further_averages(problem.network, problem.channel, *sizes, data_sets, seed, f"{point}/control")


@lru_cache(maxsize=1)
def _further_averages(
    network: Network, channel: Channel, samples: int, test_samples: int, data_sets: int, seed: int, point: str
) -> FurtherAverages:
    rows = [np.zeros((3, 0))]
    for first in range(0, data_sets, AT_ONCE):
        numbers = range(first, min(first + AT_ONCE, data_sets))
        drawn = matched_teacher(network, channel, samples, numbers, seed=seed, test_samples=test_samples, point=point)
        own = KernelReference(drawn, seed, point, FURTHER_DRAWS)
        rows.append(np.stack([own.information.information, own.squared_error.numpy(), own.overlap.numpy()]))
    return FurtherAverages(*np.concatenate(rows, axis=1))
