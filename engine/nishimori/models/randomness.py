"""Every random number a sampler uses, addressed by (key, stream, step, instance, chain, element)."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from nishimori.models.layout import Position
from nishimori_kernels.refresh import fill_normals_, refresh_
from nishimori_kernels.rng import random_key, uniforms_at
from nishimori_kernels.rng.address import Address, address_of
from nishimori_kernels.rng.cpu import uniform
from nishimori_kernels.rng.streams import Stream

Step = int | Tensor
"""The number of a transition; as int64 [1] in the memory of a GPU it is read when a kernel runs."""


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
        fill_normals_(position.buffer, self._address(stream, step))
        return position

    def refresh_(self, momentum: Position, stream: Stream, step: Step) -> Tensor:
        """`fill_normals`, and what `chain_dot` of the momentum with itself would give, [instances, chains]."""
        return refresh_(momentum.buffer, self._address(stream, step))

    def uniforms(self, stream: Stream, step: Step, device: torch.device | str = "cpu") -> Tensor:
        """[instances, chains] in (0, 1), float64."""
        return uniforms_at(self._address(stream, step), device)

    def shared_uniform(self, stream: Stream, step: int) -> float:
        """One number in (0, 1) for all chains of all instances (addressed at instance 0, chain 0)."""
        return uniform(self._shared._address(stream, step))

    @cached_property
    def _shared(self) -> "Randomness":
        return Randomness(self.key, (0,), (0,))

    @cached_property
    def _addresses(self) -> dict[Stream, Address]:
        """Of step 0, checked once a stream."""
        return {}

    def _address(self, stream: Stream, step: Step) -> Address:
        if stream not in self._addresses:
            self._addresses[stream] = address_of(self.key, stream, 0, self.instances, self.chains)
        own = self._addresses[stream]
        return own.counted(step) if isinstance(step, Tensor) else own.at(step)
