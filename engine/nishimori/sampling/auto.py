"""Choose target and integrator by a short calibration on the very problem: most effective samples a second.

Each candidate is calibrated on a few instances, which gives its effective samples a gradient (of the slowest
observable, by lag-one autocorrelation: see adaptation.trajectory_length), and one gradient of all chains of all
instances is timed. The product ranks the candidates; one that is too slow to win whatever it did is not tried, and the
best is calibrated on all instances. What was measured goes into the record, which every later step reads: the choice
depends on the machine, the law sampled does not.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import msgspec

from nishimori.adaptation.calibration import CalibrationRecord, Choice
from nishimori.adaptation.trajectory_length import COST_OF_A_TRANSITION
from nishimori.description import GaussianChannel
from nishimori.description.errors import BadInput
from nishimori.models.collapsed import CollapsedPosterior
from nishimori.models.posterior import Posterior
from nishimori.models.problem import Problem
from nishimori.samplers.hmc import HMC
from nishimori.sampling.timing import median_seconds

Candidate = tuple[str, str]
NamedTarget = Posterior | CollapsedPosterior

TARGETS: dict[str, type[Posterior] | type[CollapsedPosterior]] = {"plain": Posterior, "collapsed": CollapsedPosterior}
CANDIDATES: tuple[Candidate, ...] = (
    ("plain", "minimum_norm"),
    ("plain", "minimum_norm_rotation"),
    ("collapsed", "rotation"),
)
ON_REQUEST: tuple[Candidate, ...] = (
    ("plain", "leapfrog"),
    ("plain", "rotation"),
    ("collapsed", "minimum_norm_rotation"),
)
"""Tried where the integrator is asked for: on no problem that was measured did one of them win by more than a few per
cent. Leapfrog on the collapsed posterior, which is rotation with a worse step, is not tried at all."""
SCREENED_INSTANCES = 4
MOST_PER_GRADIENT = 1 / (1 + COST_OF_A_TRANSITION)
"""What trajectory_length's efficiency is at most: one effective sample a transition of one step."""

Calibrate = Callable[[NamedTarget, HMC, str], CalibrationRecord]
"""Calibrates a sampler on a target, with whatever seed, chains and progress the caller wants; the last argument is what
the progress calls it."""


def candidates_for(problem: Problem, target: str | None = None, integrator: str | None = None) -> list[Candidate]:
    """Those that the problem allows and that fit a wish. Raises BadInput where none is left."""
    network, gaussian = problem.network, isinstance(problem.channel, GaussianChannel)
    collapsible = gaussian and network.readout == "gaussian" and network.depth > 0 and not network.bias_variance
    known = CANDIDATES if integrator is None else CANDIDATES + ON_REQUEST
    left = [
        candidate
        for candidate in known
        if target in (None, candidate[0])
        and integrator in (None, candidate[1])
        and (collapsible or candidate[0] == "plain")
    ]
    if not left:
        raise BadInput(
            f'sampler.kind = "auto" has no candidate with target {target!r} and integrator {integrator!r} for this '
            'network and channel; leave one of them out, or set sampler.kind = "hmc"'
        )
    return left


def choose(
    problem: Problem,
    candidates: Sequence[Candidate],
    make_target: Callable[[str, Problem], NamedTarget],
    make_sampler: Callable[[str], HMC],
    chains: int,
    calibrate: Calibrate,
) -> CalibrationRecord:
    """The record of the best candidate, calibrated on all instances, with all candidates' figures in `choices`.

    `make_target(name, problem)` and `make_sampler(integrator)` build what is named; `chains` are the chains of every
    instance that will run side by side. Raises BadInput where no candidate's trajectories are accepted.
    """
    small, total = _first_instances(problem, SCREENED_INSTANCES), chains * len(problem.instances)
    seconds = seconds_per_gradient({name: make_target(name, problem) for name, _ in candidates}, chains)
    rows: list[Choice] = []
    for name, integrator in sorted(candidates, key=lambda candidate: seconds[candidate[0]]):
        most, best = MOST_PER_GRADIENT * total / seconds[name], max((row.per_second for row in rows), default=0.0)
        if most < best:
            rows.append(Choice(name, integrator, 0.0, seconds[name], 0.0, False, _not_tried(most, best)))
            continue
        record = calibrate(make_target(name, small), make_sampler(integrator), f"trying {name} {integrator}")
        rows.append(_measured(name, integrator, record, seconds[name], total))
    best_row = max(range(len(rows)), key=lambda place: rows[place].per_second)
    chosen = rows[best_row]
    record = calibrate(make_target(chosen.target, problem), make_sampler(chosen.integrator), "calibration")
    return msgspec.structs.replace(record, choices=tuple(_explained(rows, best_row)))


def _measured(name: str, integrator: str, record: CalibrationRecord, seconds: float, chains: int) -> Choice:
    """`seconds` is the time of one gradient of all `chains` chains together."""
    per_gradient = record.efficiency[record.num_steps - 1]
    return Choice(name, integrator, per_gradient, seconds, chains * per_gradient / seconds, False, "")


def _not_tried(most: float, best: float) -> str:
    return f"not tried: one effective sample a transition would be {most:.3g} a second at most, against {best:.3g}"


def _explained(rows: Sequence[Choice], best: int) -> list[Choice]:
    top = rows[best].per_second
    others = [row.per_second for place, row in enumerate(rows) if place != best]
    won = f"most effective samples a second: {top:.3g}, the next {max(others):.3g}" if others else "the only candidate"
    lost = [row.reason or f"{row.per_second:.3g} effective samples a second against {top:.3g}" for row in rows]
    return [
        msgspec.structs.replace(row, chosen=place == best, reason=won if place == best else lost[place])
        for place, row in enumerate(rows)
    ]


def seconds_per_gradient(targets: Mapping[str, NamedTarget], chains: int) -> dict[str, float]:
    """Median time of one gradient of `chains` chains of every instance, at prior draws.

    The targets take turns, so that other work on the machine hits all of them.
    """
    positions = {name: target.initial_position(chains, "prior", 0) for name, target in targets.items()}
    outs = {name: position.empty_like() for name, position in positions.items()}
    calls = {name: partial(target.gradient, positions[name], outs[name]) for name, target in targets.items()}
    return median_seconds(calls, next(iter(targets.values())).device)


def _first_instances(problem: Problem, count: int) -> Problem:
    """The same problem on its first instances."""
    if len(problem.instances) <= count:
        return problem
    teacher, test_inputs = problem.teacher, problem.test_inputs
    if teacher is not None:
        weights = teacher.weights
        teacher = replace(
            teacher,
            weights=replace(weights.layout, instances=count).from_edge(weights.to_edge()[:count]),
            latent=teacher.latent[:count],
            test_inputs=teacher.test_inputs[:count],
            test_latent=teacher.test_latent[:count],
        )
    return replace(
        problem,
        inputs=problem.inputs[:count],
        labels=problem.labels[:count],
        test_inputs=None if test_inputs is None else test_inputs[:count],
        teacher=teacher,
        instances=problem.instances[:count],
    )
