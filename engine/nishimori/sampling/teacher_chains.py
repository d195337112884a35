"""Chains that start at the teacher of a matched problem, an exact posterior draw, and have forgotten it when they are
read; on request with as many that start from the prior and are independent of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from nishimori.adaptation.calibration import calibrate
from nishimori.adaptation.trajectory_length import Observables
from nishimori.chains.checkpoints import Checkpoints
from nishimori.chains.loop import Schedule, Transition, chain_loop
from nishimori.chains.progress import Progress
from nishimori.chains.start import ChainPlan, initial_position
from nishimori.measurement.error_bars import standard_error_of
from nishimori.measurement.student import student_to_normal
from nishimori.models.randomness import Randomness
from nishimori.models.target import Target
from nishimori.samplers.base import State
from nishimori.samplers.checkpoint import HostArrays
from nishimori.samplers.hmc import HMC
from nishimori.sampling.states import CACHE, STATE, arrays_of, state_of

SAMPLER = HMC("rotation")
CALIBRATION_CHAINS = 4
MOST_DRIFT = 4.5
"""Standard errors by which the second half of the draws may differ from the first, or one start from the other."""

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Effort:
    """`chains` an instance and start, each of `warmup` transitions and then `draws` that are read."""

    chains: int
    warmup: int
    draws: int


class Gathered(Protocol):
    """What is read of the draws: `update` is given each of them, `to_host` is all of it so far, and `put_back` goes on
    from that."""

    def update(self, draw: int, state: State) -> None: ...

    def to_host(self) -> HostArrays: ...

    def put_back(self, values: HostArrays) -> None: ...


def teacher_chains(
    target: Target,
    mixing: Observables | None,
    effort: Effort,
    seed: int,
    point: str,
    checkpoints: Checkpoints,
    phase: str,
    gathered: Gathered,
    start: str = "teacher",
) -> float:
    """Give `gathered` the draws after warm-up, by a sampler that was calibrated first (see `calibrate`); with `start`
    "both" of the chains of `ChainPlan.of(effort.chains, "both")`. Returns their mean acceptance.

    `checkpoints` keep the calibration once it is made, and the chains after any transition. A calibration that is
    stopped is made again whole, as that of a run is: by gradients counted it takes a fifth to a half of what its chains
    take at the default counts, and up to twice as much as they for a single instance.
    """
    plan, instances = ChainPlan.of(effort.chains, start), target.instances
    frozen = checkpoints.once(
        f"calibration, {phase}", lambda: _calibrated(target, mixing, seed, point, checkpoints.report, phase)
    )
    step_size = torch.tensor(frozen["step_size"], device="cpu")
    randomness = Randomness.of(seed, point, instances, plan.chains)
    kernel = SAMPLER.kernel(target, step_size, int(frozen["num_steps"]), randomness)
    schedule, checkpoint = Schedule(effort.warmup, effort.draws), checkpoints.loop(phase)
    begun = _left(target, len(plan.chains), gathered, checkpoint.begun())
    state, first, acceptance = begun or (kernel.init(initial_position(target, plan, seed, point)), 0, 0.0)
    for transition in chain_loop(kernel, state, schedule, first):
        latest = float(transition.info.acceptance.mean())
        if transition.draw is not None:
            gathered.update(transition.draw, transition.state)
            acceptance += latest / effort.draws
        done, now = transition.step + 1, _Standing(transition, acceptance, gathered)
        checkpoint.reached(done, schedule.transitions, latest, now.to_host)
    return acceptance


def _left(
    target: Target, chains: int, gathered: Gathered, values: HostArrays | None
) -> tuple[State, int, float] | None:
    """State, number of transitions and sum of acceptances that `_Standing` wrote; None where the chains start."""
    if values is None:
        return None
    gathered.put_back(values)
    return state_of(target, chains, {STATE: values}), int(values["step"]), float(values["acceptance"])


def _calibrated(
    target: Target, mixing: Observables | None, seed: int, point: str, report: Progress, phase: str
) -> HostArrays:
    own = tuple(range(CALIBRATION_CHAINS))
    record = calibrate(
        target,
        SAMPLER,
        target.initial_position(own, "teacher", seed, point),
        Randomness.of(seed, point, target.instances, own),
        mixing,
        partial(report, f"calibration, {phase}"),
    )
    return {"step_size": record.step_size_of(target.instances).numpy(), "num_steps": np.array(record.num_steps)}


@dataclass(frozen=True, eq=False)
class _Standing:
    """After a `transition`: the sum of `acceptance` and what was gathered of the draws so far."""

    transition: Transition
    acceptance: float
    gathered: Gathered

    def to_host(self) -> HostArrays:
        of_state = arrays_of(self.transition.state)
        counted = {"step": np.array(self.transition.step + 1), "acceptance": np.array(self.acceptance)}
        return {**self.gathered.to_host(), **of_state[STATE], **of_state[CACHE], **counted}


def drift_alarm(halves: Sequence[Values], what: str) -> tuple[str, ...]:
    """A sentence where the two halves of the draws, [instances] each, disagree on average; else nothing."""
    z = _disagreement(*halves) if len(halves) == 2 else 0.0
    if abs(z) < MOST_DRIFT:
        return ()
    return (f"{what} still moves (by {z:.1f} standard errors between halves of the draws); raise warmup",)


def starts_alarm(teacher: Values, prior: Values, what: str) -> tuple[str, ...]:
    """A sentence where chains of the two starts, [instances] each, disagree on average; else nothing."""
    z = _disagreement(teacher, prior)
    if abs(z) < MOST_DRIFT:
        return ()
    return (f"{what} depends on where chains start (by {z:.1f} standard errors); raise warmup",)


def _disagreement(first: Values, second: Values) -> float:
    """Mean difference in standard errors over instances, few of them allowed for (see `student_to_normal`); 0 where
    there is no telling."""
    difference = second - first
    if len(difference) < 2 or not difference.std() > 0:
        return 0.0
    return student_to_normal(float(difference.mean() / standard_error_of(difference)), len(difference) - 1)
