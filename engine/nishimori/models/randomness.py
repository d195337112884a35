"""Every random number a sampler uses, addressed by (key, stream, step, instance, chain, element)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nishimori.models.layout import Position
from nishimori_kernels.rng import fill_normals, random_key, uniforms
from nishimori_kernels.rng.streams import Stream


@dataclass(frozen=True)
class Randomness:
    """The random numbers of some chains of some instances.

    Rows depend on the identity of an instance and a chain, never on how many run beside them.
    """

    key: int
    instances: tuple[int, ...]
    chains: tuple[int, ...]

    @classmethod
    def of(cls, seed: int, point: str, instances: Sequence[int], chains: Sequence[int]) -> "Randomness":
        return cls(random_key(seed, point), tuple(instances), tuple(chains))

    def fill_normals(self, position: Position, stream: Stream, step: int) -> Position:
        """Standard normals in every parameter, in place."""
        for block, first in zip(position.blocks, position.layout.first_elements, strict=True):
            fill_normals(block, self.key, stream, step, self.instances, self.chains, first_element=first)
        return position

    def uniforms(self, stream: Stream, step: int, device: torch.device | str = "cpu") -> Tensor:
        """[instances, chains] in (0, 1), float64."""
        return uniforms(self.key, stream, step, self.instances, self.chains, device=device)

    def shared_uniform(self, stream: Stream, step: int) -> float:
        """One number in (0, 1) for all chains of all instances (addressed at instance 0, chain 0)."""
        return float(uniforms(self.key, stream, step, (0,), (0,)))
