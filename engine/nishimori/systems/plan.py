"""What the points of an experiment will take: memory, disk and time, before any of them is run.

Importing this never imports torch.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from nishimori.description.blocks import block_counts
from nishimori.description.build import network_of
from nishimori.description.config import Config
from nishimori.description.errors import BadInput
from nishimori.description.experiment import Point
from nishimori.description.sizes import sample_count
from nishimori.description.units import sized
from nishimori.systems.information_plan import information_bytes, information_seconds

if TYPE_CHECKING:
    from nishimori.models.problem import Problem
    from nishimori.samplers.base import Sampler
    from nishimori.sampling.needs import Counts, Needs
    from nishimori.sampling.pace import Pace

DOUBLE = 8


@dataclass(frozen=True)
class PointPlan:
    """Bytes of memory on the device and of the record on the host, of `disk` by what is written, and `seconds` by what
    is done; of one batch of instances where an error target asks for up to `most_batches`. `chains` are those of an
    instance, of all starts."""

    identity: str
    instances: int
    chains: int
    num_steps: int
    step_size: float
    device: str
    device_memory: int
    record_memory: int
    disk: dict[str, int]
    seconds: dict[str, float]
    segments: int
    most_batches: int

    @property
    def disk_bytes(self) -> int:
        return sum(self.disk.values())

    @property
    def total_seconds(self) -> float:
        return sum(self.seconds.values())


@dataclass
class Planner:
    """Plans point by point; points that differ in seeds or lengths alone are timed once.

    `directory` is where the run will be written. Raises BadInput for what does not fit there or into memory.
    """

    directory: Path
    _timed: dict[bytes, tuple["Pace", dict[str, float]]] = field(default_factory=dict)

    def plans(self, points: Sequence[Point]) -> Iterator[PointPlan]:
        """In order; with each, the disk that is left falls."""
        from nishimori.sampling.free_space import free_disk

        free = free_disk(self.directory)
        for point in points:
            planned = self._plan(point, free)
            free -= planned.disk_bytes
            yield planned

    def _plan(self, point: Point, free: int) -> PointPlan:
        from nishimori.chains.start import ChainPlan
        from nishimori.models.device import resolve_device
        from nishimori.sampling.byte_counts import segments_of
        from nishimori.sampling.free_space import free_device_memory, free_host_memory

        config, where = point.config, f"on the disk of {self.directory}"
        device = resolve_device(config.run.device)
        require_room_for_one(config)
        needs = needs_of(config, point.identity)
        asked = needs.asked
        if needs.on_gpu:
            needs.require(needs.on_device, free_device_memory(device), "on the GPU")
        needs.require(needs.on_host, free_host_memory(), "of memory")
        needs.require(_disk(needs, 1), free, where)
        pace, seconds = self._times(config, point.identity)
        run = config.run
        sampling, transitions = pace.sampling(run.warmup, run.draws, run.thin), run.warmup + run.draws * run.thin
        segments = segments_of(sampling / run.blocks, run.segment_seconds, transitions)
        needs.require(_disk(needs, segments), free, where)
        return PointPlan(
            point.identity,
            asked.instances,
            len(ChainPlan.of(config.sampler.chains, config.sampler.start).chains),
            pace.num_steps,
            pace.step_size,
            device.type,
            needs.on_device(asked),
            needs.record(asked),
            needs.on_disk(asked, segments),
            {"calibration": pace.calibration, "sampling": sampling, **seconds},
            segments * run.blocks,
            config.run.most_batches or 1,
        )

    def _times(self, config: Config, point: str) -> tuple["Pace", dict[str, float]]:
        key = timing_key(config)
        if key not in self._timed:
            self._timed[key] = timed(config, point)
        return self._timed[key]


def _disk(needs: "Needs", segments: int) -> "Callable[[Counts], int]":
    return lambda counts: sum(needs.on_disk(counts, segments).values())


def timing_key(config: Config) -> bytes:
    """Equal where the same work is done in a transition."""
    same = msgspec.structs.replace(
        config,
        data=msgspec.structs.replace(config.data, seed=0, sample_ratio=None, samples=sample_count(config)),
        run=msgspec.structs.replace(
            config.run, **{name: 0 for name in ("seed", "warmup", "draws", "thin")}, keep="observables"
        ),
    )
    return msgspec.json.encode(same)


def require_room_for_one(config: Config) -> None:
    """BadInput where not even the data and weights of one teacher fit into memory."""
    from nishimori.sampling.free_space import free_host_memory

    network = network_of(config)
    need = DOUBLE * ((sample_count(config) + config.data.test_samples) * network.input_dim + network.num_parameters)
    free = free_host_memory()
    if need > free:
        raise BadInput(
            f"network.input_dim and data: one teacher with its data takes {sized(need)} of memory and {sized(free)} "
            "are free; use a smaller network, or fewer samples or test_samples"
        )


def candidates_of(config: Config, problem: "Problem") -> "list[tuple[str, Sampler]]":
    """Name of the target and sampler; several where calibration will choose."""
    from nishimori.sampling.auto import candidates_for
    from nishimori.sampling.build import hmc_named, sampler_of, wished_target

    section = config.sampler
    if section.kind != "auto":
        return [(section.target or "plain", sampler_of(config))]
    found = candidates_for(problem, wished_target(config), section.integrator)
    return [(name, hmc_named(config, integrator)) for name, integrator in found]


def needs_of(config: Config, point: str) -> "Needs":
    """From one instance, the largest of what the candidates take."""
    from nishimori.chains.loop import Schedule
    from nishimori.chains.start import ChainPlan
    from nishimori.models.footprint import footprint
    from nishimori.sampling.build import problem_of, target_named
    from nishimori.sampling.byte_counts import Leaves, levels_of
    from nishimori.sampling.needs import Counts, Needs

    run, section = config.run, config.sampler
    plan, problem = ChainPlan.of(section.chains, section.start), problem_of(config, point, range(1))
    asked = Counts(section.chains, config.data.instances, Schedule(run.warmup, run.draws, run.thin), run.blocks)
    found = []
    for name, sampler in candidates_of(config, problem):
        target = target_named(config, name, problem)
        layers = config.observables.layer_overlaps
        leaves = Leaves.of(target, sampler, plan, run.keep == "position", layers)
        copies = len(set(plan.starts)) * levels_of(sampler)
        apart = section.calibration_chains, block_counts(config)
        on_gpu, information = target.device.type == "cuda", information_bytes(config, problem, target.dtype.itemsize)
        found.append(Needs(footprint(target), leaves, asked, copies, *apart, on_gpu, information))
    return max(found, key=lambda needs: needs.on_device(asked))


def timed(config: Config, point: str) -> "tuple[Pace, dict[str, float]]":
    """The pace of the slowest candidate, with the calibration of all; seconds of drawing the data and of measuring the
    information, where it is asked for."""
    import time
    from dataclasses import replace

    from nishimori.chains.start import ChainPlan
    from nishimori.sampling.build import problem_of, target_named
    from nishimori.sampling.memory import chains_that_fit
    from nishimori.sampling.pace import TRIED_INSTANCES, pace_of

    section, instances = config.sampler, config.data.instances
    started = time.perf_counter()
    problem = problem_of(config, point)
    seconds = {"data": time.perf_counter() - started}
    few = problem_of(config, point, range(min(instances, TRIED_INSTANCES)))
    plan, layers = ChainPlan.of(section.chains, section.start), config.observables.layer_overlaps
    address = section.calibration_chains, config.run.seed, point
    paces = []
    for name, sampler in candidates_of(config, problem):
        target, small = target_named(config, name, problem), target_named(config, name, few)
        with chains_that_fit(target, sampler, plan):
            paces.append(pace_of(target, small, sampler, plan, layers, *address))
    slowest = max(paces, key=lambda pace: pace.transition)
    screening = len(few.instances) / instances * sum(pace.calibration for pace in paces) if len(paces) > 1 else 0.0
    pace = replace(slowest, calibration=slowest.calibration + screening)
    if config.information.method is not None:
        seconds["information"] = information_seconds(config, problem, pace)
    return pace, seconds


def documented(plan: PointPlan, parameters: dict[str, Any], swept: dict[str, Any]) -> dict[str, Any]:
    """For JSON; bytes and seconds."""
    from dataclasses import asdict

    told = asdict(plan)
    return {
        "id": told.pop("identity"),
        "parameters": parameters,
        "swept": swept,
        **told,
        "disk_bytes": plan.disk_bytes,
        "total_seconds": plan.total_seconds,
    }
