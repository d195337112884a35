"""The infinitely wide network as control variate: averages over teachers that need no sampling of a posterior.

For labels and predictions averaged over readout, label noise and hidden weights, the inputs given,

    E[-log N(y; 0, C)] = (tr(C^{-1} E y y^T) + logdet(2 pi C)) / 2,      E (m(x) - F*(x))^2 with m = A y

ask for second moments of F alone. With one hidden layer they are the wide network's, whatever the width. With more,
F F^T is averaged over the readout and the output's bias exactly, s_a h h^T / d_L + b of the last hidden layer h, and
over hidden layers drawn from the prior.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from nishimori.measurement.information import GaussianReference
from nishimori.models.forward import batched_network
from nishimori.models.problem import CPU, Problem
from nishimori.models.randomness import Randomness
from nishimori.models.wide_network import WideNetwork
from nishimori_kernels.rng.streams import Stream

DRAWS = 64
"""Hidden layers an instance is averaged over where second moments are not the wide network's."""


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
        if self.exact:
            return self.wide.bayes_error("test")
        smoother, samples = self.wide.smoother("test"), self.problem.samples
        rows = torch.cat([self.problem.inputs, self.problem.rows("test")], dim=1)
        total = self.problem.channel.noise_variance * smoother.square().sum(-1).mean(-1)
        for features in self._features(rows):
            error = features[:, samples:] - smoother @ features[:, :samples]
            total = total + error.square().sum(-1).mean(-1) / self.draws
        return total

    def _label_square(self) -> Tensor:
        """tr(C^{-1} E y y^T), [instances]."""
        factor = self.wide.factor
        inverse = torch.cholesky_inverse(factor).diagonal(dim1=-2, dim2=-1).sum(-1)
        total = self.problem.channel.noise_variance * inverse
        for features in self._features(self.problem.inputs):
            whitened = torch.linalg.solve_triangular(factor, features, upper=False)
            total = total + whitened.square().sum((-1, -2)) / self.draws
        return total

    def _features(self, rows: Tensor) -> Iterator[Tensor]:
        """Psi [instances, rows, columns] with E F F^T = Psi Psi^T given the hidden layers of one draw; F itself where
        the readout is fixed."""
        network, problem = self.problem.network, self.problem
        batched, scale = batched_network(network, rows, chains=1), math.sqrt(network.weight_variances[-1])
        bias = rows.new_full((*rows.shape[:2], 1), math.sqrt(network.bias_variance))
        weights = problem.layout(1).empty(torch.float64, CPU)
        randomness = Randomness.of(self.seed, self.point, problem.instances, (0,))
        for draw in range(self.draws):
            blocks = randomness.fill_normals(weights, Stream.KERNEL_WEIGHTS, draw).blocks
            if network.readout == "fixed":
                yield batched.forward(blocks).transpose(1, 2)
            else:
                hidden = batched.forward_hidden(blocks).squeeze(1).transpose(1, 2)
                features = scale * hidden / math.sqrt(network.widths[-1])
                yield torch.cat([features, bias], dim=-1) if network.bias_variance else features
