"""A simulated point in blocks is the point in one piece, to the bit, for every system: stopped, killed and damaged."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from continued import StopAt
from experiments import write
from processes import python

from nishimori.chains.progress import Progress, silent
from nishimori.chains.stop import Stopped
from nishimori.chains.writers import PointWriter
from nishimori.cli import main
from nishimori.description.errors import BadInput
from nishimori.description.experiment import Point
from nishimori.executors.tasks import stages_of
from nishimori.systems import SYSTEMS, expand
from nishimori.systems.covariate_model import CovariateModel
from nishimori.systems.measured import Measured

TINY: dict[str, dict[str, Any]] = {
    "hidden_manifold_online": {
        "network": {"input_dim": 101, "units": 3, "teacher_units": 1},
        "inputs": {"kind": "hidden_manifold", "latent_ratio": 0.5, "activation": "sign"},
        "descent": {"times": [0.0, 0.5], "test_samples": 150},
    },
    "random_features_online": {
        "network": {"input_dim": 101, "width_ratio": 1.5},
        "descent": {"times": [0.5, 1.0]},
        "posterior": {"sample_ratio": 1.0, "noise_variance": 0.1},
    },
    "covariate_model": {"network": {"input_dim": 33}, "data": {"sample_ratio": 2.0}},
    "kernel_corrections": {
        "network": {"input_dim": 5, "width": 33},
        "data": {"samples": 5, "noise_variance": 0.5},
        "sampler": {"chains": 3, "warmup": 4, "draws": 8, "prior_draws": 101},
    },
    "infinite_ensemble": {
        "network": {"input_dim": 5, "width": 33},
        "data": {"samples": 7, "noise_variance": 0.2, "test_samples": 5},
        "training": {"members": 5, "times": [0.1]},
        "posterior": {"chains": 2, "warmup": 4, "draws": 8},
    },
}
"""Of odd sizes, so that the matrices of instances lie in memory as those of other blocks do not."""


def document(kind: str = "covariate_model", **run: Any) -> dict[str, Any]:
    return {"system": {"kind": kind}, **TINY[kind], "run": {"instances": 5, "device": "cpu", **run}}


def point_of(kind: str = "covariate_model", **run: Any) -> Point:
    return expand(document(kind, **run)).points[0]


def digest(home: Path, kind: str = "covariate_model", **run: Any) -> str:
    point = point_of(kind, **run)
    return SYSTEMS[kind].run_point(point.config, PointWriter(home / point.identity, 1, silent))["digest"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> str:
    return digest(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The instances that are measured, as they are."""
    found: list[int] = []
    measure = CovariateModel.measure

    def counted(self: CovariateModel, config: Any, instances: range, progress: Progress) -> dict[str, Measured]:
        found.extend(instances)
        return measure(self, config, instances, progress)

    monkeypatch.setattr(CovariateModel, "measure", counted)
    return found


@pytest.mark.parametrize("kind", TINY)
def test_the_summary_is_that_of_one_piece(kind: str, tmp_path: Path) -> None:
    """Calibrated once, which has nothing to do with blocks."""
    found, record = {}, None
    for blocks in (1, 2, 3, 5):
        point = point_of(kind, blocks=blocks)
        writer = PointWriter(tmp_path / str(blocks) / point.identity, 1, silent)
        if record:
            writer.publish_calibration(record)
        found[blocks] = SYSTEMS[kind].run_point(point.config, writer)["digest"]
        record = writer.calibration() if SYSTEMS[kind].calibrates(point.config) else None
    assert len(set(found.values())) == 1, found
    assert len(list(tmp_path.glob("3/*/blocks/*/instances/*.h5"))) == 3


def test_other_random_numbers_have_another_digest(whole: str, tmp_path: Path) -> None:
    assert digest(tmp_path, seed=1) != whole


def test_curves_and_lines_are_joined(tmp_path: Path) -> None:
    kind, summaries = "random_features_online", []
    for blocks in (1, 2):
        point = point_of(kind, blocks=blocks)
        summaries.append(SYSTEMS[kind].run_point(point.config, PointWriter(tmp_path / str(blocks), 1, silent)))
    first, second = (one["curves"]["error"] for one in summaries)
    assert first == second and len(first["line"][1]) == len(first["line"][0]) > 10
    assert summaries[0]["estimates"] == summaries[1]["estimates"]


