"""What both forms share: the data they condition on, and a factorisation that fails chain by chain."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

ROUNDING_MARGIN = 128.0
"""How far the noise variance must stand above the rounding of a Gram matrix of float32 products: energies are then
within 1e-3."""
BLOCK = 256
"""How many float32 products are summed in float32; the sums of blocks are summed in float64."""


@dataclass(frozen=True, eq=False)
class Labelled:
    """`labels` [batch, samples, 1], float64, of the chains of all instances, one a batch entry; `width` is d_L.

    `variance` is the prior variance of the readout's weights. `product_dtype` is that of matrix products and of the
    inverse in a force: the hidden layer's, or float64 where the noise is too small for it.
    """

    labels: Tensor
    noise_variance: float
    width: int
    shape: tuple[int, int]
    product_dtype: torch.dtype
    variance: float = 1.0

    @classmethod
    def of(
        cls,
        labels: Tensor,
        noise_variance: float,
        chains: int,
        width: int,
        dtype: torch.dtype,
        variances: Sequence[float] = (1.0,),
    ) -> "Labelled":
        """`labels` [instances, samples] for `chains` chains of each; hidden layers will be of `dtype`. `variances` are
        those of the weights of all layers, the readout's last."""
        # A Gram matrix is rounded by about eps times its trace at most, and its trace is about the number of samples
        # where weights have unit variance, and larger by the larger variances at most.
        growth = math.prod(max(1.0, variance) for variance in variances)
        rounding = ROUNDING_MARGIN * torch.finfo(dtype).eps * labels.shape[1] * growth
        columns = labels.double().unsqueeze(1).expand(-1, chains, -1).reshape(-1, labels.shape[1], 1)
        shape = labels.shape[0], chains
        product_dtype = dtype if rounding <= noise_variance else torch.float64
        return cls(columns, noise_variance, width, shape, product_dtype, variances[-1])

    @property
    def samples(self) -> int:
        return self.labels.shape[1]

    @property
    def scale(self) -> float:
        """Psi = scale * hidden^T."""
        return math.sqrt(self.variance) / math.sqrt(self.width)

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
    """factor R R^T, float64, in two halves that leave out the upper right quarter; see BLOCK.

    Column by column in memory, as the factorisation reads it.
    """
    batch, size, terms = rows.shape
    half = (size + 1) // 2
    transposed = torch.zeros(batch, size, size, dtype=torch.float64, device=rows.device)
    for part, width in ((slice(half), half), (slice(half, size), size)):
        for block in map(slice, range(0, terms, BLOCK), range(BLOCK, terms + BLOCK, BLOCK)):
            term = torch.bmm(rows[:, :width, block], rows[:, part, block].transpose(1, 2))
            transposed[:, :width, part].add_(term, alpha=factor)
    return transposed.transpose(1, 2)


def half_log_determinant(lower: Tensor) -> Tensor:
    """log |L|, [batch]."""
    return lower.diagonal(dim1=-2, dim2=-1).log().sum(-1)


def inverse(lower: Tensor, dtype: torch.dtype) -> Tensor:
    """(L L^T)^{-1}, computed in `dtype`."""
    return torch.cholesky_inverse(lower.to(dtype))
