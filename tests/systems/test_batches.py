"""Points in batches of instances: until the error target is reached, resumed, joined, and refused."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from experiments import changed, write

import nishimori as nm
from nishimori.chains.progress import silent
from nishimori.cli import main
from nishimori.sampling.parts import RunParts

TARGETS = {"bayes_error": 0.013, "mutual_information": 0.05}
"""The first asks for several batches; half the gap between the bounds alone is below the second."""
SETTINGS: dict[str, Any] = {
    "network__input_dim": 8,
    "data__instances": 4,
    "run__warmup": 10,
    "run__draws": 20,
    "control__data_sets": 20,
    "information__method": "collapsed",
    "information__rungs": 20,
}


def run(tmp_path: Path, target: dict[str, float], **settings: Any) -> tuple[int, Path]:
    document = changed(**SETTINGS, **settings)
    experiment, out = write(tmp_path / "a.toml", document), tmp_path / "out"
    return main(["run", str(experiment), "--out", str(out), "--set", f"run.error_target={_table(target)}"]), out


def _table(target: dict[str, float]) -> str:
    return "{ " + ", ".join(f"{name} = {value}" for name, value in target.items()) + " }"


def summary_of(out: Path) -> dict[str, Any]:
    (path,) = out.glob("points/*/summary.json")
    return json.loads(path.read_text(encoding="utf-8"))


def batches_of(out: Path) -> list[Path]:
    return sorted(out.glob("points/*/batches/*"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run of several batches, and the folder of its experiment."""
    folder = tmp_path_factory.mktemp("batches")
    _, out = run(folder, TARGETS)
    return out, folder


def test_batches_are_sampled_until_every_target_is_reached(finished: tuple[Path, Path]) -> None:
    out, _ = finished
    summary, batches = summary_of(out), batches_of(out)
    assert 1 < len(batches) < 64 and summary["instances"] == 4 * len(batches)
    for name, target in TARGETS.items():
        estimate = summary["estimates"][name]
        assert estimate["standard_error"] <= target * estimate["value"]
    steps = {json.loads((batch / "calibration.json").read_text())["num_steps"] for batch in batches}
    assert len(steps) == 1
    shortfalls = [failure for failure in summary["verdict"]["failures"] if "relative standard error" in failure]
    assert not shortfalls


def test_the_run_of_all_batches_is_read_back(finished: tuple[Path, Path]) -> None:
    out, _ = finished
    summary, loaded = summary_of(out), nm.load(out)
    assert loaded.draws["gibbs_error"].shape == (summary["instances"], 2, 20)
    for name in ("gibbs_error", "train_mmse"):
        assert loaded.estimates[name].value == pytest.approx(summary["estimates"][name]["value"])
    (recorded,) = out.glob("points/*/information.json")
    assert len(json.loads(recorded.read_text())["evidence"]["lower"]) == summary["instances"]


def test_a_run_that_lost_its_last_batch_goes_on_to_the_same_result(finished: tuple[Path, Path], tmp_path: Path) -> None:
    out, folder = finished
    whole, copy = summary_of(out), tmp_path / "out"
    shutil.copytree(out, copy)
    shutil.rmtree(batches_of(copy)[-1])
    (batches_of(copy)[0] / "information.json").unlink()
    for left in (*copy.glob("points/*/summary.json"), *copy.glob("points/*/information.json")):
        left.unlink()
    kept = {batch.name: (batch / "segments/000000.h5").stat().st_mtime_ns for batch in batches_of(copy)}
    main(["run", str(folder / "a.toml"), "--out", str(copy), "--set", f"run.error_target={_table(TARGETS)}"])
    again = summary_of(copy)
    assert again["digest"] == whole["digest"] and again["instances"] == whole["instances"]
    for name, estimate in whole["estimates"].items():
        assert again["estimates"][name]["value"] == pytest.approx(estimate["value"], rel=1e-12), name
    assert all(
        (batch / "segments/000000.h5").stat().st_mtime_ns == kept.get(batch.name, -1) or batch.name not in kept
        for batch in batches_of(copy)
    )


def test_a_target_out_of_reach_is_said_and_fails(tmp_path: Path) -> None:
    code, out = run(tmp_path, {"bayes_error": 0.001}, run__most_batches=2)
    summary = summary_of(out)
    assert code == 3 and summary["instances"] == 8
    (shortfall,) = [failure for failure in summary["verdict"]["failures"] if "relative standard error" in failure]
    assert shortfall.startswith("bayes_error has a relative standard error of ")
    assert shortfall.endswith("not 0.001, after 2 batches of 4 instances; raise run.most_batches")


def test_runs_of_other_instances_join_into_the_run_of_all() -> None:
    """Given one calibration, draws depend on the instance alone, but for rounding in batches of another size."""
    network, channel, sampler = nm.Network(6, (6,), "erf"), nm.GaussianChannel(0.2), nm.HMC(step_size=0.05, num_steps=3)

    def sampled(instances: range) -> nm.Run:
        problem = nm.matched_teacher(network, channel, 9, instances, seed=2, test_samples=8)
        settings: dict[str, Any] = {"chains": 1, "warmup": 3, "draws": 6, "start": "both", "progress": silent}
        return nm.sample(nm.Posterior(problem, "fp64", "cpu"), sampler, **settings)

    whole = RunParts.of(sampled(range(5)))
    joined = RunParts.joined([RunParts.of(sampled(part)) for part in (range(2), range(2, 5))])
    assert joined.record.instances == whole.record.instances and joined.record.step_size == whole.record.step_size
    for group, arrays in whole.segment.items():
        for name, values in arrays.items():
            np.testing.assert_allclose(joined.segment[group][name], values, rtol=1e-6, atol=1e-9, err_msg=name)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"run__most_batches": 3}, ("run.most_batches", "run.error_target")),
        (
            {"information__method": None, "information__rungs": None, "target": "mutual_information"},
            ("mutual_information, which is not measured", "information.method"),
        ),
        ({"data__instances": 1, "target": "bayes_error"}, ("data.instances = 2 or more",)),
        ({"target": "bayes_eror"}, ("run.error_target", "bayes_error")),
        ({"sampler__start": "teacher"}, ("control.data_sets", "two independent chains", "sampler.start")),
        (
            {"channel__kind": "probit", "information__method": None, "information__rungs": None},
            ("control.data_sets", "probit", "remove it"),
        ),
    ],
)
def test_bad_targets_and_controls_are_refused(
    settings: dict[str, Any], words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = settings.pop("target", None)
    wanted = {name: value for name, value in {**SETTINGS, **settings}.items() if value is not None}
    experiment = write(tmp_path / "a.toml", changed(**wanted))
    override = ["--set", f"run.error_target={{ {target} = 0.1 }}"] if target else []
    assert main(["run", str(experiment), "--out", str(tmp_path / "out"), *override]) == 2
    told = capsys.readouterr().err
    assert all(word in told for word in words), told
    assert not (tmp_path / "out").exists()
