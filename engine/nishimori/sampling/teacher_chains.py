"""Chains that start at the teacher of a matched problem, an exact posterior draw, and have forgotten it when they are
read; on request with as many that start from the prior and are independent of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from nishimori.adaptation.calibration import calibrate
from nishimori.adaptation.trajectory_length import Observables
from nishimori.chains.loop import Schedule, Transition, chain_loop
from nishimori.chains.progress import Progress
from nishimori.chains.start import ChainPlan, initial_position
from nishimori.measurement.error_bars import standard_error_of
from nishimori.measurement.student import student_to_normal
from nishimori.models.randomness import Randomness
from nishimori.models.target import Target
from nishimori.samplers.hmc import HMC

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


def teacher_chains(
    target: Target,
    mixing: Observables | None,
    effort: Effort,
    seed: int,
    point: str,
    report: Progress,
    phase: str,
    start: str = "teacher",
) -> Iterator[Transition]:
    """The transitions after warm-up, by a sampler that was calibrated first (see `calibrate`); with `start` "both" the
    chains of `ChainPlan.of(effort.chains, "both")`."""
    plan, instances = ChainPlan.of(effort.chains, start), target.instances
    own = tuple(range(CALIBRATION_CHAINS))
    record = calibrate(
        target,
        SAMPLER,
        target.initial_position(own, "teacher", seed, point),
        Randomness.of(seed, point, instances, own),
        mixing,
        partial(report, f"calibration, {phase}"),
    )
    randomness = Randomness.of(seed, point, instances, plan.chains)
    kernel = SAMPLER.kernel(target, record.step_size_of(instances), record.num_steps, randomness)
    schedule = Schedule(effort.warmup, effort.draws)
    state = kernel.init(initial_position(target, plan, seed, point))
    for transition in chain_loop(kernel, state, schedule):
        report(phase, transition.step + 1, schedule.transitions, float(transition.info.acceptance.mean()))
        if transition.draw is not None:
            yield transition


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
