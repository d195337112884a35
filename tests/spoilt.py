"""Samplers spoilt in a known way, which the laws must catch."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nishimori.models.layout import Layout, Position, chain_dot
from nishimori.models.randomness import Randomness
from nishimori.models.target import Target
from nishimori.samplers.base import Info, Kernel, Sampler, State, Streams
from nishimori_kernels.rng.streams import Stream


@dataclass(frozen=True)
class Spoilt:
    """`sampler`, its target, random numbers and kernel passed through three functions."""

    sampler: Sampler
    target: Callable[[Target], Target] = lambda target: target
    randomness: Callable[[Randomness], Any] = lambda randomness: randomness
    moves: Callable[[Kernel], Kernel] = lambda kernel: kernel

    @property
    def step_size(self) -> float | None:
        return self.sampler.step_size

    @property
    def num_steps(self) -> int | None:
        return self.sampler.num_steps

    @property
    def path_length(self) -> float | None:
        return self.sampler.path_length

    @property
    def target_acceptance(self) -> float:
        return self.sampler.target_acceptance

    @property
    def layer_scales(self) -> bool:
        return self.sampler.layer_scales

    @property
    def largest_step_size(self) -> float:
        return self.sampler.largest_step_size

    def kernel(
        self,
        target: Target,
        step_size: Tensor,
        num_steps: int,
        randomness: Randomness,
        streams: Streams | None = None,
    ) -> Kernel:
        spoilt = self.sampler.kernel(self.target(target), step_size, num_steps, self.randomness(randomness), streams)
        return self.moves(spoilt)


@dataclass(frozen=True)
class ScaledMomenta:
    """Random numbers whose momenta have `variance`."""

    randomness: Randomness
    variance: float

    def fill_normals(self, position: Position, stream: Stream, step: int) -> Position:
        self.randomness.fill_normals(position, stream, step)
        if stream == Stream.MOMENTUM:
            position.flat.mul_(math.sqrt(self.variance))
        return position

    def refresh_(self, momentum: Position, stream: Stream, step: int) -> Tensor:
        self.fill_normals(momentum, stream, step)
        return chain_dot(momentum, momentum)

    def uniforms(self, stream: Stream, step: int, device: torch.device | str = "cpu") -> Tensor:
        return self.randomness.uniforms(stream, step, device)

    def shared_uniform(self, stream: Stream, step: int) -> float:
        return self.randomness.shared_uniform(stream, step)


class WrongPrior:
    """Another target, as if its N(0, I) prior had another variance: U + (1 / variance - 1) |theta|^2 / 2."""

    def __init__(self, target: Target, variance: float) -> None:
        self.target, self.excess = target, 1 / variance - 1
        self.gaussian_prior, self.num_parameters = target.gaussian_prior, target.num_parameters
        self.instances, self.dtype, self.device = target.instances, target.dtype, target.device

    def layout(self, chains: int) -> Layout:
        return self.target.layout(chains)

    def initial_position(self, chains: int | tuple[int, ...], start: str, seed: int, point: str = "") -> Position:
        return self.target.initial_position(chains, start, seed, point)

    def energy(self, position: Position) -> Tensor:
        return self.target.energy(position) + self.excess * chain_dot(position, position) / 2

    def gradient(self, position: Position, out: Position | None = None) -> Position:
        return self.energy_and_gradient(position, out)[1]

    def energy_and_gradient(self, position: Position, out: Position | None = None) -> tuple[Tensor, Position]:
        energy, gradient = self.target.energy_and_gradient(position, out)
        gradient.flat.add_(position.flat, alpha=self.excess)
        return energy + self.excess * chain_dot(position, position) / 2, gradient


@dataclass(frozen=True)
class FrozenKernel:
    """Accepts nothing."""

    kernel: Kernel

    def init(self, position: Position) -> State:
        return self.kernel.init(position)

    def step(self, state: State, step: int) -> tuple[State, Info]:
        return state, self.kernel.step(state, step)[1]
