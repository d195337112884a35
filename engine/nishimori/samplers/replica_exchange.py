"""Replica exchange (parallel tempering) around any sampler.

Update: every chain has a replica at each inverse temperature b of a ladder from 1 down. One transition of the inner
sampler moves all replicas, each on its own law exp(-U_b) (see `TemperedTarget`); then neighbours i, i + 1, even i on
even steps and odd i on odd ones, swap positions with probability min(1, exp((b_i - b_{i+1}) (E_i - E_{i+1}))), E the
tempered part of the energy at temperature 1; momenta stay with their level. Leaves the product of the exp(-U_b)
invariant, hence the target at level 0. For the Gaussian channel the ladder is one of noise variances,
noise_variance / b. Source: Hukushima and Nemoto 1996, J. Phys. Soc. Jpn. 65, 1604, eqs. 2.4-2.6; alternating pairs:
Okabe, Kawata, Okamoto and Mikami 2001.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nishimori.models.layout import Position
from nishimori.models.randomness import Randomness
from nishimori.models.target import Target
from nishimori.models.tempered import TemperedTarget
from nishimori.samplers.base import Info, Kernel, Sampler, State, Streams, metropolis, require_fraction
from nishimori.samplers.hmc import HMC


@dataclass(frozen=True, eq=False, kw_only=True)
class ReplicaState(State):
    """`replicas` holds all levels, [instances, chains * levels, ...]; position, energy, gradient and momentum are those
    of level 0, the target."""

    replicas: State


@dataclass(frozen=True, eq=False, kw_only=True)
class ReplicaInfo(Info):
    """That of level 0, and `swap_acceptance` [instances, chains, levels - 1], the probability that levels i and i + 1
    swap; NaN where this step does not try them."""

    swap_acceptance: Tensor


@dataclass(frozen=True, eq=False)
class ReplicaExchangeKernel:
    """Replica exchange with everything fixed: `inner` moves all replicas of `target`.

    `randomness` is that of the replicas, identity = chain * levels + level; a swap takes the uniform of its lower
    level.
    """

    inner: Kernel
    target: TemperedTarget
    randomness: Randomness
    streams: Streams = Streams()

    def init(self, position: Position) -> ReplicaState:
        """All levels of a chain start at its `position`."""
        levels = self.target.levels
        folded = self.target.layout(position.layout.chains * levels).empty(self.target.dtype, self.target.device)
        for replicas, block in zip(folded.blocks, position.blocks, strict=True):
            replicas.copy_(block.repeat_interleave(levels, dim=1))
        return self._state(self.inner.init(folded))

    def step(self, state: State, step: int) -> tuple[ReplicaState, ReplicaInfo]:
        """One transition of all replicas, then the swaps of this step.

        Raises TypeError for a state that is not one of this kernel's.
        """
        if not isinstance(state, ReplicaState):
            raise TypeError("replica exchange moves a ReplicaState; make one with init")
        levels = self.target.levels
        moved, info = self.inner.step(state.replicas, step)
        swapped, swap_acceptance = self._swap(moved, step)
        own = (info.acceptance, info.accepted, info.energy_error, info.divergent)
        acceptance, accepted, error, divergent = (values[:, ::levels] for values in own)
        told = ReplicaInfo(acceptance, accepted, error, divergent, info.num_steps, swap_acceptance=swap_acceptance)
        return self._state(swapped), told

    def _swap(self, replicas: State, step: int) -> tuple[State, Tensor]:
        """The replicas after the swaps, and the acceptance by pair (see `ReplicaInfo`)."""
        target, levels = self.target, self.target.levels
        ladder = target.ladder(replicas.position.layout.chains).unflatten(1, (-1, levels))
        tempered = target.untempered(replicas.energy, replicas.position).unflatten(1, (-1, levels))
        uniform = self.randomness.uniforms(self.streams.swap, step, tempered.device).unflatten(1, (-1, levels))
        error = (ladder[..., 1:] - ladder[..., :-1]) * (tempered[..., :-1] - tempered[..., 1:])
        acceptance, accepted = metropolis(error, uniform[..., :-1])
        tried = torch.arange(levels - 1, device=error.device) % 2 == step % 2
        source = _source(accepted & tried)
        ratio = (ladder / ladder.gather(2, source)).flatten(1)
        return self._carried(replicas, source, ratio), torch.where(tried, acceptance, torch.nan)

    def _carried(self, replicas: State, source: Tensor, ratio: Tensor) -> State:
        """Every level with the position of level `source` [instances, chains, levels], energy and gradient at its own
        temperature, `ratio` times the one they come from; its momentum stays."""
        position = _gather(replicas.position, source)
        energy = replicas.energy.view(source.shape).gather(2, source).flatten(1)
        energy = torch.where(ratio == 1, energy, self.target.reweighted_energy(energy, position, ratio))
        gradient = None
        if replicas.gradient is not None:
            gradient = self.target.reweight_(_gather(replicas.gradient, source), position, ratio)
        return State(position, energy, gradient, replicas.momentum)

    def _state(self, replicas: State) -> ReplicaState:
        levels = self.target.levels
        return ReplicaState(
            position=_level_0(replicas.position, levels),
            energy=replicas.energy[:, ::levels],
            gradient=None if replicas.gradient is None else _level_0(replicas.gradient, levels),
            momentum=None if replicas.momentum is None else _level_0(replicas.momentum, levels),
            replicas=replicas,
        )


def _source(swap: Tensor) -> Tensor:
    """The level whose replica each level holds next, [instances, chains, levels], where `swap` [instances, chains,
    levels - 1] says which neighbours change places."""
    up, down = torch.nn.functional.pad(swap.long(), (0, 1)), torch.nn.functional.pad(swap.long(), (1, 0))
    return torch.arange(swap.shape[-1] + 1, device=swap.device) + up - down


def _gather(position: Position, source: Tensor) -> Position:
    """The replicas in their new places."""
    moved = position.empty_like()
    for out, block in zip(moved.blocks, position.blocks, strict=True):
        shape = (*source.shape, *block.shape[2:])
        index = source.view(*source.shape, *[1] * (block.dim() - 2)).expand(shape)
        out.copy_(block.view(shape).gather(2, index).view(block.shape))
    return moved


def _level_0(replicas: Position, levels: int) -> Position:
    """The replicas of the target, one a chain."""
    layout = replace(replicas.layout, chains=replicas.layout.chains // levels)
    position = layout.empty(replicas.flat.dtype, replicas.flat.device)
    for out, block in zip(position.blocks, replicas.blocks, strict=True):
        out.copy_(block[:, ::levels])
    return position


@dataclass(frozen=True)
class ReplicaExchange:
    """What a user asks for: `sampler` on every level of a ladder of inverse temperatures.

    `inverse_temperatures` begins with 1 and falls; without it, `levels` of them fall geometrically from 1 to `hottest`.
    Step sizes and the number of steps are those of `sampler` at level 0; for a density, level b steps
    step_size / sqrt(b), the same dynamics in the units of its law.
    """

    sampler: Sampler = HMC()
    inverse_temperatures: tuple[float, ...] | None = None
    levels: int = 6
    hottest: float = 0.1

    def __post_init__(self) -> None:
        if isinstance(self.sampler, ReplicaExchange):
            raise ValueError("sampler is replica exchange itself; give the sampler that moves each replica")
        if self.levels < 2:
            raise ValueError(f"levels must be at least 2, got {self.levels}; give 2 or more")
        require_fraction(hottest=self.hottest)
        ladder = self.ladder
        falls = all(0 < colder < hotter for hotter, colder in zip(ladder, ladder[1:], strict=False))
        if len(ladder) < 2 or ladder[0] != 1 or not falls:
            raise ValueError(
                f"inverse_temperatures {list(ladder)} must fall from 1 and stay positive; try (1, 0.5, 0.25)"
            )

    @property
    def ladder(self) -> tuple[float, ...]:
        """The inverse temperatures, level by level."""
        if self.inverse_temperatures is not None:
            return tuple(self.inverse_temperatures)
        return tuple(self.hottest ** (level / (self.levels - 1)) for level in range(self.levels))

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
    ) -> ReplicaExchangeKernel:
        """The kernel with step size and number of steps filled in."""
        tempered, streams = TemperedTarget(target, self.ladder), streams or Streams()
        levels = tempered.levels
        places = tuple(chain * levels + level for chain in randomness.chains for level in range(levels))
        replicas = Randomness(randomness.key, randomness.instances, places)
        scale = torch.ones(levels, dtype=torch.float64, device="cpu")
        if not target.gaussian_prior:
            scale = torch.tensor(self.ladder, dtype=torch.float64, device="cpu").rsqrt()
        steps = _by_replica(step_size.to("cpu"), scale, len(randomness.chains))
        inner = self.sampler.kernel(tempered, steps, num_steps, replicas, streams)
        return ReplicaExchangeKernel(inner, tempered, replicas, streams)


def _by_replica(step_size: Tensor, scale: Tensor, chains: int) -> Tensor:
    """`step_size` (see `Sampler.kernel`) times `scale` [levels]: [instances, chains * levels], blocks in front where it
    has them."""
    by_chain = step_size.unsqueeze(-1) if step_size.dim() == 1 else step_size
    by_chain = by_chain.expand(*by_chain.shape[:-1], chains)
    return (by_chain.unsqueeze(-1) * scale).flatten(-2)
