"""The readout integrated out by a d_L x d_L factorisation, for layers no wider than there are samples."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from nishimori_kernels.readout.factors import Labelled, batched, factorised_gram, half_log_determinant, inverse


@dataclass(frozen=True, eq=False)
class WeightFactor:
    """`lower` L of Psi^T Psi + noise_variance I = L L^T, `white` = L^{-1} Psi^T y [batch, d_L, 1], float64."""

    lower: Tensor
    white: Tensor


@dataclass(frozen=True, eq=False)
class WeightForm:
    """Evidence, gradient, draws and predictions; the hidden layer is [instances, chains, d_L, samples]."""

    data: Labelled

    @property
    def num_normals(self) -> int:
        """How many N(0, 1) numbers a draw of the readout takes."""
        return self.data.width

    def factorise(self, hidden: Tensor, exact: bool = True) -> WeightFactor:
        """With `exact` from products in float64; else in `data.coarse`, which does for a force."""
        data = self.data
        top = batched(hidden, torch.float64 if exact else data.coarse)
        lower = factorised_gram(top, data.scale, data.noise_variance)
        projected = torch.bmm(top, data.labels.to(top.dtype)).double() * data.scale
        return WeightFactor(lower, torch.linalg.solve_triangular(lower, projected, upper=False))

    def negative_log_evidence(self, factor: WeightFactor) -> Tensor:
        """[instances, chains]."""
        data, noise = self.data, self.data.noise_variance
        constant = (data.samples * math.log(2 * math.pi * noise) - data.width * math.log(noise)) / 2
        explained = factor.white.square().sum((1, 2))
        misfit = (data.labels.square().sum((1, 2)) - explained) / (2 * noise)
        return data.by_chain(half_log_determinant(factor.lower) + misfit + constant)

    def gradient(self, factor: WeightFactor, hidden: Tensor, out: Tensor) -> None:
        """Of the negative log evidence by the hidden layer; written to `out`, shaped and typed like it."""
        data, top = self.data, batched(hidden, hidden.dtype)
        folded, labels = out.view_as(top), data.labels.to(top.dtype).transpose(1, 2)
        mean = self._mean(factor).to(top.dtype)
        residual = torch.baddbmm(labels, mean.transpose(1, 2), top, alpha=-data.scale)
        torch.mul(mean, residual.mul_(-data.scale / data.noise_variance), out=folded)
        inner = inverse(factor.lower, data.coarse).to(top.dtype)
        torch.baddbmm(folded, inner, top, alpha=data.scale**2, out=folded)

    def _mean(self, factor: WeightFactor) -> Tensor:
        """Of the readout given the hidden layer and the labels, [batch, d_L, 1]."""
        return self._upper_solve(factor, factor.white)

    def _upper_solve(self, factor: WeightFactor, columns: Tensor) -> Tensor:
        return torch.linalg.solve_triangular(factor.lower.transpose(1, 2), columns, upper=True)

    def draw(self, factor: WeightFactor, hidden: Tensor, normals: Tensor) -> Tensor:
        """A readout given the hidden layer and the labels, [instances, chains, d_L].

        mean + sqrt(noise_variance) L^{-T} normals, with `normals` N(0, 1), [instances, chains, num_normals].
        """
        del hidden
        own = normals.double().flatten(0, 1).unsqueeze(-1) * math.sqrt(self.data.noise_variance)
        return self.data.by_chain(self._upper_solve(factor, factor.white + own).squeeze(-1))

    def predict(self, factor: WeightFactor, hidden: Tensor, rows_hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of F, [instances, chains, rows], where the hidden layer is `rows_hidden`."""
        del hidden
        rows = batched(rows_hidden, torch.float64) * self.data.scale
        white = torch.linalg.solve_triangular(factor.lower, rows, upper=False)
        mean = torch.bmm(factor.white.transpose(1, 2), white).squeeze(1)
        variance = white.square().sum(1) * self.data.noise_variance
        return self.data.by_chain(mean), self.data.by_chain(variance)
