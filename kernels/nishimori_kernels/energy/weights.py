"""Weights of all chains in one flat buffer, layer by layer: W_1 of all chains of all instances, then W_2, ..., then a.

A layer is contiguous, [instances, chains, d_l, d_{l-1}]; the readout [instances, chains, d_L] may be absent.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

from torch import Tensor

from nishimori_kernels.blocks import Blocks


@dataclass(frozen=True)
class Split:
    """The layers of a flat buffer, as views; `dims` are (d_0, ..., d_L)."""

    instances: int
    chains: int
    dims: Sequence[int]

    @property
    def depth(self) -> int:
        return len(self.dims) - 1

    @cached_property
    def shapes(self) -> list[tuple[int, ...]]:
        """Of one chain, the readout's last."""
        dims = self.dims
        return [*zip(dims[1:], dims[:-1], strict=True), (dims[-1],)]

    def blocks(self, flat: Tensor) -> Blocks:
        """The same buffer as the moves see it: the readout may be absent."""
        sizes = tuple(map(prod, self.shapes))
        rows = self.instances * self.chains
        return Blocks(self.instances, self.chains, sizes if rows * sum(sizes) == flat.numel() else sizes[:-1])

    def __call__(self, flat: Tensor) -> list[Tensor]:
        rows, first, layers = self.instances * self.chains, 0, []
        for shape in self.shapes:
            size = rows * prod(shape)
            if first == flat.numel():
                break
            layers.append(flat[first : first + size].view(self.instances, self.chains, *shape))
            first += size
        return layers
