"""`sample`: calibrate, warm up, measure."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Literal

from torch import Tensor

from nishimori.adaptation.calibration import FROM_AFAR, NEARBY, CalibrationRecord, calibrate
from nishimori.adaptation.calibration import Schedule as CalibrationSchedule
from nishimori.chains.journal import Journal
from nishimori.chains.progress import Progress, reporter
from nishimori.measurement.analysis import analyse
from nishimori.measurement.observers import has_teacher, mixing_of
from nishimori.models.posterior import Posterior
from nishimori.models.problem import Problem
from nishimori.models.randomness import Randomness
from nishimori.models.ranges import named_range
from nishimori.models.target import Target
from nishimori.samplers.base import Sampler
from nishimori.samplers.hmc import HMC
from nishimori.samplers.replica_exchange import ReplicaExchange
from nishimori.sampling.auto import TARGETS, candidates_for, choose
from nishimori.sampling.continuation import go_on
from nishimori.sampling.memory import chains_that_fit
from nishimori.sampling.precision import require_exact_test, with_precision
from nishimori.sampling.run import Run
from nishimori.sampling.wishes import Wishes, moving_of

CALIBRATION_CHAINS = 4


def calibration_of(
    target: Target,
    sampler: Sampler,
    seed: int,
    point: str = "",
    progress: Progress | None = None,
    calibration_chains: int = CALIBRATION_CHAINS,
    schedule: CalibrationSchedule | None = None,
    phase: str = "calibration",
    weights_too: bool = False,
) -> CalibrationRecord:
    """Choose what `sampler` leaves open, with chains of its own.

    They start at the teacher, an exact posterior sample, where there is one, else where all chains start. Replica
    exchange is calibrated at its target level. `phase` is what `progress` is told; `weights_too` as in `mixing_of`.
    """
    identities = tuple(range(calibration_chains))
    report = progress or reporter("calibration")
    randomness = Randomness.of(seed, point, target.instances, identities)
    with named_range("calibration", target.device):
        return calibrate(
            target,
            sampler.sampler if isinstance(sampler, ReplicaExchange) else sampler,
            target.initial_position(identities, "teacher" if has_teacher(target) else "prior", seed, point),
            randomness,
            mixing_of(target, randomness, weights_too),
            lambda done, total, acceptance: report(phase, done, total, acceptance),
            schedule or (NEARBY if has_teacher(target) else FROM_AFAR),
        )


def sample(
    target: Target | Problem,
    sampler: Sampler | None = None,
    *,
    chains: int = 2,
    warmup: int = 50,
    draws: int = 200,
    thin: int = 1,
    start: str | None = None,
    seed: int = 0,
    point: str = "",
    observables: Mapping[str, Callable[[Tensor], Tensor]] | None = None,
    keep: Literal["observables", "position"] = "observables",
    layer_overlaps: Sequence[str] = (),
    calibration: CalibrationRecord | None = None,
    only_chains: Sequence[int] | None = None,
    checks_in_experiment: int | None = None,
    progress: Progress | None = None,
    journal: Journal | None = None,
) -> Run:
    """Sample `target` with `chains` chains per start.

    A `Problem` stands for its posterior in single precision; without a `sampler`, calibration then chooses whether the
    readout is integrated out and which integrator HMC takes, by effective samples a second (see sampling.auto). Any
    other target without a `sampler` is sampled by HMC with the leapfrog.

    `start` is "teacher", "prior" or "both"; by default "both" where labels came from a teacher, else "prior".
    `observables` are functions of the position at the edge, a batch of all chains at once: [instances, chains,
    num_parameters] to [instances, chains], or one axis more for vectors; density and module targets have no instance
    axis. `keep="position"` records the position itself as `draws["position"]`; otherwise memory is flat in the number
    of draws but for 8 bytes a recorded scalar.

    `layer_overlaps`, some of "weights", "features" and "kernels", adds the overlaps of every layer with the teacher and
    between replicas at every draw, hidden units matched (see measurement.layer_overlaps).

    Where there is a Gaussian prior and no teacher to start at (none, or another than the student believes), the
    likelihood is switched on step by step in the first
    half of warm-up (see samplers.annealing).

    `calibration` is computed where it is not given; given it, a chain's draws depend on (seed, point, instance, chain)
    alone, and `only_chains` runs a choice of them. `checks_in_experiment` is the number of exact checks the false-alarm
    rate of the verdict is shared among (default: those of this run).

    With a `journal` (see chains.journal) the run is committed segment by segment, and goes on where its directory says
    that it was stopped; everything else must be as it was, `calibration` included.

    A `Posterior` of precision "auto" is sampled in the one that `calibration` chose, by what acceptance it loses and
    what time it saves on this problem.

    Raises ValueError for an unknown start, a coarse force without a Metropolis test, a count that is too small, an
    observable of the wrong shape, layer overlaps that are unknown or without a teacher, a density that is not finite at
    a start, or a calibration without these instances or against what `sampler` fixes; BadInput, a ValueError too, where
    a GPU's memory ends, with how many chains fit.
    """
    report = progress or reporter("nishimori")
    plain = Posterior(target) if isinstance(target, Problem) else target
    counts, where = (chains, warmup, draws, thin), (start, seed, point)
    wishes = Wishes.of(plain, *counts, *where, keep, layer_overlaps, observables, only_chains)
    with chains_that_fit(plain, sampler, wishes.plan):
        if isinstance(target, Problem):
            target, sampler, calibration = _decided(target, sampler, chains, seed, point, calibration, report)
        return _sampled(target, sampler or HMC(), wishes, calibration, checks_in_experiment, report, journal)


def _sampled(
    target: Target,
    sampler: Sampler,
    wishes: Wishes,
    calibration: CalibrationRecord | None,
    checks_in_experiment: int | None,
    report: Progress,
    journal: Journal | None,
) -> Run:
    """`sample` with everything decided but what calibration chooses."""
    position = wishes.start(target)
    require_exact_test(target, sampler)
    plan = wishes.plan
    chosen = calibration or _calibrated(target, sampler, wishes.seed, wishes.point, report, len(plan.chains))
    moving = moving_of(target, sampler, chosen, wishes, report)
    if journal:
        go_on(moving, position, journal)
    else:
        moving.begin(position)
        moving.finish()
    gathered = moving.record, moving.predictions, moving.intervals
    analysis = analyse(moving.record, plan, moving.observer, *gathered[1:], chosen.alarms, checks_in_experiment)
    return Run(moving.target, plan, chosen, *gathered, moving.state, analysis)


def _calibrated(
    target: Target, sampler: Sampler, seed: int, point: str, report: Progress, chains: int
) -> CalibrationRecord:
    """With the precision of the force, where that is left open."""
    record = calibration_of(target, sampler, seed, point, report)
    told = partial(report, "precision")
    return with_precision(target, sampler, record, seed, point, chains, CALIBRATION_CHAINS, told)


def _decided(
    problem: Problem,
    sampler: Sampler | None,
    chains: int,
    seed: int,
    point: str,
    calibration: CalibrationRecord | None,
    report: Progress,
) -> tuple[Target, Sampler, CalibrationRecord | None]:
    """Target, sampler and record of a problem; the record is left to be made where a sampler is given."""
    if sampler is not None:
        return Posterior(problem), sampler, calibration
    record = calibration or choose(
        problem,
        candidates_for(problem),
        lambda name, part: TARGETS[name](part),
        HMC,
        chains,
        lambda target, hmc, phase: calibration_of(target, hmc, seed, point, report, phase=phase, weights_too=True),
    )
    if record.chosen is None:
        raise ValueError("the calibration record chose no target; give the target and the sampler it was made for")
    return TARGETS[record.chosen.target](problem), HMC(record.chosen.integrator), record
