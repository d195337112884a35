"""Read a run back from its directory."""

import json
from pathlib import Path
from typing import Any

import msgspec
import torch

from nishimori.adaptation.calibration import CalibrationRecord
from nishimori.chains.loop import Schedule
from nishimori.chains.record import Record
from nishimori.chains.segments import read_arrays
from nishimori.chains.start import ChainPlan
from nishimori.description.config import Config
from nishimori.description.errors import BadInput
from nishimori.description.experiment import identity
from nishimori.measurement.analysis import analyse
from nishimori.measurement.intervals import PredictiveIntervals
from nishimori.measurement.observers import observer_of
from nishimori.measurement.predictions import PredictionMeans
from nishimori.models.layout import Position
from nishimori.models.randomness import Randomness
from nishimori.models.target import Target
from nishimori.samplers.base import State
from nishimori.sampling.auto import NamedTarget
from nishimori.sampling.build import problem_of, target_of
from nishimori.sampling.run import Run

Groups = dict[str, dict[str, Any]]


def load(directory: str | Path) -> Run:
    """The Run of a finished point: a run directory with one point, or one of its `points/<id>` directories.

    Teachers and data are drawn again from their seeds; draws, moments and the final state are read. Nothing in the
    files is executed. Raises BadInput, with the file, for anything that is missing, foreign or damaged.
    """
    home = _home(Path(directory))
    config = _read(home / "config.json", Config)
    record = _read(home / "calibration.json", CalibrationRecord)
    point = identity(config)
    if point != home.name:
        raise BadInput(
            f"{home}: config.json is that of point {point}; give the directory of one point as it was written"
        )
    groups, state = (_only_file(home / kind) for kind in ("segments", "states"))
    target = target_of(config, problem_of(config, point), record)
    plan = ChainPlan.of(config.sampler.chains, config.sampler.start)
    run = config.run
    draws = Record(Schedule(run.warmup, run.draws, run.thin), groups["draws"], groups["warmup"], groups["statistics"])
    predictions = PredictionMeans.from_host(run.draws, groups["moments"], target.device)
    intervals = _intervals(target, plan, run.draws, groups)
    randomness = Randomness.of(run.seed, point, target.instances, plan.chains)
    kept, layer_overlaps = run.keep == "position", config.observables.layer_overlaps
    observer = observer_of(target, plan.disjoint_pairs(), {}, kept, randomness, layer_overlaps)
    analysis = analyse(draws, plan, observer, predictions, intervals, record.alarms)
    return Run(target, plan, record, draws, predictions, intervals, _state(target, plan, state["state"]), analysis)


def _home(directory: Path) -> Path:
    """The directory of one point."""
    if (directory / "config.json").exists():
        return directory
    points = sorted(path for path in directory.glob("points/*") if path.is_dir())
    if not points:
        raise BadInput(f"{directory} holds no run; give the --out directory of a run")
    if len(points) > 1:
        names = ", ".join(f"points/{path.name}" for path in points)
        raise BadInput(f"{directory} holds {len(points)} points; load one of them: {names}")
    return points[0]


def _read(path: Path, kind: Any) -> Any:
    try:
        return msgspec.convert(json.loads(path.read_text(encoding="utf-8")), kind)
    except FileNotFoundError:
        raise BadInput(f"{path} is missing; run this point first") from None
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} cannot be read ({error}); restore the file or run this point again") from None


def _only_file(folder: Path) -> Groups:
    files = sorted(folder.glob("[0-9]*.h5"))
    if not files:
        raise BadInput(f"{folder} is empty; run this point to its end first")
    return read_arrays(files[-1])


def _intervals(target: NamedTarget, plan: ChainPlan, draws: int, groups: Groups) -> PredictiveIntervals | None:
    """None in files older than the intervals."""
    if "intervals" not in groups:
        return None
    noise_variance = target.problem.channel.noise_variance
    return PredictiveIntervals.from_host(draws, len(plan.chains), noise_variance, groups["intervals"], target.device)


def _state(target: Target, plan: ChainPlan, arrays: dict[str, Any]) -> State:
    """Position, energy and momentum as they were; the gradient computed anew."""
    layout = target.layout(len(plan.chains))

    def position(name: str) -> Position:
        return layout.from_edge(torch.as_tensor(arrays[name], dtype=target.dtype, device=target.device))

    place = position("position")
    momentum = position("momentum") if "momentum" in arrays else None
    energy = torch.as_tensor(arrays["energy"], device=target.device)
    return State(place, energy, target.gradient(place), momentum)
