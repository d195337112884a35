"""Laws about means: quantities of the state whose exact mean is known, averaged along many independent chains."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from nishimori.chains.loop import Schedule, chain_loop
from nishimori.exactness.laws import MOST_Z, Comparison, Outcome, Place
from nishimori.models.layout import Position
from nishimori.models.randomness import Randomness
from nishimori.models.target import Target
from nishimori.samplers.base import Kernel, Sampler, State
from nishimori_kernels.rng.streams import Stream


@dataclass(frozen=True, eq=False)
class Case:
    """A target with known answers.

    `observe(state)` is [quantities, instances, chains], scaled so that every exact mean, given the instance, is 1 and
    an error of 1 % moves it by 0.01 or more; `start` places independent chains, by their random numbers.
    """

    target: Target
    quantities: tuple[str, ...]
    observe: Callable[[State], Tensor]
    start: Callable[[Randomness], Position]


@dataclass(frozen=True)
class MomentLaw:
    """Averages of a case's quantities, with `sampler`, whose step size and number of steps are fixed.

    Chains are independent given the data, so the spread of their averages is the Monte Carlo error.
    """

    name: str
    statement: str
    case: Callable[[Place], Case]
    sampler: Sampler
    chains: int
    warmup: int
    draws: int
    most_z: float = MOST_Z

    def check(self, place: Place) -> Outcome:
        case = self.case(place)
        randomness = Randomness.of(place.seed, self.name, case.target.instances, range(self.chains))
        kernel = fixed_kernel(case.target, self.sampler, randomness)
        state = kernel.init(case.start(randomness))
        averages = chain_averages(kernel, state, Schedule(self.warmup, self.draws), case.observe)
        named = zip(case.quantities, averages, strict=True)
        return Outcome(tuple(compare(name, values, self.most_z) for name, values in named))


def standard_normals(target: Target, randomness: Randomness) -> Position:
    """A start at independent draws of N(0, I)."""
    position = target.layout(len(randomness.chains)).empty(target.dtype, target.device)
    return randomness.fill_normals(position, Stream.PRIOR_START, 0)


def fixed_kernel(target: Target, sampler: Sampler, randomness: Randomness) -> Kernel:
    """The kernel with the step size and number of steps that the sampler fixes."""
    assert sampler.step_size is not None and sampler.num_steps is not None
    step_size = torch.full((len(target.instances),), sampler.step_size, dtype=torch.float64, device="cpu")
    return sampler.kernel(target, step_size, sampler.num_steps, randomness)


def chain_averages(kernel: Kernel, state: State, schedule: Schedule, observe: Callable[[State], Tensor]) -> Tensor:
    """`observe(state)` [quantities, instances, chains] averaged over the draws, on the CPU."""
    total = torch.zeros((), dtype=torch.float64, device=state.energy.device)
    for transition in chain_loop(kernel, state, schedule):
        if transition.draw is not None:
            total = total + observe(transition.state)
    return (total / schedule.draws).cpu()


def compare(quantity: str, averages: Tensor, most_z: float = MOST_Z) -> Comparison:
    """The mean of chain averages [instances, chains] against 1: each instance's error is the spread over its chains."""
    instances, chains = averages.shape
    error = float((averages.var(dim=1) / chains).sum().sqrt()) / instances
    deviation = float(averages.mean()) - 1
    return Comparison(quantity, deviation / error if error > 0 else math.nan, error, most_z)
