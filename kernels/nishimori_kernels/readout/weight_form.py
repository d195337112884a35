"""The readout integrated out by a d_L x d_L factorisation, for layers no wider than there are samples."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from nishimori_kernels.batched_products import multiply
from nishimori_kernels.blas import one_thread_a_product
from nishimori_kernels.readout.factors import Factor, factorised_gram, half_log_determinant
from nishimori_kernels.readout.labelled import Labelled, batched
from nishimori_kernels.rows import row_sum


@dataclass(frozen=True, eq=False)
class WeightForm:
    """The readout given `hidden` [instances, chains, d_L, samples] and the labels of `data`.

    `factor` is that of G = Psi^T Psi + noise_variance I [batch, d_L, d_L], and `mean` = G^{-1} Psi^T y [batch, d_L, 1],
    float64; `residual` = (y - Psi mean)^T [batch, 1, samples] has the dtype of products.
    """

    data: Labelled
    hidden: Tensor
    factor: Factor
    mean: Tensor
    residual: Tensor

    @classmethod
    @one_thread_a_product()
    def of(cls, data: Labelled, hidden: Tensor) -> "WeightForm":
        top = batched(hidden, data.product_dtype)
        factor, labels = factorised_gram(top, data.scale, data.noise_variance), data.labels.to(top.dtype)
        mean = factor.solve(multiply(top, labels).double() * data.scale)
        across = mean.to(top.dtype).transpose(1, 2)
        residual = multiply(across, top, addend=labels.transpose(1, 2), alpha=-data.scale)
        return cls(data, hidden, factor, mean, residual)

    def negative_log_evidence(self) -> Tensor:
        """-log p(labels | hidden), [instances, chains].

        y^T C^{-1} y is the least |y - Psi a|^2 / noise_variance + |a|^2 over a: rounding of `mean` enters squared.
        """
        data, noise = self.data, self.data.noise_variance
        constant = (data.samples * math.log(2 * math.pi * noise) - data.width * math.log(noise)) / 2
        misfit = row_sum(self.residual.double().square().squeeze(1)) / noise + row_sum(self.mean.square().squeeze(2))
        return data.by_chain(half_log_determinant(self.factor) + misfit / 2 + constant)

    @one_thread_a_product()
    def gradient(self, out: Tensor) -> None:
        """Of the negative log evidence by the hidden layer; written to `out`, shaped and typed like it."""
        data, top = self.data, batched(self.hidden, self.hidden.dtype)
        folded, mean = out.view_as(top), self.mean.to(top.dtype)
        torch.mul(mean, self.residual.to(top.dtype) * (-data.scale / data.noise_variance), out=folded)
        inner = self.factor.inverse(data.product_dtype).to(top.dtype)
        multiply(inner, top, out=folded, addend=folded, alpha=data.scale**2)

    @property
    def num_normals(self) -> int:
        """How many N(0, 1) numbers a draw of the readout takes."""
        return self.data.width

    def draw(self, normals: Tensor) -> Tensor:
        """Independent readouts from their law, [instances, chains, draws, d_L].

        mean + sqrt(noise_variance) L^{-T} v, where `normals` v are N(0, 1), [instances, chains, draws, num_normals].
        """
        own = batched(normals, torch.float64).transpose(1, 2) * math.sqrt(self.data.noise_variance)
        return self.data.by_chain((self.mean + self.factor.colour(own)).transpose(1, 2))

    def predict(self, rows_hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of F, [instances, chains, rows], where the hidden layer is `rows_hidden`."""
        rows = batched(rows_hidden, torch.float64) * self.data.scale
        mean = multiply(self.mean.transpose(1, 2), rows).squeeze(1)
        variance = self.factor.whiten(rows).square().sum(1) * self.data.noise_variance
        return self.data.by_chain(mean), self.data.by_chain(variance)
