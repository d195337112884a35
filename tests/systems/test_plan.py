"""`nishimori plan`: what it says is near what runs leave and take, and what cannot fit is refused with what would."""

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import msgspec
import pytest
from experiments import changed, write

import nishimori as nm
from nishimori.chains import checkpoint_files
from nishimori.chains.checkpoint_files import LATEST, CheckpointFiles
from nishimori.chains.loop import Schedule
from nishimori.chains.progress import silent
from nishimori.chains.writers import PointWriter
from nishimori.cli import main
from nishimori.cli.plan import side_by_side
from nishimori.description.errors import BadInput
from nishimori.description.experiment import Experiment, expand
from nishimori.models.footprint import Footprint
from nishimori.models.posterior import Posterior
from nishimori.sampling.build import problem_of
from nishimori.sampling.byte_counts import Leaves, segments_of, states_kept
from nishimori.sampling.information_cost import gradients_of_information
from nishimori.sampling.needs import Counts, Needs, largest
from nishimori.sampling.sample import calibration_of
from nishimori.sampling.teacher_chains import SAMPLER
from nishimori.systems import SYSTEMS, plan
from nishimori.systems.information_plan import information_bytes
from nishimori.systems.plan import Planner, needs_of

TINY: dict[str, Any] = {
    "network__input_dim": 8,
    "data__instances": 3,
    "data__test_samples": 10,
    "sampler__kind": "hmc",
    "run__device": "cpu",
    "run__warmup": 10,
    "run__draws": 30,
    "run__thin": 2,
}
KINDS: list[dict[str, Any]] = [
    {},
    {"run__keep": "position", "observables": {"layer_overlaps": ["weights"]}, "sampler__chains": 2},
    {"sampler__target": "collapsed", "sampler__start": "prior", "sampler__chains": 3},
    {"channel__kind": "probit", "sampler__kind": "underdamped_langevin"},
    {"sampler__kind": "replica_exchange", "sampler__inverse_temperatures": [1.0, 0.5]},
]
FREE = "nishimori.sampling.free_space"


def tiny(**settings: Any) -> Experiment:
    return expand(changed(**(TINY | settings)))


def needs(**settings: Any) -> Needs:
    (point,) = tiny(**settings).points
    return needs_of(point.config, point.identity)


def bytes_of(group: Any) -> int:
    """Of all arrays in a group of a file."""
    return sum(array.nbytes for array in group.values())


@pytest.mark.parametrize("settings", KINDS, ids=str)
def test_the_disk_of_a_run(settings: dict[str, Any], tmp_path: Path):
    (point,) = tiny(**settings, sampler__step_size=0.05, sampler__num_steps=2).points
    known = needs_of(point.config, point.identity)
    SYSTEMS["matched_teacher"].run_point(point.config, PointWriter(tmp_path, 1, silent))
    said = known.on_disk(known.asked, 1)
    (segment,) = tmp_path.glob("segments/*.h5")
    with h5py.File(segment, "r") as file:
        found = {name: bytes_of(file[name]) for name in said if name in file}
    for name in ("draws", "warmup", "statistics", "moments"):
        assert said[name] == pytest.approx(found[name], abs=8 * 30), name
    assert said["intervals"] == found.get("intervals", 0)
    actual = sum(path.stat().st_size for path in tmp_path.rglob("*"))
    assert actual / 1.5 < sum(said.values()) < actual * 1.5, (sum(said.values()), actual)
    assert known.record(known.asked) == sum(said[name] for name in ("draws", "warmup", "statistics"))


def test_the_time_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """In processor time: tests share their machine."""
    monkeypatch.setattr(time, "perf_counter", time.process_time)
    experiment = tiny(network__input_dim=40, data__instances=6, run__warmup=100, run__draws=200)
    (planned,) = Planner(tmp_path).plans(experiment.points)
    config = experiment.points[0].config
    marks: dict[str, list[float]] = {}

    def progress(phase: str, done: int, total: int, acceptance: float) -> None:
        marks.setdefault(phase, []).append(time.process_time())

    SYSTEMS["matched_teacher"].run_point(config, PointWriter(tmp_path, 1, progress))
    for phase in ("calibration", "sampling"):
        actual = marks[phase][-1] - marks[phase][0]
        assert actual / 3 < planned.seconds[phase] < actual * 3, (phase, planned.seconds, actual)


