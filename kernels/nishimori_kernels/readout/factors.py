"""What both forms share: the data they condition on, and a factorisation that fails chain by chain."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

COARSE_MARGIN = 10.0
"""How far the noise variance must stand above the rounding of a Gram matrix for a force to be made of it."""


@dataclass(frozen=True, eq=False)
class Labelled:
    """`labels` [batch, samples, 1], float64, of the chains of all instances, one a batch entry; `width` is d_L.

    `coarse` is the dtype in which a force may be summed and inverted: that of the hidden layer, or float64.
    """

    labels: Tensor
    noise_variance: float
    width: int
    shape: tuple[int, int]
    coarse: torch.dtype

    @classmethod
    def of(cls, labels: Tensor, noise_variance: float, chains: int, width: int, dtype: torch.dtype) -> "Labelled":
        """`labels` [instances, samples] for `chains` chains of each; hidden layers will be of `dtype`."""
        # A Gram matrix is rounded by about eps times its trace at most, and its trace is about the number of samples.
        rounding = COARSE_MARGIN * torch.finfo(dtype).eps * labels.shape[1]
        columns = labels.double().unsqueeze(1).expand(-1, chains, -1).reshape(-1, labels.shape[1], 1)
        shape = labels.shape[0], chains
        return cls(columns, noise_variance, width, shape, dtype if rounding <= noise_variance else torch.float64)

    @property
    def samples(self) -> int:
        return self.labels.shape[1]

    @property
    def scale(self) -> float:
        """Psi = scale * hidden^T."""
        return 1 / math.sqrt(self.width)

    def by_chain(self, values: Tensor) -> Tensor:
        """From [batch, ...] or [batch] to [instances, chains, ...]."""
        return values.view(*self.shape, *values.shape[1:])


def batched(hidden: Tensor, dtype: torch.dtype) -> Tensor:
    """[instances, chains, rows, columns] as [batch, rows, columns] in `dtype`."""
    return hidden.reshape(-1, *hidden.shape[-2:]).to(dtype)


def factorised_gram(rows: Tensor, scale: float, shift: float) -> Tensor:
    """Lower factor of scale^2 R R^T + shift I, float64, for R = `rows` [batch, size, ...]; products in the dtype of R.

    Where there is none (NaN weights), the diagonal is NaN and nothing is raised: what is made of it is NaN, and the
    other matrices of the batch do not notice.
    """
    matrix = _lower_products(rows, scale**2)
    matrix.diagonal(dim1=-2, dim2=-1).add_(shift)
    lower, failed = torch.linalg.cholesky_ex(matrix)
    lower.diagonal(dim1=-2, dim2=-1).masked_fill_(failed.unsqueeze(-1) != 0, torch.nan)
    return lower


def _lower_products(rows: Tensor, factor: float) -> Tensor:
    """factor R R^T, float64, in two halves that leave out the upper right quarter."""
    batch, size, _ = rows.shape
    half = (size + 1) // 2
    products = torch.zeros(batch, size, size, dtype=torch.float64, device=rows.device)
    for part, width in ((slice(half), half), (slice(half, size), size)):
        block = torch.bmm(rows[:, part], rows[:, :width].transpose(1, 2))
        torch.mul(block, factor, out=products[:, part, :width])
    return products


def half_log_determinant(lower: Tensor) -> Tensor:
    """log |L|, [batch]."""
    return lower.diagonal(dim1=-2, dim2=-1).log().sum(-1)


def inverse(lower: Tensor, dtype: torch.dtype) -> Tensor:
    """(L L^T)^{-1}, computed in `dtype`."""
    return torch.cholesky_inverse(lower.to(dtype))
