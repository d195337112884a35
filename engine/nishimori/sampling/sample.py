"""`sample`: calibrate, warm up, measure."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Literal

from torch import Tensor

from nishimori.adaptation.calibration import FROM_AFAR, NEARBY, CalibrationRecord, calibrate
from nishimori.adaptation.calibration import Schedule as CalibrationSchedule
from nishimori.chains.progress import Progress, reporter
from nishimori.chains.writers import PointWriter
from nishimori.description.errors import BadInput
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
from nishimori.sampling.kept import kept, settings_of
from nishimori.sampling.memory import chains_that_fit
from nishimori.sampling.moving import Moving
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
    directory: str | Path | None = None,
    segment_seconds: float = 60.0,
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

    With a `directory` the run is committed there every `segment_seconds`, so that no more than that is lost however it
    is interrupted, and the same call goes on where it was stopped, to the bit on the same machine, or gives the run
    again where it had ended (see sampling.kept). Functions among the arguments must be the same again.

    A `Posterior` of precision "auto" is sampled in the one that `calibration` chose, by what acceptance it loses and
    what time it saves on this problem.

    Raises BadInput, a ValueError too, for a `directory` that holds something else, or a run that was asked otherwise,
    DirectoryBusy where another process writes there, and StorageFailed where it cannot be written; ValueError for an
    unknown start, a coarse force without a Metropolis test, a count that is too small, an
    observable of the wrong shape, layer overlaps that are unknown or without a teacher, a density that is not finite at
    a start, or a calibration without these instances or against what `sampler` fixes; BadInput where memory ends,
    a GPU's or the host's, with how many chains fit.
    """
    report = progress or reporter("nishimori")
    plain = Posterior(target) if isinstance(target, Problem) else target
    counts, where = (chains, warmup, draws, thin), (start, seed, point)
    wishes = Wishes.of(plain, *counts, *where, keep, layer_overlaps, observables, only_chains)
    with chains_that_fit(plain, sampler, wishes.plan), _home(directory, plain, sampler, wishes, report) as home:
        if home:
            report, calibration = home.progress, _agreed(home, calibration)
        if isinstance(target, Problem):
            target, sampler, calibration = _decided(target, sampler, chains, seed, point, calibration, report)
        sampler = sampler or HMC()
        require_exact_test(target, sampler)
        chosen = calibration or _calibrated(target, sampler, seed, point, report, len(wishes.plan.chains))
        moving, position = moving_of(target, sampler, chosen, wishes, report), wishes.start(target)
        if home is None:
            moving.begin(position)
            moving.finish()
        else:
            _publish(home, chosen)
            (journal,) = home.journals(segment_seconds)
            go_on(moving, position, journal)
        return run_of(moving, chosen, checks_in_experiment)


def run_of(moving: Moving, calibration: CalibrationRecord, checks_in_experiment: int | None = None) -> Run:
    """Of chains at the end of their schedule."""
    gathered = moving.record, moving.predictions, moving.intervals
    analysis = analyse(
        moving.record, moving.plan, moving.observer, *gathered[1:], calibration.alarms, checks_in_experiment
    )
    return Run(moving.target, moving.plan, calibration, *gathered, moving.state, analysis)


@contextmanager
def _home(
    directory: str | Path | None, target: Target, sampler: Sampler | None, wishes: Wishes, report: Progress
) -> Iterator[PointWriter | None]:
    if directory is None:
        yield None
    else:
        with kept(Path(directory), settings_of(target, sampler, wishes), report) as home:
            yield home


def _agreed(home: PointWriter, calibration: CalibrationRecord | None) -> CalibrationRecord | None:
    """What lies there, which is what was given where both are."""
    held = home.calibration()
    if held and calibration and held != calibration:
        raise BadInput(f"{home.directory} holds a run with another calibration; give that, none, or another directory")
    return held or calibration


def _publish(home: PointWriter, calibration: CalibrationRecord) -> None:
    if home.calibration() is None:
        home.publish_calibration(calibration)


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
