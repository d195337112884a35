"""What a run leaves in files, as arrays, and the Run that is made of them again.

Runs of the same point with other instances join into one: instances are independent, and teachers and data come from
their seeds.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from nishimori.adaptation.calibration import CalibrationRecord
from nishimori.chains.loop import Schedule
from nishimori.chains.record import Record
from nishimori.chains.segments import read_arrays
from nishimori.chains.start import ChainPlan
from nishimori.description.config import Config
from nishimori.description.errors import BadInput
from nishimori.description.identity import identity
from nishimori.measurement.analysis import analyse
from nishimori.measurement.intervals import PredictiveIntervals
from nishimori.measurement.observers import observer_of
from nishimori.measurement.predictions import PredictionMeans
from nishimori.models.randomness import Randomness
from nishimori.models.target import Target
from nishimori.samplers.base import State
from nishimori.sampling.auto import NamedTarget
from nishimori.sampling.build import problem_of, target_of
from nishimori.sampling.in_time import draws_in, whole
from nishimori.sampling.run import Run
from nishimori.sampling.states import arrays_of, state_of

Groups = Mapping[str, Mapping[str, NDArray[Any]]]

SHARED = ("num_steps", "count")
"""Arrays without an axis of instances."""
SECOND = "moments"
"""The group whose arrays have the axis of instances second: batches of draws come first."""


@dataclass(frozen=True, eq=False)
class RunParts:
    """`record` of the calibration; `segment` and `state` as the files hold them, group by group."""

    record: CalibrationRecord
    segment: Groups
    state: Groups

    @classmethod
    def of(cls, run: Run) -> "RunParts":
        segment = {
            "draws": run.record.draws,
            "warmup": run.record.warmup,
            "statistics": run.record.statistics,
            "moments": run.predictions.to_host(),
            **({"intervals": run.intervals.to_host()} if run.intervals else {}),
            "constants": {"teacher_squared_norm": run.analysis.teacher_squared_norm},
        }
        return cls(run.calibration, segment, arrays_of(run.state))

    @classmethod
    def read(cls, home: Path) -> "RunParts":
        """Of a directory with calibration.json, segments and states. Raises BadInput for anything that is missing,
        foreign or damaged."""
        record = read_json(home / "calibration.json", CalibrationRecord)
        segment, state = _segments(home)
        found = segment.get("draws", {}).get("gibbs_error")
        if found is not None and len(record.instances) != len(found):
            raise BadInput(
                f"{home}: calibration.json names {len(record.instances)} instances and segments hold {len(found)}; "
                "restore the files or run this point again"
            )
        return cls(record, segment, state)

    @property
    def draws(self) -> int:
        """Of every chain; fewer than were asked for where the run was stopped."""
        return draws_in(self.segment)

    @classmethod
    def joined(cls, parts: Sequence["RunParts"]) -> "RunParts":
        """The instances of all, in order; what is the same for all is that of the first."""
        if len(parts) == 1:
            return parts[0]
        records = [part.record for part in parts]
        record = msgspec.structs.replace(
            records[0],
            instances=tuple(instance for record in records for instance in record.instances),
            step_size=tuple(step_size for record in records for step_size in record.step_size),
            alarms=tuple(dict.fromkeys(alarm for record in records for alarm in record.alarms)),
        )
        return cls(record, _joined([part.segment for part in parts]), _joined([part.state for part in parts]))

    def run(self, config: Config, checks_in_experiment: int | None = None) -> Run:
        """The Run of these instances of a point; teachers and data are drawn again from their seeds."""
        point, settings = identity(config), config.run
        target = target_of(config, problem_of(config, point, self.record.instances), self.record)
        plan = ChainPlan.of(config.sampler.chains, config.sampler.start)
        drawn, warmup, statistics = (dict(self.segment[name]) for name in ("draws", "warmup", "statistics"))
        draws = Record(Schedule(settings.warmup, settings.draws, settings.thin), drawn, warmup, statistics)
        predictions = PredictionMeans.from_host(settings.draws, self.segment["moments"], target.device)
        intervals = _intervals(target, plan, settings.draws, self.segment)
        randomness = Randomness.of(settings.seed, point, target.instances, plan.chains)
        wishes = settings.keep == "position", randomness, config.observables.layer_overlaps
        observer = observer_of(target, plan.disjoint_pairs(), {}, *wishes)
        analysis = analyse(draws, plan, observer, predictions, intervals, self.record.alarms, checks_in_experiment)
        state = _with_gradient(target, state_of(target, len(plan.chains), self.state))
        return Run(target, plan, self.record, draws, predictions, intervals, state, analysis)


def read_json(path: Path, kind: Any) -> Any:
    try:
        return msgspec.convert(json.loads(path.read_text(encoding="utf-8")), kind)
    except FileNotFoundError:
        raise BadInput(f"{path} is missing; run this point first") from None
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} cannot be read ({error}); restore the file or run this point again") from None


def _joined(groups: Sequence[Groups]) -> Groups:
    return {
        group: {name: _concatenated(group, name, [one[group][name] for one in groups]) for name in arrays}
        for group, arrays in groups[0].items()
    }


def _concatenated(group: str, name: str, arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return arrays[0] if name in SHARED else np.concatenate(arrays, axis=1 if group == SECOND else 0)


def _segments(home: Path) -> tuple[Groups, Groups]:
    """All of a run that has ended, as one, and the state at its end."""
    files = sorted((home / "segments").glob("[0-9]*.h5"))
    if not files:
        raise BadInput(f"{home / 'segments'} is empty; run this point to its end first")
    return whole([read_arrays(path) for path in files]), read_arrays(home / "states" / files[-1].name)


def _intervals(target: NamedTarget, plan: ChainPlan, draws: int, segment: Groups) -> PredictiveIntervals | None:
    """None in files older than the intervals."""
    if "intervals" not in segment:
        return None
    noise_variance = target.problem.channel.noise_variance
    return PredictiveIntervals.from_host(draws, len(plan.chains), noise_variance, segment["intervals"], target.device)


def _with_gradient(target: Target, state: State) -> State:
    """Computed anew where it was not written."""
    return state if state.gradient is not None else replace(state, gradient=target.gradient(state.position))
