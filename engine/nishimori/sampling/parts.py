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
from numpy.typing import NDArray

from nishimori.adaptation.calibration import CalibrationRecord
from nishimori.chains.loop import Schedule
from nishimori.chains.places import places_of
from nishimori.chains.record import Record
from nishimori.chains.segments import read_arrays
from nishimori.chains.start import ChainPlan
from nishimori.description.blocks import Block, blocks_of
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
from nishimori.sampling.side_by_side import joined_blocks, joined_instances
from nishimori.sampling.states import arrays_of, state_of

Groups = Mapping[str, Mapping[str, NDArray[Any]]]


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
            "intervals": run.intervals.to_host() if run.intervals else {},
        }
        return cls(run.calibration, {name: arrays for name, arrays in segment.items() if arrays}, arrays_of(run.state))

    @classmethod
    def of_blocks(
        cls, record: CalibrationRecord, blocks: Sequence[Block], parts: Sequence[tuple[Groups, Groups]]
    ) -> "RunParts":
        """Of the segment and the state of each block."""
        segments, states = zip(*parts, strict=True)
        return cls(record, joined_blocks(blocks, segments), joined_blocks(blocks, states))

    @classmethod
    def read(cls, home: Path, config: Config) -> "RunParts":
        """Of a directory with calibration.json, segments and states, or blocks that have these. Raises BadInput for
        anything that is missing, foreign or damaged, and where it was stopped before its end."""
        record, blocks = read_json(home / "calibration.json", CalibrationRecord), blocks_of(config)
        stored = [_finished(place, config.run.draws) for place in places_of(home, len(blocks))]
        parts = cls.of_blocks(record, blocks, stored)
        found = parts.segment.get("draws", {}).get("gibbs_error")
        if found is not None and len(record.instances) != len(found):
            raise BadInput(
                f"{home}: calibration.json names {len(record.instances)} instances and segments hold {len(found)}; "
                "restore the files or run this point again"
            )
        return parts

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
        segment = joined_instances([part.segment for part in parts])
        return cls(record, segment, joined_instances([part.state for part in parts]))

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


def _finished(home: Path, draws: int) -> tuple[Groups, Groups]:
    """All segments of so many `draws`, as one, and the state at its end."""
    files = sorted((home / "segments").glob("[0-9]*.h5"))
    if not files:
        raise BadInput(f"{home / 'segments'} is empty; run this point to its end first")
    segments = [read_arrays(path) for path in files]
    there = sum(map(draws_in, segments))
    if there < draws:
        raise BadInput(f"{home} holds {there} of {draws} draws; finish it with nishimori resume first")
    return whole(segments), read_arrays(home / "states" / files[-1].name)


def _intervals(target: NamedTarget, plan: ChainPlan, draws: int, segment: Groups) -> PredictiveIntervals | None:
    """None in files older than the intervals."""
    if "intervals" not in segment:
        return None
    noise_variance = target.problem.channel.noise_variance
    return PredictiveIntervals.from_host(draws, len(plan.chains), noise_variance, segment["intervals"], target.device)


def _with_gradient(target: Target, state: State) -> State:
    """Computed anew where it was not written."""
    return state if state.gradient is not None else replace(state, gradient=target.gradient(state.position))
