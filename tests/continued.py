"""Small runs that are committed segment by segment, stopped, and taken up again."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import nishimori as nm
from nishimori.adaptation.calibration import CalibrationRecord
from nishimori.chains.journal import Journal
from nishimori.chains.progress import Progress, silent
from nishimori.chains.stop import StopRequest
from nishimori.models.target import Target
from nishimori.samplers.base import Sampler
from nishimori.sampling import Run
from nishimori.sampling.continuation import go_on
from nishimori.sampling.parts import RunParts
from nishimori.sampling.sample import run_of
from nishimori.sampling.wishes import Wishes, moving_of

WARMUP, DRAWS, THIN = 6, 11, 2
TRANSITIONS = WARMUP + DRAWS * THIN
SAMPLERS: dict[str, Sampler] = {
    "hmc": nm.HMC("rotation", step_size=0.1, num_steps=3),
    "mala": nm.MALA(step_size=0.05),
    "langevin": nm.UnderdampedLangevin(step_size=0.1, num_steps=2),
    "pcn": nm.PCN(step_size=0.2),
    "mclmc": nm.MCLMC(step_size=0.2, num_steps=2),
    "replica exchange": nm.ReplicaExchange(nm.HMC(step_size=0.1, num_steps=2), inverse_temperatures=(1.0, 0.5)),
}


@dataclass(eq=False)
class StopAt(StopRequest):
    """Asked for when it is looked at for the given time."""

    looks: int = field(default=0, kw_only=True)
    _seen: int = 0

    @property
    def reason(self) -> str:
        self._seen += 1
        return "enough" if self._seen > self.looks else ""


def ticking() -> Callable[[], float]:
    """A clock that goes on by a second when it is looked at."""
    times = iter(range(10**6))
    return lambda: float(next(times))


def problem_of(kind: str) -> nm.Problem:
    problem = nm.matched_teacher(nm.Network(6, (5,), "tanh"), nm.GaussianChannel(0.2), 8, 2, test_samples=3)
    if kind == "matched":
        return problem
    return nm.Problem(problem.network, problem.channel, problem.inputs[0].numpy(), problem.labels[0].numpy())


def record_of(target: nm.Posterior | nm.CollapsedPosterior, sampler: Sampler) -> CalibrationRecord:
    return nm.sample(target, sampler, chains=2, warmup=0, draws=1, progress=silent).calibration


def committed(
    target: Target,
    sampler: Sampler,
    calibration: CalibrationRecord,
    journal: Journal | None,
    progress: Progress = silent,
    chains: int = 2,
    **asked: Any,
) -> Run:
    """What `nm.sample` gives; into the files of a `journal` where there is one."""
    if journal is None:
        return nm.sample(target, sampler, calibration=calibration, progress=progress, chains=chains, **asked)
    defaults = {"thin": 1, "start": None, "seed": 0, "point": "", "keep": "observables", "layer_overlaps": ()}
    wishes = Wishes.of(target, chains, **{**defaults, **asked})
    moving = moving_of(target, sampler, calibration, wishes, progress)
    go_on(moving, wishes.start(target), journal)
    return run_of(moving, calibration)


@dataclass(frozen=True)
class Case:
    """A run that can be had again and again, in one go or from a directory."""

    target: nm.Posterior | nm.CollapsedPosterior
    sampler: Sampler
    calibration: CalibrationRecord

    @classmethod
    def of(cls, sampler: str = "hmc", kind: str = "matched", target: type = nm.Posterior) -> "Case":
        posterior = target(problem_of(kind), "fp64", "cpu")
        return cls(posterior, SAMPLERS[sampler], record_of(posterior, SAMPLERS[sampler]))

    def run(self, journal: Journal | None = None, progress: Progress = silent) -> Run:
        overlaps = ("weights",) if self.target.problem.teacher else ()
        asked = {"warmup": WARMUP, "draws": DRAWS, "thin": THIN, "layer_overlaps": overlaps}
        return committed(self.target, self.sampler, self.calibration, journal, progress, **asked)


def journal(home: Path, told: list[str] | None = None, stop: StopRequest | None = None, seconds: float = 3) -> Journal:
    """A commit about every third transition."""
    tell = (told if told is not None else []).append
    return Journal(home, seconds, tell, stop or StopRequest(), clock=ticking())


def assert_same(found: Run, expected: Run, told: str = "") -> None:
    one, other = RunParts.of(found), RunParts.of(expected)
    for groups, wanted in ((one.segment, other.segment), (one.state, other.state)):
        assert groups.keys() == wanted.keys()
        for group in wanted:
            assert groups[group].keys() == wanted[group].keys()
            for name, values in wanted[group].items():
                where = f"{group}/{name} {told}"
                np.testing.assert_array_equal(groups[group][name], values, err_msg=where, strict=True)
    assert repr(found.estimates) == repr(expected.estimates), told


def segments(home: Path) -> list[Path]:
    return sorted((home / "segments").glob("*.h5"))
