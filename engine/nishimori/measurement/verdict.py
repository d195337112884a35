"""The verdict of a point: may its numbers be believed. Theory has no say in it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nishimori.measurement.convergence import Convergence
from nishimori.measurement.error_bars import Estimate
from nishimori.measurement.identities import Check

LARGEST_R_HAT = 1.05
SMALLEST_SAMPLE_SIZE = 100.0
LARGEST_MONTE_CARLO_RATIO = 0.25
SMALLEST_P_VALUE = 0.001
LARGEST_DIVERGENT_FRACTION = 0.001
DECAY_TIMES_OF_WARMUP = 5.0


@dataclass(frozen=True)
class Verdict:
    """`failures` are sentences; none of them means the point passed."""

    failures: tuple[str, ...]

    @property
    def passed(self) -> bool:
        return not self.failures


@dataclass(frozen=True)
class Behaviour:
    """How the chains behaved: `divergent_fraction` of measured transitions, `stuck` (instance, chain) places,
    `decay_time` of the overlap with the teacher in transitions (0 without a teacher), the warm-up it is compared with,
    and the `alarms` of calibration."""

    divergent_fraction: float
    stuck: Sequence[tuple[int, int]]
    decay_time: float
    warmup: int
    alarms: tuple[str, ...] = ()


def judge(
    estimates: Mapping[str, Estimate],
    convergences: Mapping[str, Convergence],
    checks: Sequence[Check],
    behaviour: Behaviour,
    checks_in_experiment: int,
) -> Verdict:
    """Collect every reason to distrust the point; a quantity that could not be computed is one."""
    failures = [
        *_check_failures(checks, checks_in_experiment),
        *_estimate_failures(estimates),
        *_convergence_failures(convergences),
        *_behaviour_failures(behaviour),
    ]
    return Verdict(tuple(failures))


def _check_failures(checks: Sequence[Check], count: int) -> list[str]:
    level = SMALLEST_P_VALUE / count
    return [
        f"exact check {check.name} failed: {check.statement}, z = {check.z:.2f}, p = {check.p_value:.1e} < {level:.1e}"
        if not math.isnan(check.p_value)
        else f"exact check {check.name} could not be judged: it needs at least two instances that differ"
        for check in checks
        if not check.p_value > level
    ]


def _estimate_failures(estimates: Mapping[str, Estimate]) -> list[str]:
    if any(math.isnan(estimate.standard_error) for estimate in estimates.values()):
        return ["one instance has no error bar over the disorder; use at least two instances"]
    return [
        f"{name}: Monte Carlo variance is {estimate.monte_carlo_ratio:.2g} of the disorder variance "
        f"(at most {LARGEST_MONTE_CARLO_RATIO}); take more draws or chains"
        for name, estimate in estimates.items()
        if not estimate.monte_carlo_ratio <= LARGEST_MONTE_CARLO_RATIO
    ]


def _convergence_failures(convergences: Mapping[str, Convergence]) -> list[str]:
    failures = []
    if any(math.isnan(result.r_hat) for result in convergences.values()):
        return ["R-hat and effective sample size could not be computed; take at least eight draws of chains that move"]
    for name, result in convergences.items():
        if not result.r_hat <= LARGEST_R_HAT:
            failures.append(f"{name}: R-hat {result.r_hat:.3f} above {LARGEST_R_HAT}; take more draws")
        if not result.effective_sample_size >= SMALLEST_SAMPLE_SIZE:
            size = result.effective_sample_size
            failures.append(
                f"{name}: effective sample size {size:.0f} below {SMALLEST_SAMPLE_SIZE:.0f}; take more draws"
            )
    return failures


def _behaviour_failures(behaviour: Behaviour) -> list[str]:
    failures = [f"calibration: {alarm}" for alarm in behaviour.alarms]
    if behaviour.stuck:
        instance, chain = behaviour.stuck[0]
        failures.append(
            f"{len(behaviour.stuck)} stuck chain(s), first instance {instance} chain {chain}; lower the step size"
        )
    if not behaviour.divergent_fraction < LARGEST_DIVERGENT_FRACTION:
        failures.append(
            f"{behaviour.divergent_fraction:.2%} of transitions diverged (below 0.1 % wanted); lower the step size"
        )
    if not behaviour.warmup >= DECAY_TIMES_OF_WARMUP * behaviour.decay_time:
        failures.append(
            f"warm-up of {behaviour.warmup} is shorter than five decay times of the overlap with the teacher "
            f"({behaviour.decay_time:.1f} transitions each); lengthen it"
        )
    return failures
