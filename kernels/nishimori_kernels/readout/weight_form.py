"""The readout integrated out by a d_L x d_L factorisation, for layers no wider than there are samples."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from nishimori_kernels.readout.factors import Labelled, batched, factorised_gram, half_log_determinant, inverse


@dataclass(frozen=True, eq=False)
class WeightForm:
    """The readout given `hidden` [instances, chains, d_L, samples] and the labels of `data`.

    `lower` L of Psi^T Psi + noise_variance I = L L^T [batch, d_L, d_L] and `white` = L^{-1} Psi^T y [batch, d_L, 1] are
    float64.
    """

    data: Labelled
    hidden: Tensor
    lower: Tensor
    white: Tensor

    @classmethod
    def of(cls, data: Labelled, hidden: Tensor, exact: bool = True) -> "WeightForm":
        """With `exact` from products in float64; else in `data.coarse`, which does for a force."""
        top = batched(hidden, torch.float64 if exact else data.coarse)
        lower = factorised_gram(top, data.scale, data.noise_variance)
        projected = torch.bmm(top, data.labels.to(top.dtype)).double() * data.scale
        return cls(data, hidden, lower, torch.linalg.solve_triangular(lower, projected, upper=False))

    def negative_log_evidence(self) -> Tensor:
        """-log p(labels | hidden), [instances, chains]."""
        data, noise = self.data, self.data.noise_variance
        constant = (data.samples * math.log(2 * math.pi * noise) - data.width * math.log(noise)) / 2
        explained = self.white.square().sum((1, 2))
        misfit = (data.labels.square().sum((1, 2)) - explained) / (2 * noise)
        return data.by_chain(half_log_determinant(self.lower) + misfit + constant)

    def gradient(self, out: Tensor) -> None:
        """Of the negative log evidence by the hidden layer; written to `out`, shaped and typed like it."""
        data, top = self.data, batched(self.hidden, self.hidden.dtype)
        folded, labels = out.view_as(top), data.labels.to(top.dtype).transpose(1, 2)
        mean = self._upper_solve(self.white).to(top.dtype)
        residual = torch.baddbmm(labels, mean.transpose(1, 2), top, alpha=-data.scale)
        torch.mul(mean, residual.mul_(-data.scale / data.noise_variance), out=folded)
        inner = inverse(self.lower, data.coarse).to(top.dtype)
        torch.baddbmm(folded, inner, top, alpha=data.scale**2, out=folded)

    def _upper_solve(self, columns: Tensor) -> Tensor:
        return torch.linalg.solve_triangular(self.lower.transpose(1, 2), columns, upper=True)

    @property
    def num_normals(self) -> int:
        """How many N(0, 1) numbers a draw of the readout takes."""
        return self.data.width

    def draw(self, normals: Tensor) -> Tensor:
        """A readout from its law, [instances, chains, d_L].

        L^{-T} (L^{-1} Psi^T y + sqrt(noise_variance) normals), `normals` N(0, 1), [instances, chains, num_normals].
        """
        own = normals.double().flatten(0, 1).unsqueeze(-1) * math.sqrt(self.data.noise_variance)
        return self.data.by_chain(self._upper_solve(self.white + own).squeeze(-1))

    def predict(self, rows_hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of F, [instances, chains, rows], where the hidden layer is `rows_hidden`."""
        rows = batched(rows_hidden, torch.float64) * self.data.scale
        white = torch.linalg.solve_triangular(self.lower, rows, upper=False)
        mean = torch.bmm(self.white.transpose(1, 2), white).squeeze(1)
        variance = white.square().sum(1) * self.data.noise_variance
        return self.data.by_chain(mean), self.data.by_chain(variance)
