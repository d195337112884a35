"""Positions: the weights of every chain in one buffer, stored layer by layer.

Block l holds one layer of all chains, contiguous [instances, chains, *shape_l]; the blocks follow one another in a flat
buffer. Elementwise updates see the buffer, matrix products the blocks. At the edges (files, users) a position is
[instances, chains, num_parameters], each chain's blocks one after the other, row-major.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True)
class Layout:
    """How a position is stored. `shapes` are the block shapes of one chain."""

    instances: int
    chains: int
    shapes: tuple[tuple[int, ...], ...]

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        return tuple(math.prod(shape) for shape in self.shapes)

    @property
    def num_parameters(self) -> int:
        """Parameters of one chain."""
        return sum(self.sizes)

    @cached_property
    def first_elements(self) -> tuple[int, ...]:
        """Index of each block's first parameter in a chain's edge order: its random `element`."""
        return tuple(sum(self.sizes[:block]) for block in range(len(self.sizes)))

    def empty(self, dtype: torch.dtype, device: torch.device) -> "Position":
        count = self.instances * self.chains * self.num_parameters
        return Position(torch.empty(count, dtype=dtype, device=device), self)

    def from_edge(self, values: Tensor) -> "Position":
        """Store `values` [instances, chains, num_parameters] block by block."""
        position = self.empty(values.dtype, values.device)
        for block, first, size in zip(position.blocks, self.first_elements, self.sizes, strict=True):
            block.copy_(values[..., first : first + size].view(block.shape))
        return position


@dataclass(frozen=True, eq=False)
class Position:
    """Parameters (or momenta, or gradients) of all chains: a flat buffer and its layout."""

    flat: Tensor
    layout: Layout

    @cached_property
    def blocks(self) -> tuple[Tensor, ...]:
        """Views [instances, chains, *shape] of the buffer, one a block."""
        rows = self.layout.instances * self.layout.chains
        pieces = self.flat.split([rows * size for size in self.layout.sizes])
        return tuple(
            piece.view(self.layout.instances, self.layout.chains, *shape)
            for piece, shape in zip(pieces, self.layout.shapes, strict=True)
        )

    def clone(self) -> "Position":
        return Position(self.flat.clone(), self.layout)

    def empty_like(self) -> "Position":
        return Position(torch.empty_like(self.flat), self.layout)

    def to_edge(self) -> Tensor:
        """A copy shaped [instances, chains, num_parameters]."""
        return torch.cat([block.flatten(2) for block in self.blocks], dim=-1)


def chain_dot(first: Position, second: Position) -> Tensor:
    """Inner product chain by chain, [instances, chains], products and sums in float64."""
    pairs = zip(first.blocks, second.blocks, strict=True)
    return torch.stack([(a.double() * b.double()).flatten(2).sum(-1) for a, b in pairs]).sum(0)


def add_scaled_(position: Position, direction: Position, scale: Tensor) -> None:
    """position += scale * direction in place; `scale` is any shape that `broadcast` takes."""
    for number, (block, step) in enumerate(zip(position.blocks, direction.blocks, strict=True)):
        block.addcmul_(step, broadcast(scale, number, block))


def broadcast(values: Tensor, number: int, block: Tensor) -> Tensor:
    """`values` [instances], [instances, chains] or [blocks, instances, chains or 1], shaped to broadcast over block
    `number`, in its dtype."""
    own = values[number] if values.dim() == 3 else values
    return own.to(block.dtype).view(*own.shape, *[1] * (block.dim() - own.dim()))


def select(accepted: Tensor, proposed: Position, current: Position) -> Position:
    """`proposed` where `accepted` [instances, chains] holds, else `current`; a rejected NaN stays behind."""
    chosen = current.empty_like()
    for out, new, old in zip(chosen.blocks, proposed.blocks, current.blocks, strict=True):
        mask = accepted.view(*accepted.shape, *[1] * (out.dim() - 2))
        torch.where(mask, new, old, out=out)
    return chosen