@pytest.mark.parametrize("blocks", [1, 2])
def test_it_may_be_stopped_anywhere(blocks: int, whole: str, asked: list[int], tmp_path: Path) -> None:
    """Nothing that was measured before is measured again."""
    point, system = point_of(blocks=blocks), CovariateModel()
    for _ in range(4):
        stop = StopAt(looks=0)

        def report(*told: Any, stop: StopAt = stop) -> None:
            stop.obey()

        with pytest.raises(Stopped):
            system.run_point(point.config, PointWriter(tmp_path, 1, report, stop=stop))
    assert system.run_point(point.config, PointWriter(tmp_path, 1, silent))["digest"] == whole
    assert asked == [0, 1, 2, 3, 4]


def test_ctrl_c_keeps_what_is_done(
    whole: str, asked: list[int], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    measure = CovariateModel.measure

    def interrupted(self: CovariateModel, config: Any, instances: range, progress: Progress) -> dict[str, Measured]:
        if instances.start == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return measure(self, config, instances, progress)

    monkeypatch.setattr(CovariateModel, "measure", interrupted)
    experiment, out = write(tmp_path / "e.toml", document()), tmp_path / "out"
    assert main(["run", str(experiment), "--out", str(out)]) == 75
    capsys.readouterr()
    assert main(["status", str(out)]) == 0
    assert "stopped, instances 3/5" in capsys.readouterr().out
    assert main(["resume", str(out)]) == 0
    assert asked == [0, 1, 2, 3, 4] and summary(out)["digest"] == whole
    capsys.readouterr()
    assert main(["status", str(out), "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)["points"]
    assert (told["state"], told["instances"], told["instances_scheduled"]) == ("done", 5, 5)


def test_it_goes_on_after_a_kill(whole: str, asked: list[int], tmp_path: Path) -> None:
    experiment, out = write(tmp_path / "e.toml", document(segment_seconds=0.0, blocks=2)), tmp_path / "out"
    killed = Path(__file__).parents[1] / "killed_run.py"
    process = python(str(killed), "60", "run", str(experiment), "--out", str(out))
    assert process.returncode == -signal.SIGKILL, process.stderr
    assert not list(out.glob("points/*/summary.json"))
    kept = list(out.glob("points/*/blocks/*/instances/*.h5"))
    assert main(["resume", str(out)]) == 0
    assert kept and 0 < len(asked) < 5 and summary(out)["digest"] == whole


def test_a_damaged_file_is_measured_again(
    whole: str, asked: list[int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment, out = write(tmp_path / "e.toml", document(blocks=3)), tmp_path / "out"
    assert main(["run", str(experiment), "--out", str(out)]) == 0
    (path,) = out.glob("points/*/summary.json")
    path.unlink()
    (damaged,) = out.glob("points/*/blocks/001/instances/*.h5")
    damaged.write_bytes(damaged.read_bytes()[:-1])
    asked.clear()
    assert main(["resume", str(out)]) == 0
    assert asked == [1, 2] and summary(out)["digest"] == whole
    assert "blocks/001/instances/000000.h5" in capsys.readouterr().err


def test_blocks_are_tasks(tmp_path: Path) -> None:
    """After a calibration where there is something to calibrate."""
    parts = {
        kind: [[task.part for task in stage] for stage in stages_of(tmp_path, point_of(kind, blocks=3), 1)]
        for kind in ("covariate_model", "kernel_corrections")
    }
    assert parts["covariate_model"] == [["block"] * 3, ["point"]]
    assert parts["kernel_corrections"] == [["calibration"], ["block"] * 3, ["point"]]
    point, system = point_of("kernel_corrections", blocks=3), SYSTEMS["kernel_corrections"]
    with pytest.raises(BadInput, match="is not calibrated; give the run the same command again"):
        system.run_block(point.config, PointWriter(tmp_path, 1, silent), 0)


def test_a_system_that_measures_others_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CovariateModel, "measure", lambda *told: {"error": Measured(np.zeros(5))})
    with pytest.raises(ValueError, match="1 instances were to be measured and 5 were"):
        digest(tmp_path)


def summary(out: Path) -> dict[str, Any]:
    (point,) = json.loads((out / "summary.json").read_text(encoding="utf-8"))["points"]
    return point
