"""The readout's posterior under a Gaussian surrogate of the likelihood, as a map from N(0, I), and back along it.

With Psi^T = `features` [batch, d_L, samples], labels y and noise variance s^2, G = Psi^T Psi + s^2 I = U^T U and
white = U^{-T} Psi^T y, the readout is V = U^{-1} (white + s phi), N(mean, s^2 G^{-1}) for phi ~ N(0, I). All is
float64, columns are [batch, d_L, 1], a chain an entry.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from nishimori_kernels.batched_products import multiply
from nishimori_kernels.readout.factors import Factor, factorised_gram, half_log_determinant


@dataclass(frozen=True, eq=False)
class Surrogate:
    """`labels` are [instances, samples, 1], each of as many chains as divide the batch."""

    features: Tensor
    labels: Tensor
    deviation: float
    factor: Factor
    white: Tensor

    @classmethod
    def of(cls, features: Tensor, labels: Tensor, deviation: float) -> "Surrogate":
        factor = factorised_gram(features, 1.0, deviation**2)
        return cls(features, labels, deviation, factor, factor.whiten(multiply(features, labels)))

    @property
    def log_determinant(self) -> Tensor:
        """log |dV/dphi|, [batch]."""
        return self.features.shape[1] * math.log(self.deviation) - half_log_determinant(self.factor)

    def readout(self, coordinates: Tensor) -> Tensor:
        """V at phi."""
        return self.factor.colour(self.white + self.deviation * coordinates)

    def coordinates(self, readout: Tensor) -> Tensor:
        """phi at V."""
        return (multiply(self.factor.upper, readout) - self.white) / self.deviation

    def pull_back(self, coordinates: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
        """Derivatives of slope . V(phi) - log |dV/dphi| in the features, [batch, d_L, samples], and in phi.

        A change of G changes U^{-1} phi by -U^{-1} H^T phi, H the lower triangle of U^{-T} dG U^{-1} with half its
        diagonal, and the mean by -G^{-1} dG mean; the log-determinant is -log det G / 2.
        """
        factor, instances = self.factor, len(self.labels)
        whitened = factor.whiten(slope)
        solved, mean = factor.colour(whitened), factor.colour(self.white)
        outer = coordinates * whitened.transpose(1, 2)
        lower = outer.tril(-1)
        doubled = lower + lower.transpose(1, 2) + torch.diag_embed(outer.diagonal(dim1=1, dim2=2))
        turned = factor.colour(factor.colour(doubled).transpose(1, 2))
        across = solved * mean.transpose(1, 2)
        inner = factor.inverse(torch.float64) - across - across.transpose(1, 2) - self.deviation * turned
        labels = self.labels.transpose(1, 2).unsqueeze(1)
        own = (solved.unflatten(0, (instances, -1)) * labels).flatten(0, 1)
        return multiply(inner, self.features, addend=own), self.deviation * whitened
