"""The labels that both forms condition on, and how their batches are laid out."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

ROUNDING_MARGIN = 128.0
"""How far the noise variance must stand above the rounding of a Gram matrix of float32 products: energies are then
within 1e-3."""


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
