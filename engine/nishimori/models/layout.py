"""Positions: the weights of every chain in one buffer, stored layer by layer.

Block l holds one layer of all chains, contiguous [instances, chains, *shape_l]; the blocks follow one another in a flat
buffer. Elementwise updates see the buffer, matrix products the blocks. At the edges (files, users) a position is
[instances, chains, num_parameters], each chain's blocks one after the other, row-major.
"""

import math
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from nishimori_kernels import accept, leapfrog, overlap
from nishimori_kernels.blocks import Blocks, Buffer


@dataclass(frozen=True)
class Layout:
    """How a position is stored. `shapes` are the block shapes of one chain."""

    instances: int
    chains: int
    shapes: tuple[tuple[int, ...], ...]

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        return tuple(math.prod(shape) for shape in self.shapes)

    @cached_property
    def num_parameters(self) -> int:
        """Parameters of one chain."""
        return sum(self.sizes)

    @cached_property
    def layers(self) -> "tuple[Layout, ...]":
        """Of every block alone."""
        return tuple(replace(self, shapes=(shape,)) for shape in self.shapes)

    @cached_property
    def storage(self) -> Blocks:
        """The blocks of a position, as the kernels see them."""
        return Blocks(self.instances, self.chains, self.sizes)

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

    @cached_property
    def layers(self) -> "tuple[Position, ...]":
        """Every block as a position of its own, in the same memory."""
        return tuple(
            Position(block.view(-1), layout) for block, layout in zip(self.blocks, self.layout.layers, strict=True)
        )

    @cached_property
    def buffer(self) -> Buffer:
        """The position as the kernels see it."""
        return Buffer(self.flat, self.layout.storage)

    def clone(self) -> "Position":
        return Position(self.flat.clone(), self.layout)

    def empty_like(self) -> "Position":
        return Position(torch.empty_like(self.flat), self.layout)

    def to_edge(self) -> Tensor:
        """A copy shaped [instances, chains, num_parameters]."""
        return torch.cat([block.flatten(2) for block in self.blocks], dim=-1)


def chain_dot(first: Position, second: Position) -> Tensor:
    """Inner product chain by chain, [instances, chains], products and sums in float64."""
    return overlap.row_dot(first.buffer, second.buffer)


def add_scaled_(position: Position, direction: Position, scale: Tensor) -> None:
    """position += scale * direction in place; `scale` is any shape that `broadcast` takes."""
    leapfrog.add_scaled_(position.buffer, direction.buffer, scale)


def rotate_(position: Position, momentum: Position, angle: Tensor) -> None:
    """Rotate (position, momentum) in place; `angle` is any shape that `broadcast` takes."""
    leapfrog.rotate_(position.buffer, momentum.buffer, angle)


def kick_drift_(position: Position, momentum: Position, gradient: Position, kick: Tensor, drift: Tensor) -> None:
    """momentum -= kick * gradient, then position += drift * momentum, in place; times as `broadcast` takes them."""
    leapfrog.kick_drift_(position.buffer, momentum.buffer, gradient.buffer, kick, drift)


def kick_rotate_(position: Position, momentum: Position, gradient: Position, kick: Tensor, angle: Tensor) -> None:
    """momentum += kick * (position - gradient), then `rotate_`, in place; times as `broadcast` takes them."""
    leapfrog.kick_rotate_(position.buffer, momentum.buffer, gradient.buffer, kick, angle)


def broadcast(values: Tensor, number: int, block: Tensor) -> Tensor:
    """`values` [instances], [instances, chains] or [blocks, instances, chains or 1], shaped to broadcast over block
    `number`, in its dtype."""
    own = values[number] if values.dim() == 3 else values
    return own.to(block.dtype).view(*own.shape, *[1] * (block.dim() - own.dim()))


def select(accepted: Tensor, proposed: Position, current: Position) -> Position:
    """`proposed` where `accepted` [instances, chains] holds, else `current`; a rejected NaN stays behind."""
    chosen = proposed.clone()
    restore_(accepted, chosen, current)
    return chosen


def restore_(accepted: Tensor, proposed: Position, current: Position) -> None:
    """`select` in the memory of `proposed`."""
    accept.restore_(accepted, proposed.buffer, current.buffer)
