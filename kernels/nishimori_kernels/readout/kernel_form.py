"""The readout integrated out by a factorisation of samples x samples, for layers wider than that."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from nishimori_kernels.readout.factors import Labelled, batched, factorised_gram, half_log_determinant, inverse


@dataclass(frozen=True, eq=False)
class KernelFactor:
    """`lower` L of C = Psi Psi^T + noise_variance I = L L^T, `dual` = C^{-1} y [batch, samples, 1], float64."""

    lower: Tensor
    dual: Tensor


@dataclass(frozen=True, eq=False)
class KernelForm:
    """Evidence, gradient, draws and predictions; the hidden layer is [instances, chains, d_L, samples]."""

    data: Labelled

    @property
    def num_normals(self) -> int:
        """How many N(0, 1) numbers a draw of the readout takes."""
        return self.data.width + self.data.samples

    def factorise(self, hidden: Tensor, exact: bool = True) -> KernelFactor:
        """With `exact` from products in float64; else in `data.coarse`, which does for a force."""
        data = self.data
        top = batched(hidden, torch.float64 if exact else data.coarse)
        lower = factorised_gram(top.transpose(1, 2), data.scale, data.noise_variance)
        return KernelFactor(lower, torch.cholesky_solve(data.labels, lower))

    def negative_log_evidence(self, factor: KernelFactor) -> Tensor:
        """[instances, chains]."""
        misfit = (self.data.labels * factor.dual).sum((1, 2)) / 2
        constant = self.data.samples * math.log(2 * math.pi) / 2
        return self.data.by_chain(half_log_determinant(factor.lower) + misfit + constant)

    def gradient(self, factor: KernelFactor, hidden: Tensor, out: Tensor) -> None:
        """Of the negative log evidence by the hidden layer; written to `out`, shaped and typed like it."""
        data, top = self.data, batched(hidden, hidden.dtype)
        dual = factor.dual.to(data.coarse)
        inner = inverse(factor.lower, data.coarse).baddbmm_(dual, dual.transpose(1, 2), alpha=-1)
        folded = out.view_as(top)
        torch.baddbmm(folded, top, inner.to(top.dtype), beta=0, alpha=data.scale**2, out=folded)

    def draw(self, factor: KernelFactor, hidden: Tensor, normals: Tensor) -> Tensor:
        """A readout given the hidden layer and the labels, [instances, chains, d_L], by Matheron's rule.

        v + Psi^T C^{-1} (y - Psi v - sqrt(noise_variance) e), where `normals` N(0, 1), [instances, chains,
        num_normals], are first v and then e.
        """
        data = self.data
        top = batched(hidden, torch.float64) * data.scale
        prior, noise = normals.double().flatten(0, 1).unsqueeze(-1).split([data.width, data.samples], dim=1)
        pretended = torch.bmm(top.transpose(1, 2), prior) + math.sqrt(data.noise_variance) * noise
        correction = torch.cholesky_solve(data.labels - pretended, factor.lower)
        return data.by_chain(torch.baddbmm(prior, top, correction).squeeze(-1))

    def predict(self, factor: KernelFactor, hidden: Tensor, rows_hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of F, [instances, chains, rows], where the hidden layer is `rows_hidden`."""
        data = self.data
        top, rows = (batched(layer, torch.float64) * data.scale for layer in (hidden, rows_hidden))
        cross = torch.bmm(top.transpose(1, 2), rows)
        mean = torch.bmm(factor.dual.transpose(1, 2), cross).squeeze(1)
        explained = torch.linalg.solve_triangular(factor.lower, cross, upper=False).square().sum(1)
        return data.by_chain(mean), data.by_chain(rows.square().sum(1) - explained)
