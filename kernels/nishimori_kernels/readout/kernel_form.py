"""The readout integrated out by a factorisation of samples x samples, for layers wider than that."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from nishimori_kernels.readout.factors import Labelled, batched, factorised_gram, half_log_determinant, inverse


@dataclass(frozen=True, eq=False)
class KernelForm:
    """The readout given `hidden` [instances, chains, d_L, samples] and the labels of `data`.

    `lower` L of C = Psi Psi^T + noise_variance I = L L^T [batch, samples, samples] and `dual` = C^{-1} y
    [batch, samples, 1] are float64.
    """

    data: Labelled
    hidden: Tensor
    lower: Tensor
    dual: Tensor

    @classmethod
    def of(cls, data: Labelled, hidden: Tensor) -> "KernelForm":
        # With fewer features than samples K is singular, and its rounding is divided by the noise variance twice.
        top = batched(hidden, data.product_dtype if data.samples <= data.width else torch.float64)
        lower = factorised_gram(top.transpose(1, 2), data.scale, data.noise_variance)
        return cls(data, hidden, lower, torch.cholesky_solve(data.labels, lower))

    def negative_log_evidence(self) -> Tensor:
        """-log p(labels | hidden), [instances, chains]."""
        misfit = (self.data.labels * self.dual).sum((1, 2)) / 2
        constant = self.data.samples * math.log(2 * math.pi) / 2
        return self.data.by_chain(half_log_determinant(self.lower) + misfit + constant)

    def gradient(self, out: Tensor) -> None:
        """Of the negative log evidence by the hidden layer; written to `out`, shaped and typed like it."""
        data, top = self.data, batched(self.hidden, self.hidden.dtype)
        dual = self.dual.to(data.product_dtype)
        inner = inverse(self.lower, data.product_dtype).baddbmm_(dual, dual.transpose(1, 2), alpha=-1)
        folded = out.view_as(top)
        torch.baddbmm(folded, top, inner.to(top.dtype), beta=0, alpha=data.scale**2, out=folded)

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
        latent = torch.bmm(top.transpose(1, 2), prior.to(top.dtype)).double() * data.scale
        pretended = latent + math.sqrt(data.noise_variance) * noise
        dual = torch.cholesky_solve(data.labels - pretended, self.lower)
        correction = torch.bmm(top, dual.to(top.dtype)).double() * data.scale
        return data.by_chain((prior + correction).transpose(1, 2))

    def predict(self, rows_hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of F, [instances, chains, rows], where the hidden layer is `rows_hidden`."""
        data = self.data
        top, rows = (batched(layer, torch.float64) * data.scale for layer in (self.hidden, rows_hidden))
        cross = torch.bmm(top.transpose(1, 2), rows)
        mean = torch.bmm(self.dual.transpose(1, 2), cross).squeeze(1)
        explained = torch.linalg.solve_triangular(self.lower, cross, upper=False).square().sum(1)
        return data.by_chain(mean), data.by_chain(rows.square().sum(1) - explained)
