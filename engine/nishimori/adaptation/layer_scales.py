"""One scale for every layer: the root mean square spread of its parameters, by which its step size is multiplied.

Leapfrog with steps scale_l * h is leapfrog with the mass 1 / scale_l^2 in layer l. The spread is that over chains and
updates about the mean of each parameter, pooled over instances; scales are normalised to a geometric mean of one, so
that the step size keeps its meaning.
"""

import math

import torch
from torch import Tensor

from nishimori.models.layout import Layout, Position


class LayerScales:
    """Running moments of every parameter; memory is two positions of one chain an instance."""

    def __init__(self, layout: Layout) -> None:
        self.blocks = len(layout.sizes)
        self.count = 0
        self.sums: list[Tensor] = []
        self.squares: list[Tensor] = []

    def update(self, position: Position) -> None:
        """Add the chains' present positions."""
        values = [block.double().flatten(2) for block in position.blocks]
        if not self.sums:
            self.sums = [torch.zeros_like(block.sum(1)) for block in values]
            self.squares = [torch.zeros_like(block.sum(1)) for block in values]
        for total, square, block in zip(self.sums, self.squares, values, strict=True):
            total += block.sum(1)
            square += block.square().sum(1)
        self.count += values[0].shape[1]

    def final(self) -> Tensor:
        """[blocks], float64, on the CPU; ones where nothing moved."""
        variances = [
            float(((square - total.square() / self.count) / max(1, self.count - 1)).mean())
            for total, square in zip(self.sums, self.squares, strict=True)
        ]
        if not all(math.isfinite(variance) and variance > 0 for variance in variances):
            return torch.ones(self.blocks, dtype=torch.float64, device="cpu")
        scales = torch.tensor(variances, dtype=torch.float64, device="cpu").sqrt()
        return scales / scales.log().mean().exp()