@pytest.mark.parametrize("method", ["ais", "collapsed", "immse", "chain_rule"])
def test_gradients_of_the_information(method: str, monkeypatch: pytest.MonkeyPatch):
    """Those that are computed, each a gradient of its number of samples; what a transition costs besides is on top."""
    problem = nm.matched_teacher(nm.Network(8, (8,), "tanh"), nm.GaussianChannel(0.3), 16, 2, test_samples=8)
    done = []
    for owner, name in ((Posterior, "gradient"), (Posterior, "energy_and_gradient")):
        count_calls(monkeypatch, owner, name, done, 16)
    for name in ("gradient", "energy_and_gradient"):
        count_calls(monkeypatch, nm.CollapsedPosterior, name, done, 16)
    sizes: dict[str, Any] = {"rungs": 40} if method in ("ais", "collapsed") else {"nodes": 3, "warmup": 10, "draws": 20}
    counts = {"chains": 1, **sizes}
    step = calibration_of(nm.Posterior(problem), SAMPLER, 0, progress=silent).step_size[0]
    done.clear()
    nm.information(problem, method, **sizes, progress=silent)
    said, actual = gradients_of_information(method, counts, True, 16, 8, 2, step), sum(done) / 2
    assert actual / 1.5 < said < 3 * actual, (said, actual)


