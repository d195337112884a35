"""The verdict of a point: may its numbers be believed. Theory has no say in it.

Criteria, their values and bounds are listed whole, so that a reader sees how close a point came; thresholds and the
reasons for them are in `thresholds`.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from nishimori.measurement import thresholds
from nishimori.measurement.convergence import Convergence
from nishimori.measurement.error_bars import Estimate
from nishimori.measurement.finite import NotFinite
from nishimori.measurement.identities import Check


@dataclass(frozen=True)
class Criterion:
    """One thing asked of a point: `name` of the `subject` (a check, an observable or the chains) has `value`, to be
    held against `bound`. `failure` is the sentence to read, empty where it holds."""

    name: str
    subject: str
    value: float
    bound: float
    failure: str = ""

    @property
    def passed(self) -> bool:
        return not self.failure


@dataclass(frozen=True)
class Verdict:
    """Every criterion; none that fails means the point passed."""

    criteria: tuple[Criterion, ...]

    @property
    def failures(self) -> tuple[str, ...]:
        """Sentences, each once."""
        return tuple(dict.fromkeys(criterion.failure for criterion in self.criteria if criterion.failure))

    @property
    def passed(self) -> bool:
        return not self.failures


@dataclass(frozen=True)
class Behaviour:
    """How the chains behaved: `divergent_fraction` of measured transitions, `stuck` (instance, chain) places,
    `decay_time` of the overlap with the teacher in transitions (0 without a teacher), the warm-up it is compared with,
    the `alarms` of calibration, and the chains that stopped being finite."""

    divergent_fraction: float
    stuck: Sequence[tuple[int, int]]
    decay_time: float
    warmup: int
    alarms: tuple[str, ...] = ()
    not_finite: Sequence[NotFinite] = ()


def judge(
    estimates: Mapping[str, Estimate],
    convergences: Mapping[str, Convergence],
    checks: Sequence[Check],
    behaviour: Behaviour,
    checks_in_experiment: int,
) -> Verdict:
    """Hold everything against its bound; a quantity that could not be computed fails. Checks that are asymptotic are
    not judged."""
    level = thresholds.FALSE_ALARM_RATE / checks_in_experiment
    criteria = [
        *[_check(check, level) for check in checks if check.exact],
        *[_error_bar(name, estimate) for name, estimate in estimates.items()],
        *[criterion for name, result in convergences.items() for criterion in _converged(name, result)],
        *_behaved(behaviour),
    ]
    return Verdict(tuple(criteria))


def _check(check: Check, level: float) -> Criterion:
    failure = ""
    if math.isnan(check.p_value):
        failure = f"exact check {check.name} could not be judged: it needs at least two instances that differ"
    elif not check.p_value > level:
        failure = (
            f"exact check {check.name} failed: {check.statement}, "
            f"z = {check.z:.2f}, p = {check.p_value:.1e} < {level:.1e}"
        )
    return Criterion("p_value", check.name, check.p_value, level, failure)


def _error_bar(name: str, estimate: Estimate) -> Criterion:
    ratio, most, failure = estimate.monte_carlo_ratio, thresholds.LARGEST_MONTE_CARLO_RATIO, ""
    if math.isnan(estimate.standard_error):
        failure = "one instance has no error bar over the disorder; use at least two instances"
    elif not ratio <= most:
        failure = (
            f"{name}: Monte Carlo variance is {ratio:.2g} of the disorder variance (at most {most}); "
            "take more draws or chains"
        )
    return Criterion("monte_carlo_ratio", name, ratio, most, failure)


UNKNOWN = "R-hat and effective sample size could not be computed; take at least eight draws of chains that move"


def _converged(name: str, result: Convergence) -> Iterator[Criterion]:
    most, least = thresholds.LARGEST_R_HAT, thresholds.SMALLEST_SAMPLE_SIZE
    for criterion, words, r_hat in (
        ("r_hat", "R-hat", result.r_hat),
        ("split_r_hat", "split R-hat", result.split_r_hat),
        ("nested_r_hat", "nested R-hat between starts", result.nested_r_hat),
    ):
        if criterion == "nested_r_hat" and math.isnan(r_hat):
            continue  # there are no superchains; where chains do not move, the others say so
        size = f"{r_hat:.3f}" if r_hat < 100 else "of a hundred or more"
        failure = UNKNOWN if math.isnan(r_hat) else f"{name}: {words} {size} above {most}; take more draws"
        yield Criterion(criterion, name, r_hat, most, "" if r_hat <= most else failure)
    for criterion, words, size in (
        ("bulk_sample_size", "effective sample size", result.effective_sample_size),
        ("tail_sample_size", "effective sample size of the tails", result.tail_sample_size),
    ):
        failure = UNKNOWN if math.isnan(size) else f"{name}: {words} {size:.0f} below {least:.0f}; take more draws"
        yield Criterion(criterion, name, size, least, "" if size >= least else failure)


def _behaved(behaviour: Behaviour) -> Iterator[Criterion]:
    for alarm in behaviour.alarms:
        yield Criterion("alarm", "calibration", 1.0, 0.0, f"calibration: {alarm}")
    lost = len(behaviour.not_finite)
    yield Criterion("not_finite_chains", "chains", float(lost), 0.0, _lost(behaviour.not_finite) if lost else "")
    stuck, divergent, most = len(behaviour.stuck), behaviour.divergent_fraction, thresholds.LARGEST_DIVERGENT_FRACTION
    place = "first instance {} chain {}".format(*behaviour.stuck[0]) if stuck else ""
    yield Criterion(
        *("stuck_chains", "chains", float(stuck), 0.0),
        f"{stuck} stuck chain(s), {place}; lower the step size" if stuck else "",
    )
    yield Criterion(
        *("divergent_fraction", "chains", divergent, most),
        ""
        if divergent < most
        else f"{divergent:.2%} of transitions diverged (below 0.1 % wanted); lower the step size",
    )
    needed = thresholds.DECAY_TIMES_OF_WARMUP * behaviour.decay_time
    yield Criterion(
        *("warmup", "chains", float(behaviour.warmup), needed),
        ""
        if behaviour.warmup >= needed
        else f"warm-up of {behaviour.warmup} is shorter than five decay times of the overlap with the teacher "
        f"({behaviour.decay_time:.1f} transitions each); lengthen it",
    )


def _lost(chains: Sequence[NotFinite]) -> str:
    first = chains[0]
    since = "the start" if first.transition < 0 else f"transition {first.transition}"
    others = f", and {len(chains) - 1} other chain(s) are not either" if len(chains) > 1 else ""
    return (
        f"chain {first.chain} of instance {first.instance} is not finite from {since} on{others}; leave its instance "
        "out, or sample the point again in double precision or with a lower step size"
    )
