"""Running moments of every parameter over chains and updates: the mean that distances are taken from, and one scale for
every layer.

A layer's scale is the root mean square spread of its parameters about their means, pooled over instances, by which its
step size is multiplied: leapfrog with steps scale_l * h is leapfrog with the mass 1 / scale_l^2 in layer l. Scales are
normalised to a geometric mean of one, so that the step size keeps its meaning.
"""

import math
from dataclasses import replace

import torch
from torch import Tensor

from nishimori.models.layout import Layout, Position


class RunningMoments:
    """Sums and squares by parameter, [instances, parameters of a block]; memory is two chains an instance."""

    def __init__(self, layout: Layout) -> None:
        self.layout = replace(layout, chains=1)
        self.count = 0
        self.sums: list[Tensor] = []
        self.squares: list[Tensor] = []

    def update(self, position: Position) -> None:
        """Add the chains' present positions."""
        values = [block.double().flatten(2) for block in position.blocks]
        if not self.sums:
            self.sums = [torch.zeros_like(block[:, 0]) for block in values]
            self.squares = [torch.zeros_like(block[:, 0]) for block in values]
        for total, square, block in zip(self.sums, self.squares, values, strict=True):
            total += block.sum(1)
            square += block.square().sum(1)
        self.count += values[0].shape[1]

    def mean(self) -> Position:
        """One chain an instance, float64."""
        position = self.layout.empty(torch.float64, self.sums[0].device)
        for block, total in zip(position.blocks, self.sums, strict=True):
            block.copy_((total / self.count).view(block.shape))
        return position

    def layer_scales(self) -> Tensor:
        """[blocks], float64, on the CPU; ones where nothing moved."""
        variances = [
            float(((square - total.square() / self.count) / max(1, self.count - 1)).mean())
            for total, square in zip(self.sums, self.squares, strict=True)
        ]
        if not all(math.isfinite(variance) and variance > 0 for variance in variances):
            return torch.ones(len(variances), dtype=torch.float64, device="cpu")
        scales = torch.tensor(variances, dtype=torch.float64, device="cpu").sqrt()
        return scales / scales.log().mean().exp()