@pytest.mark.parametrize("method", ["ais", "collapsed", "immse", "chain_rule"])
def test_the_files_of_the_information(method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """While it goes on, as if the largest of them were there together."""
    chains = {"nodes": 3, "warmup": 2, "draws": 4}
    settings: dict[str, Any] = chains if method in ("immse", "chain_rule") else {"rungs": 5}
    config = tiny(information={"method": method, **settings}).points[0].config
    found = []
    monkeypatch.setattr(checkpoint_files, "publish_arrays", lambda path, arrays, *_: found.append(numbers_in(arrays)))
    files = CheckpointFiles(tmp_path, 0.0, print)
    problem = problem_of(config, "p")
    nm.information(problem, method, **settings, progress=silent, files=files)
    said = config.data.instances * information_bytes(config, problem, 4)
    actual = (LATEST + 1) * max(found)
    assert actual / 1.3 < said < 1.3 * actual, (said, actual)


def numbers_in(arrays: Any) -> int:
    return sum(values.nbytes for group in arrays.values() for values in group.values())


def count_calls(monkeypatch: pytest.MonkeyPatch, owner: type, name: str, done: list[float], samples: int) -> None:
    plain, nested = getattr(owner, name), []

    def counted(target: Any, position: Any, *rest: Any, **named: Any) -> Any:
        nested.append(name)
        try:
            return plain(target, position, *rest, **named)
        finally:
            nested.pop()
            layout = position.layout
            done.append(layout.instances * layout.chains * target.problem.samples / samples)

    monkeypatch.setattr(owner, name, counted)


def test_more_of_anything_takes_more():
    base, counts = needs(), Counts(1, 3, Schedule(10, 30, 2))
    for changed_counts in (
        replace(counts, chains=2),
        replace(counts, instances=4),
        replace(counts, schedule=Schedule(10, 31, 2)),
    ):
        assert sum(base.on_disk(changed_counts, 1).values()) > sum(base.on_disk(counts, 1).values())
        assert base.on_host(changed_counts) > base.on_host(counts)
    assert sum(base.on_disk(counts, 9).values()) > sum(base.on_disk(counts, 2).values())
    assert base.on_host(counts.thinned(10)) < base.on_host(counts)
    assert counts.thinned(7).schedule == Schedule(10, 8, 7)


def test_scaling_to_other_chains_is_what_these_chains_leave():
    one, four = needs(sampler__chains=1, sampler__start="both"), needs(sampler__chains=4, sampler__start="both")
    scaled = one.on_disk(replace(one.asked, chains=4), 1)
    assert scaled == four.on_disk(four.asked, 1)


def test_segments_and_the_states_that_stay():
    assert [segments_of(seconds, 60.0, 10**6) for seconds in (0.0, 59.0, 61.0, 3600.0)] == [1, 1, 2, 60]
    assert segments_of(3600.0, 60.0, 40) == segments_of(3600.0, 0.0, 40) == 40
    kept = [len({*range(max(0, count - 3), count), *range(0, count, 20)}) for count in (1, 3, 4, 23, 24, 100)]
    assert [states_kept(count) for count in (1, 3, 4, 23, 24, 100)] == kept


def test_the_largest_that_fits():
    for most in (1, 2, 7, 100):
        for bound in (0, 1, 5, 99, 100, 1000):
            assert largest(lambda count, bound=bound: count <= bound, most) == min(bound, most)
    assert largest(lambda count: True, 0) == 0


def test_points_that_differ_in_seeds_and_lengths_alone_are_timed_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    calls, plain = [], plan.timed
    monkeypatch.setattr(plan, "timed", lambda *given: (calls.append(given), plain(*given))[1])
    sweep = {"data.seed": [0, 1], "run.draws": [20, 200], "channel.noise_variance": [0.1, 0.5]}
    planned = list(Planner(tmp_path).plans(tiny(sweep=sweep).points))
    assert (len(planned), len(calls)) == (8, 2)
    by_draws = sorted(planned, key=lambda one: one.seconds["sampling"])
    assert by_draws[-1].seconds["sampling"] > 3 * by_draws[0].seconds["sampling"]


def test_a_sampler_left_open_and_the_information_are_planned(tmp_path: Path):
    settings = {"sampler__kind": "auto", "information": {"method": "ais", "rungs": 10}}
    (planned,) = Planner(tmp_path).plans(tiny(**settings).points)
    assert planned.num_steps >= 1 and planned.seconds["information"] > 0 and planned.seconds["calibration"] > 0
    assert planned.disk["information"] > 0
    (longer,) = Planner(tmp_path).plans(tiny(**settings | {"information": {"method": "ais", "rungs": 2000}}).points)
    assert longer.seconds["information"] > 3 * planned.seconds["information"]


def test_it_prints_a_table_or_one_object_and_writes_nothing(tmp_path: Path, monkeypatch, capsys):
    path = write(tmp_path / "e.toml", changed(**TINY))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert main(["plan", str(path), "--set", "run.draws=50"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 and "all points" in lines[-1] and "3 x 2" in lines[2]
    assert main(["plan", str(path), "--device", "cpu", "--json", "--out", str(tmp_path / "later" / "a")]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["totals"]["disk_bytes"] == told["points"][0]["disk_bytes"] == sum(told["points"][0]["disk"].values())
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["e.toml", "here"]
    assert not list((tmp_path / "here").iterdir())


@pytest.mark.parametrize(
    ("name", "free", "words"),
    [
        ("free_disk", 1_300_000, ("on the disk", "run.draws = ", "run.thin = ", "data.instances = ")),
        ("free_host_memory", 1_300_000, ("of memory", "run.draws = ", "run.thin = ", "data.instances = 2")),
        ("free_host_memory", 100_000, ("of memory", "ask for run.draws = ")),
        ("free_host_memory", 200, ("one teacher with its data", "smaller network")),
    ],
)
def test_what_does_not_fit_is_refused_before_it_is_tried(tmp_path: Path, monkeypatch, capsys, name, free, words):
    monkeypatch.setattr(f"{FREE}.{name}", lambda *_: free)
    monkeypatch.setattr(plan, "timed", lambda *_: pytest.fail("it was timed"))
    path = write(tmp_path / "e.toml", changed(**TINY | {"run__draws": 2000, "run__thin": 1}))
    assert main(["plan", str(path)]) == 2
    message = capsys.readouterr().err
    assert all(word in message for word in words) and message.count("\n") == 1, message
    assert "tanh L=1 d=8" in message


def test_the_disk_is_shared_by_all_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    experiment = tiny(sweep={"data.seed": [0, 1, 2]})
    each = next(Planner(tmp_path).plans(experiment.points)).disk_bytes
    monkeypatch.setattr(f"{FREE}.free_disk", lambda _: 2 * each + each // 2)
    plans = Planner(tmp_path).plans(experiment.points)
    assert [next(plans).disk_bytes, next(plans).disk_bytes] == [each, each]
    with pytest.raises(BadInput, match="on the disk"):
        next(plans)


def test_what_is_advised_fits_and_no_more_would():
    leaves = Leaves(draw=80, warmup=40, statistics=32, moments=100, intervals=10, state=50, arrays=10)
    asked = Counts(8, 10, Schedule(5, 1000, 1))
    gpu = Needs(Footprint(1000, 100, 300), leaves, asked, 2, 4, (1, 2, 5, 10), on_gpu=True)
    free = gpu.on_device(asked) * 2 // 3
    with pytest.raises(BadInput, match=r"sampler.chains = 8, data.instances = 10 .* on the GPU") as refusal:
        gpu.require(gpu.on_device, free, "on the GPU")
    blocks, chains, instances = (
        int(part.split()[0].strip(",")) for part in str(refusal.value).partition("ask for")[2].split(" = ")[1:4]
    )
    assert blocks == 2 and gpu.on_device(replace(asked, blocks=2)) == gpu.on_device(replace(asked, instances=5))
    for fits, more in (
        (replace(asked, chains=chains), replace(asked, chains=chains + 1)),
        (replace(asked, instances=instances), replace(asked, instances=instances + 1)),
    ):
        assert gpu.on_device(fits) <= free < gpu.on_device(more)
    assert "run.thin" not in str(refusal.value)
    free = gpu.on_host(asked) * 2 // 3
    with pytest.raises(BadInput, match=r"run.draws = \d+ and run.thin = \d+") as refusal:
        gpu.require(gpu.on_host, free, "of memory")
    thin = int(str(refusal.value).rpartition(" = ")[2])
    assert gpu.on_host(asked.thinned(thin)) <= free < gpu.on_host(asked.thinned(thin - 1))
    with pytest.raises(BadInput, match="use a smaller network"):
        gpu.require(gpu.on_device, 10, "on the GPU")
    gpu.require(gpu.on_device, gpu.on_device(asked), "on the GPU")


def test_activations_are_those_of_a_gpu_alone():
    leaves = Leaves(1, 1, 1, 1, 1, 1, 1)
    counts = Counts(1, 1, Schedule(0, 1))
    gpu = Needs(Footprint(1000, 100, 300), leaves, counts, 2, 4, (1,), on_gpu=True)
    cpu = replace(gpu, on_gpu=False)
    assert (gpu.on_device(counts), cpu.on_device(counts)) == (1800, 1200)
    assert gpu.on_host(counts) == gpu.record(counts) == cpu.on_host(counts) - 1200
    assert msgspec.json.encode(gpu.on_disk(counts, 1))


@pytest.mark.parametrize(
    ("seconds", "workers", "until"), [([3, 1, 1, 1], 1, 6), ([3, 1, 1, 1], 2, 3), ([1, 1, 4], 2, 5), ([2], 8, 2)]
)
def test_points_side_by_side_end_when_the_last_of_them_does(seconds: list[float], workers: int, until: float):
    assert side_by_side(seconds, workers) == until


def test_no_workers_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["plan", str(write(tmp_path / "e.toml", changed())), "--workers", "0"]) == 2
    assert "--workers 0 is less than one" in capsys.readouterr().err
