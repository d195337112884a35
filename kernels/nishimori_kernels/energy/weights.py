"""Weights of all chains in one flat buffer, layer by layer: W_1 of all chains of all instances, then W_2, ..., then a.

A layer is contiguous, [instances, chains, d_l, d_{l-1}]; the readout [instances, chains, d_L] may be absent. Biases,
where a network has them, come last: b_1, ..., b_L, each [instances, chains, d_l], and b of the output, [instances,
chains, 1].
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

from torch import Tensor

from nishimori_kernels.blocks import Blocks


@dataclass(frozen=True)
class Split:
    """The layers of a flat buffer, as views; `dims` are (d_0, ..., d_L), `biases` says whether there are some."""

    instances: int
    chains: int
    dims: Sequence[int]
    biases: bool = False

    @property
    def depth(self) -> int:
        return len(self.dims) - 1

    @cached_property
    def shapes(self) -> list[tuple[int, ...]]:
        """Of one chain, the readout's after the matrices', then those of biases."""
        dims = self.dims
        biases = [*((width,) for width in dims[1:]), (1,)] if self.biases else []
        return [*zip(dims[1:], dims[:-1], strict=True), (dims[-1],), *biases]

    def _present(self, flat: Tensor) -> list[tuple[int, ...]]:
        """The shapes without the readout's, where `flat` has no room for it."""
        whole = self.instances * self.chains * sum(map(prod, self.shapes))
        return self.shapes if whole == flat.numel() else [*self.shapes[: self.depth], *self.shapes[self.depth + 1 :]]

    def blocks(self, flat: Tensor) -> Blocks:
        """The same buffer as the moves see it: the readout may be absent."""
        return Blocks(self.instances, self.chains, tuple(map(prod, self._present(flat))))

    def __call__(self, flat: Tensor) -> list[Tensor]:
        shapes = self._present(flat)
        pieces = flat.split([self.instances * self.chains * prod(shape) for shape in shapes])
        return [piece.view(self.instances, self.chains, *shape) for piece, shape in zip(pieces, shapes, strict=True)]
