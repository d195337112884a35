"""Shared targets with known answers, and wrappers that spoil a target in a known way."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nishimori.chains.loop import Schedule, chain_loop
from nishimori.models.layout import Layout, Position
from nishimori.models.posterior import Posterior
from nishimori.models.problem import Problem
from nishimori.models.randomness import Randomness
from nishimori.models.target import Target
from nishimori.samplers.base import Info, Kernel, State
from nishimori.samplers.hmc import HMC, HMCKernel
from nishimori_kernels.rng.streams import Stream

Array = NDArray[np.float64]


class GaussianTarget:
    """U = sum_i curvatures_i q_i^2 / 2 for every chain: harmonic oscillators, N(0, 1 / curvatures)."""

    gaussian_prior = True
    dtype = torch.float64
    device = torch.device("cpu")

    def __init__(self, curvatures: Tensor, instances: int = 1) -> None:
        self.curvatures = curvatures.double()
        self.num_parameters = len(curvatures)
        self.instances = tuple(range(instances))

    def layout(self, chains: int) -> Layout:
        return Layout(len(self.instances), chains, ((self.num_parameters,),))

    def gradient(self, position: Position, out: Position | None = None) -> Position:
        out = position.empty_like() if out is None else out
        torch.mul(position.blocks[0], self.curvatures, out=out.blocks[0])
        return out

    def energy_and_gradient(self, position: Position, out: Position | None = None) -> tuple[Tensor, Position]:
        return self.energy(position), self.gradient(position, out)

    def energy(self, position: Position) -> Tensor:
        return (self.curvatures * position.blocks[0].square()).sum(-1) / 2

    def initial_position(self, chains: int | tuple[int, ...], start: str, seed: int, point: str = "") -> Position:
        del start
        identities = tuple(range(chains)) if isinstance(chains, int) else chains
        position = self.layout(len(identities)).empty(self.dtype, self.device)
        return Randomness.of(seed, point, self.instances, identities).fill_normals(position, Stream.PRIOR_START, 0)


class WrappedTarget:
    """Another target, with its energies and gradients passed through two functions."""

    def __init__(
        self,
        target: Target,
        energy: Callable[[Tensor], Tensor] = lambda energy: energy,
        gradient_: Callable[[Position], object] = lambda gradient: None,
    ) -> None:
        self.target, self._energy, self._gradient_ = target, energy, gradient_
        self.gaussian_prior, self.num_parameters = target.gaussian_prior, target.num_parameters
        self.instances, self.dtype, self.device = target.instances, target.dtype, target.device

    def layout(self, chains: int) -> Layout:
        return self.target.layout(chains)

    def energy(self, position: Position) -> Tensor:
        return self._energy(self.target.energy(position))

    def initial_position(self, chains: int | tuple[int, ...], start: str, seed: int, point: str = "") -> Position:
        return self.target.initial_position(chains, start, seed, point)

    def gradient(self, position: Position, out: Position | None = None) -> Position:
        out = self.target.gradient(position, out)
        self._gradient_(out)
        return out

    def energy_and_gradient(self, position: Position, out: Position | None = None) -> tuple[Tensor, Position]:
        energy, out = self.target.energy_and_gradient(position, out)
        self._gradient_(out)
        return self._energy(energy), out


def wrong_energy(target: Target, factor: float) -> WrappedTarget:
    """Energies `factor` times too large, forces right: HMC then samples exp(-factor U)."""
    return WrappedTarget(target, energy=lambda energy: energy * factor)


def wrong_force(target: Target, factor: float) -> WrappedTarget:
    """Forces `factor` times too large everywhere, energies right: HMC must still sample exp(-U)."""
    return WrappedTarget(target, gradient_=lambda gradient: gradient.flat.mul_(factor))


class WrongSecondHalf:
    """Forces `factor` times too large after the first `right` forces of a trajectory.

    The map is then no longer its own inverse under a flip of the momentum. Call `begin` before a trajectory.
    """

    def __init__(self, target: Target, factor: float, right: int) -> None:
        self.factor, self.right, self.calls = factor, right, 0
        self.wrapped = WrappedTarget(target, gradient_=self._spoil_)

    def begin(self) -> None:
        self.calls = 0

    def _spoil_(self, gradient: Position) -> None:
        self.calls += 1
        if self.calls > self.right:
            gradient.flat.mul_(self.factor)


@dataclass(frozen=True, eq=False)
class WrongSecondHalfKernel:
    """HMC on a `WrongSecondHalf` target, every trajectory started with the right force."""

    kernel: HMCKernel
    clean: Target
    bug: WrongSecondHalf

    def init(self, position: Position) -> State:
        return self.kernel.init(position)

    def step(self, state: State, step: int) -> tuple[State, Info]:
        start = replace(state, gradient=self.clean.gradient(state.position))
        self.bug.begin()
        return self.kernel.step(start, step)


def fixed_kernel(
    target: Target,
    integrator: str,
    step_size: float,
    num_steps: int,
    chains: int,
    seed: int = 0,
    jitter: float = 0.0,
) -> HMCKernel:
    """HMC with the same step size for all instances, chains 0 ... chains-1."""
    steps = torch.full((len(target.instances),), step_size, dtype=torch.float64)
    randomness = Randomness.of(seed, "", target.instances, range(chains))
    return HMC(integrator, jitter=jitter).kernel(target, steps, num_steps, randomness)


def states(kernel: Kernel, state: State, warmup: int, draws: int) -> Iterator[State]:
    """The states after warm-up, one a transition."""
    for transition in chain_loop(kernel, state, Schedule(warmup, draws)):
        if transition.draw is not None:
            yield transition.state


def prior_start(posterior: Posterior, chains: int, seed: int = 0) -> State:
    position = posterior.initial_position(chains, "prior", seed)
    return State(position, *posterior.energy_and_gradient(position))


def linear_posterior(problem: Problem, instance: int) -> tuple[Array, Array]:
    """Mean and covariance of a depth-0 network's weights: Bayesian regression, features x / sqrt(d)."""
    features = problem.inputs[instance].numpy() / math.sqrt(problem.network.input_dim)
    noise = problem.channel.noise_variance
    covariance: Array = np.linalg.inv(features.T @ features / noise + np.eye(features.shape[1])).astype(np.float64)
    return covariance @ features.T @ problem.labels[instance].numpy() / noise, covariance
