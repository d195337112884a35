"""Factorisations that fail chain by chain, and round a matrix the same whatever stands beside it."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from nishimori_kernels.batched_products import multiply
from nishimori_kernels.blas import one_thread_a_product, threads_for
from nishimori_kernels.dispatch import compiled
from nishimori_kernels.readout import cpu

BLOCK = 256
"""How many float32 products are summed in float32; the sums of blocks are summed in float64."""
SMALL = 128
"""Up to this size threads factorise a matrix each; larger ones are LAPACK's, one after another on all threads."""
ALIGNED = 8
"""LAPACK rounds by where a matrix begins: sizes are made up to multiples of this, by rows and columns of the identity,
so that all of a batch begin at multiples of 64 bytes."""


class Factor(Protocol):
    """Of matrices M = U^T U [batch, size, size], U upper triangular. Columns are [batch, size, ...]. All is float64."""

    @property
    def upper(self) -> Tensor:
        """U, zero below the diagonal."""
        ...

    def solve(self, columns: Tensor) -> Tensor:
        """M^{-1} columns."""
        ...

    def whiten(self, columns: Tensor) -> Tensor:
        """U^{-T} columns: those of covariance M then have the identity's."""
        ...

    def colour(self, columns: Tensor) -> Tensor:
        """U^{-1} columns: those of covariance I then have M^{-1}."""
        ...

    def inverse(self, dtype: torch.dtype) -> Tensor:
        """M^{-1}, computed in `dtype`."""
        ...


def factorised_gram(rows: Tensor, scale: float, shift: float) -> Factor:
    """Of M = scale^2 R R^T + shift I for R = `rows` [batch, size, terms]; products in the dtype of R.

    Where there is no factor (NaN weights), its diagonal is NaN and nothing is raised: what is made of it is NaN, and
    the other matrices of the batch do not notice.
    """
    size = rows.shape[1]
    if not compiled(rows):
        return LapackFactor.of(_upper_products(rows, scale**2), size, shift)
    padded = size if size <= SMALL else size + -size % ALIGNED
    matrices = torch.empty(len(rows), padded, padded, dtype=torch.float64)
    turned = rows.stride(1) == 1 and not rows.is_contiguous()
    given = (rows.transpose(1, 2) if turned else rows).contiguous().numpy()
    block = BLOCK if rows.dtype is torch.float32 else rows.shape[2]
    with one_thread_a_product():
        cpu.gram(given, turned, block, scale**2, matrices.numpy(), threads_for(rows.numel() * size))
    return CompiledFactor.of(matrices, shift) if size <= SMALL else LapackFactor.of(matrices, size, shift)


def half_log_determinant(factor: Factor) -> Tensor:
    """log |U|, [batch]."""
    return factor.upper.diagonal(dim1=-2, dim2=-1).log().sum(-1)


@dataclass(frozen=True, eq=False)
class CompiledFactor:
    """`whitening` is U^{-T}, [batch, size, size]."""

    upper: Tensor
    whitening: Tensor

    @classmethod
    def of(cls, matrices: Tensor, shift: float) -> "CompiledFactor":
        """Of matrices + shift I, given by their upper triangles; over them."""
        whitening = torch.empty_like(matrices)
        cpu.factorise(matrices.numpy(), shift, whitening.numpy(), threads_for(matrices.numel() * matrices.shape[1]))
        return cls(matrices, whitening)

    def solve(self, columns: Tensor) -> Tensor:
        return self.colour(self.whiten(columns))

    def whiten(self, columns: Tensor) -> Tensor:
        return multiply(self.whitening, columns)

    def colour(self, columns: Tensor) -> Tensor:
        return multiply(self.whitening.transpose(1, 2), columns)

    def inverse(self, dtype: torch.dtype) -> Tensor:
        whitening = self.whitening.to(dtype)
        return multiply(whitening.transpose(1, 2), whitening)


@dataclass(frozen=True, eq=False)
class LapackFactor:
    """`lower` is U^T, with rows and columns of the identity beyond `size`."""

    lower: Tensor
    size: int

    @classmethod
    def of(cls, matrices: Tensor, size: int, shift: float) -> "LapackFactor":
        """Of matrices + shift I, given by the upper triangles of their first `size` rows; over them."""
        matrices[:, size:] = 0
        diagonal = matrices.diagonal(dim1=-2, dim2=-1)
        diagonal[:, :size].add_(shift)
        diagonal[:, size:] = 1
        lower, failed = torch.linalg.cholesky_ex(matrices.transpose(1, 2))
        lower.diagonal(dim1=-2, dim2=-1).masked_fill_(failed.unsqueeze(-1) != 0, torch.nan)
        return cls(lower, size)

    @property
    def upper(self) -> Tensor:
        return self.lower[:, : self.size, : self.size].transpose(1, 2)

    def solve(self, columns: Tensor) -> Tensor:
        return torch.cholesky_solve(self._padded(columns), self.lower)[:, : self.size]

    def whiten(self, columns: Tensor) -> Tensor:
        return torch.linalg.solve_triangular(self.lower, self._padded(columns), upper=False)[:, : self.size]

    def colour(self, columns: Tensor) -> Tensor:
        upper = self.lower.transpose(1, 2)
        return torch.linalg.solve_triangular(upper, self._padded(columns), upper=True)[:, : self.size]

    def inverse(self, dtype: torch.dtype) -> Tensor:
        return torch.cholesky_inverse(self.lower.to(dtype))[:, : self.size, : self.size]

    def _padded(self, columns: Tensor) -> Tensor:
        missing = self.lower.shape[1] - self.size
        return torch.nn.functional.pad(columns, (0, 0, 0, missing)) if missing else columns


def _upper_products(rows: Tensor, factor: float) -> Tensor:
    """factor R R^T, float64, in two halves that leave out the lower left quarter; see BLOCK."""
    batch, size, terms = rows.shape
    half = (size + 1) // 2
    products = torch.zeros(batch, size, size, dtype=torch.float64, device=rows.device)
    for part, width in ((slice(half), half), (slice(half, size), size)):
        for block in map(slice, range(0, terms, BLOCK), range(BLOCK, terms + BLOCK, BLOCK)):
            term = multiply(rows[:, :width, block], rows[:, part, block].transpose(1, 2))
            products[:, :width, part].add_(term, alpha=factor)
    return products
