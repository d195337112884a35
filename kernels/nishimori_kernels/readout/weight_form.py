"""The readout integrated out by a d_L x d_L factorisation, for layers no wider than there are samples."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from nishimori_kernels.readout.factors import Labelled, batched, factorised_gram, half_log_determinant, inverse


@dataclass(frozen=True, eq=False)
class WeightForm:
    """The readout given `hidden` [instances, chains, d_L, samples] and the labels of `data`.

    `lower` L of G = Psi^T Psi + noise_variance I = L L^T [batch, d_L, d_L] and `mean` = G^{-1} Psi^T y [batch, d_L, 1]
    are float64; `residual` = (y - Psi mean)^T [batch, 1, samples] has the dtype of products.
    """

    data: Labelled
    hidden: Tensor
    lower: Tensor
    mean: Tensor
    residual: Tensor

    @classmethod
    def of(cls, data: Labelled, hidden: Tensor) -> "WeightForm":
        top = batched(hidden, data.product_dtype)
        lower, labels = factorised_gram(top, data.scale, data.noise_variance), data.labels.to(top.dtype)
        mean = torch.cholesky_solve(torch.bmm(top, labels).double() * data.scale, lower)
        across = mean.to(top.dtype).transpose(1, 2)
        residual = torch.baddbmm(labels.transpose(1, 2), across, top, alpha=-data.scale)
        return cls(data, hidden, lower, mean, residual)

    def negative_log_evidence(self) -> Tensor:
        """-log p(labels | hidden), [instances, chains].

        y^T C^{-1} y is the least |y - Psi a|^2 / noise_variance + |a|^2 over a: rounding of `mean` enters squared.
        """
        data, noise = self.data, self.data.noise_variance
        constant = (data.samples * math.log(2 * math.pi * noise) - data.width * math.log(noise)) / 2
        misfit = self.residual.double().square().sum((1, 2)) / noise + self.mean.square().sum((1, 2))
        return data.by_chain(half_log_determinant(self.lower) + misfit / 2 + constant)

    def gradient(self, out: Tensor) -> None:
        """Of the negative log evidence by the hidden layer; written to `out`, shaped and typed like it."""
        data, top = self.data, batched(self.hidden, self.hidden.dtype)
        folded, mean = out.view_as(top), self.mean.to(top.dtype)
        torch.mul(mean, self.residual.to(top.dtype) * (-data.scale / data.noise_variance), out=folded)
        inner = inverse(self.lower, data.product_dtype).to(top.dtype)
        torch.baddbmm(folded, inner, top, alpha=data.scale**2, out=folded)

    @property
    def num_normals(self) -> int:
        """How many N(0, 1) numbers a draw of the readout takes."""
        return self.data.width

    def draw(self, normals: Tensor) -> Tensor:
        """Independent readouts from their law, [instances, chains, draws, d_L].

        mean + sqrt(noise_variance) L^{-T} v, where `normals` v are N(0, 1), [instances, chains, draws, num_normals].
        """
        own = batched(normals, torch.float64).transpose(1, 2) * math.sqrt(self.data.noise_variance)
        spread = torch.linalg.solve_triangular(self.lower.transpose(1, 2), own, upper=True)
        return self.data.by_chain((self.mean + spread).transpose(1, 2))

    def predict(self, rows_hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of F, [instances, chains, rows], where the hidden layer is `rows_hidden`."""
        rows = batched(rows_hidden, torch.float64) * self.data.scale
        white = torch.linalg.solve_triangular(self.lower, rows, upper=False)
        mean = torch.bmm(self.mean.transpose(1, 2), rows).squeeze(1)
        variance = white.square().sum(1) * self.data.noise_variance
        return self.data.by_chain(mean), self.data.by_chain(variance)
