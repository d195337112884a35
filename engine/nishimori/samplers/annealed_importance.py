"""Annealed importance sampling from both ends: the evidence of a posterior between two bounds.

The path is exp(-b Phi - |theta|^2 / 2), Phi = U - |theta|^2 / 2, at b_0 = 0 < b_1 < ... < b_K = 1. Forwards, theta_0 is
a prior draw, theta_k a transition of HMC at b_k from theta_{k-1}, and w = exp(-sum_k (b_k - b_{k-1}) Phi(theta_{k-1}));
then E w = Z = E_prior exp(-Phi). Backwards, theta_K is a posterior draw, theta_{k-1} a transition at b_{k-1} from
theta_k, and r = exp(sum_k (b_k - b_{k-1}) Phi(theta_k)); then E r = 1 / Z. Both hold exactly at any number of rungs, as
each transition is reversible for its own law. Source: Neal 1998, arXiv physics/9803008, eqs. 1-11; both ends: Grosse,
Ghahramani and Adams 2015, arXiv 1511.02543.

In the matched setting the teacher is an exact posterior draw. Kernels must not depend on it: E r = 1 / Z is an average
over the teachers of a data set.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from nishimori.models.layout import Position, chain_dot
from nishimori.models.randomness import Randomness
from nishimori.models.target import Target
from nishimori.models.tempered import TemperedTarget
from nishimori.samplers.base import Info, State, Streams
from nishimori.samplers.checkpoint import Checkpoint, HostArrays
from nishimori.samplers.hmc import HMC
from nishimori_kernels.rng.streams import Stream

STREAMS = Streams(Stream.ANNEALED_MOMENTUM, Stream.ANNEALED_ACCEPT, Stream.ANNEALED_JITTER)
SAMPLER = HMC("rotation", num_steps=5, target_acceptance=0.85)
"""The prior-exact splitting: where b is small, its acceptance is 1 at any step. For the gap the number of rungs counts,
and longer trajectories do not: measured with 4 to 8 steps."""


def ladder_of(rungs: int, stiffness: float) -> tuple[float, ...]:
    """b_0 = 0, ..., b_K = 1 for K = `rungs`: b_k = ((1 + stiffness)^(k / K) - 1) / stiffness.

    Equal steps in b up to 1 / stiffness and in log b beyond, as a Gaussian posterior asks for whose Phi has curvatures
    of this order: Phi fluctuates by sqrt(modes / 2) / b where b is large. Within a factor of three, `stiffness` hardly
    matters for the gap.
    """
    return tuple(math.expm1(rung / rungs * math.log1p(stiffness)) / stiffness for rung in range(rungs)) + (1.0,)


def stiffness_of(noise_variance: float) -> float:
    """The order of the largest curvature of Phi for labels of unit variance, two samples an input dimension."""
    return 3 / noise_variance


@dataclass(frozen=True, eq=False)
class LogWeights:
    """log w and log r, [instances, chains] each, float64, on the CPU; `acceptance` is the mean over all transitions."""

    forward: Tensor
    reverse: Tensor
    acceptance: float


def both_ends(target: Target, randomness: Randomness) -> Position:
    """Places 0, 2, ... of the chain axis at prior draws, 1, 3, ... at the teacher."""
    chains = len(randomness.chains)
    start = target.initial_position(chains, "teacher", 0)
    prior = randomness.fill_normals(start.empty_like(), Stream.ANNEALED_START, 0)
    for block, drawn in zip(start.blocks, prior.blocks, strict=True):
        block[:, ::2] = drawn[:, ::2]
    return start


@dataclass(frozen=True, eq=False)
class Annealed:
    """After `rung` transitions: the `position`, what was added to log w and log r so far, [instances, places], and
    their share of the mean acceptance of all transitions."""

    rung: int
    position: Position
    log_weights: Tensor
    acceptance: float

    def to_host(self) -> HostArrays:
        """As host arrays of their own."""
        return {
            "rung": np.array(self.rung),
            "position": self.position.to_edge().cpu().numpy(),
            "log_weights": self.log_weights.cpu().numpy(),
            "acceptance": np.array(self.acceptance),
        }

    @classmethod
    def begun(cls, start: Position, left: HostArrays | None) -> "Annealed":
        """At the start, or what `to_host` wrote, stored as `start` is."""
        layout, given = start.layout, {"dtype": torch.float64, "device": start.flat.device}
        if left is None:
            return cls(0, start, torch.zeros(layout.instances, layout.chains, **given), 0.0)
        position = torch.tensor(left["position"], dtype=start.flat.dtype, device=start.flat.device)
        weights = torch.tensor(left["log_weights"], **given)
        return cls(int(left["rung"]), layout.from_edge(position), weights, float(left["acceptance"]))


def log_weights(
    target: Target,
    start: Position,
    ladder: tuple[float, ...],
    step_size: Tensor,
    randomness: Randomness,
    checkpoint: Checkpoint,
) -> LogWeights:
    """Anneal from both ends at once.

    `start` holds both ends (see `both_ends`), and `randomness` is that of its places; `step_size`, [rungs + 1,
    instances], is that at each b_k of `ladder`. It goes on where `checkpoint` says that it was left.
    """
    total, now = len(ladder) - 2, Annealed.begun(start, checkpoint.begun())
    for rung in range(now.rung, total):
        evaluated = evaluate(target, now.position)
        weights = now.log_weights + increment(ladder, rung, likelihood_energy(evaluated))
        mirrored = total - rung
        tempered = TemperedTarget(target, (ladder[rung + 1], ladder[mirrored]))
        steps = torch.stack([step_size[rung + 1], step_size[mirrored]], -1).repeat(1, start.layout.chains // 2)
        moved, info = transition_at(tempered, evaluated, steps, randomness, STREAMS, rung + 1)
        latest = float(info.acceptance.mean())
        now = Annealed(rung + 1, moved.position, weights, now.acceptance + latest / total)
        checkpoint.reached(now.rung, total, latest, now.to_host)
    weights = now.log_weights + increment(ladder, total, likelihood_energy(evaluate(target, now.position)))
    by_end = weights.cpu().unflatten(1, (-1, 2))
    return LogWeights(by_end[..., 0], by_end[..., 1], now.acceptance)


def increment(ladder: tuple[float, ...], rung: int, energy: Tensor) -> Tensor:
    """What the `rung`-th rung adds to log w and log r, place by place, from Phi [instances, places]."""
    rungs = len(ladder) - 1
    forward = -(ladder[rung + 1] - ladder[rung])
    reverse = ladder[rungs - rung] - ladder[rungs - rung - 1]
    factors = torch.tensor([forward, reverse], dtype=torch.float64, device=energy.device)
    return energy * factors.repeat(energy.shape[1] // 2)


def evaluate(target: Target, position: Position) -> State:
    """The state at b = 1. Evaluated afresh at every rung: Phi out of an energy at small b would be its rounding."""
    return State(position, *target.energy_and_gradient(position))


def likelihood_energy(state: State) -> Tensor:
    """Phi from a state at b = 1, [instances, chains], float64."""
    return state.energy - chain_dot(state.position, state.position) / 2


def transition_at(
    target: TemperedTarget, state: State, step_size: Tensor, randomness: Randomness, streams: Streams, step: int
) -> tuple[State, Info]:
    """One transition at the temperatures of `target` from a `state` at b = 1, whose gradient is overwritten."""
    kernel = SAMPLER.kernel(target, step_size, SAMPLER.num_steps or 1, randomness, streams)
    return kernel.step(tempered_state(target, state), step)


def tempered_state(target: TemperedTarget, state: State) -> State:
    """A `state` at b = 1 as one of `target`; the gradient is overwritten."""
    assert state.gradient is not None
    ladder = target.ladder(state.position.layout.chains)
    energy = target.reweighted_energy(state.energy, state.position, ladder)
    return replace(state, energy=energy, gradient=target.reweight_(state.gradient, state.position, ladder))
