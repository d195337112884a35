"""The readout integrated out by a factorisation of samples x samples, for layers wider than that."""

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
class KernelForm:
    """The readout given `hidden` [instances, chains, d_L, samples] and the labels of `data`.

    `factor` is that of C = Psi Psi^T + noise_variance I [batch, samples, samples], and `dual` = C^{-1} y
    [batch, samples, 1], float64.
    """

    data: Labelled
    hidden: Tensor
    factor: Factor
    dual: Tensor

    @classmethod
    @one_thread_a_product()
    def of(cls, data: Labelled, hidden: Tensor) -> "KernelForm":
        # With fewer features than samples K is singular, and its rounding is divided by the noise variance twice.
        top = batched(hidden, data.product_dtype if data.samples <= data.width else torch.float64)
        factor = factorised_gram(top.transpose(1, 2), data.scale, data.noise_variance)
        return cls(data, hidden, factor, factor.solve(data.labels))

    def negative_log_evidence(self) -> Tensor:
        """-log p(labels | hidden), [instances, chains]."""
        misfit = row_sum((self.data.labels * self.dual).squeeze(2)) / 2
        constant = self.data.samples * math.log(2 * math.pi) / 2
        return self.data.by_chain(half_log_determinant(self.factor) + misfit + constant)

    @one_thread_a_product()
    def gradient(self, out: Tensor) -> None:
        """Of the negative log evidence by the hidden layer; written to `out`, shaped and typed like it."""
        data, top = self.data, batched(self.hidden, self.hidden.dtype)
        dual = self.dual.to(data.product_dtype)
        inner = self.factor.inverse(data.product_dtype) - dual * dual.transpose(1, 2)
        multiply(top, inner.to(top.dtype), out=out.view_as(top), alpha=data.scale**2)

    @property
    def num_normals(self) -> int:
        """How many N(0, 1) numbers a draw of the readout takes."""
        return self.data.width + self.data.samples

    def draw(self, normals: Tensor) -> Tensor:
        """Independent readouts from their law, [instances, chains, draws, d_L], by Matheron's rule.

        v + Psi^T C^{-1} (y - Psi v - sqrt(noise_variance) e), where `normals` N(0, 1), [instances, chains, draws,
        num_normals], are first v and then e.
        """
        data = self.data
        top = batched(self.hidden, data.product_dtype)
        prior, noise = batched(normals, torch.float64).transpose(1, 2).split([data.width, data.samples], dim=1)
        latent = multiply(top.transpose(1, 2), prior.to(top.dtype)).double() * data.scale
        pretended = latent + math.sqrt(data.noise_variance) * noise
        dual = self.factor.solve(data.labels - pretended)
        correction = multiply(top, dual.to(top.dtype)).double() * data.scale
        return data.by_chain((prior + correction).transpose(1, 2))

    def predict(self, rows_hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of F, [instances, chains, rows], where the hidden layer is `rows_hidden`."""
        data = self.data
        top, rows = (batched(layer, torch.float64) * data.scale for layer in (self.hidden, rows_hidden))
        cross = multiply(top.transpose(1, 2), rows)
        mean = multiply(self.dual.transpose(1, 2), cross).squeeze(1)
        explained = self.factor.whiten(cross).square().sum(1)
        return data.by_chain(mean), data.by_chain(rows.square().sum(1) - explained)
