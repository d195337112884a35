"""The definition: inner products row by row, products and sums in float64."""

import torch
from torch import Tensor

from nishimori_kernels.blocks import Buffer


def row_dot(first: Buffer, second: Buffer) -> Tensor:
    """[instances, chains], float64."""
    pairs = zip(first.parts, second.parts, strict=True)
    return torch.stack([(a.double() * b.double()).sum(-1) for a, b in pairs]).sum(0)
