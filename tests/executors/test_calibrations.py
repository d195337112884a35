"""What was chosen by measuring is taken over from another run: the draws are then the same."""

import json
from pathlib import Path
from typing import Any

import pytest
from experiments import changed, write

from nishimori.cli import main

SETTINGS: dict[str, Any] = {"network__input_dim": 8, "sampler__kind": "auto", "run__warmup": 5, "run__draws": 10}
SWEEP = {"sweep": {"data.sample_ratio": [0.5, 1.0]}}


def run(home: Path, name: str, *options: str, **settings: Any) -> int:
    experiment = write(home / f"{name}.toml", changed(**{**SETTINGS, **settings}))
    return main(["run", str(experiment), "--out", str(home / name), *options])


def results(out: Path) -> dict[str, str]:
    paths = out.glob("points/*/summary.json")
    return {path.parent.name: json.loads(path.read_text(encoding="utf-8"))["digest"] for path in paths}


def records(out: Path) -> dict[str, bytes]:
    return {path.parent.name: path.read_bytes() for path in out.glob("points/*/calibration.json")}


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two points."""
    home = tmp_path_factory.mktemp("first")
    assert run(home, "first", **SWEEP) in (0, 3)
    return home / "first"


def test_a_run_takes_the_records_of_another(first: Path, tmp_path: Path) -> None:
    assert run(tmp_path, "second", "--calibration", str(first), **SWEEP) in (0, 3)
    assert results(tmp_path / "second") == results(first) and len(results(first)) == 2
    assert records(tmp_path / "second") == records(first)


def test_a_single_point_takes_one_record(first: Path, tmp_path: Path) -> None:
    assert run(tmp_path, "wide", data__sample_ratio=0.5) in (0, 3)
    (name,) = results(tmp_path / "wide")
    record = tmp_path / "wide" / "points" / name / "calibration.json"
    assert run(tmp_path, "again", "--calibration", str(record), data__sample_ratio=0.5) in (0, 3)
    assert results(tmp_path / "again") == results(tmp_path / "wide")


def test_batches_take_them_too(tmp_path: Path) -> None:
    settings = {"run.error_target": {"bayes_error": 0.5}, "run__most_batches": 2, "sampler__kind": "hmc"}
    assert run(tmp_path, "first", **settings) in (0, 3)
    assert run(tmp_path, "second", "--calibration", str(tmp_path / "first"), **settings) in (0, 3)
    assert results(tmp_path / "second") == results(tmp_path / "first")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: path.unlink(), "cannot be read"),
        (lambda path: path.write_text("{}", encoding="utf-8"), "is not a calibration record"),
        (lambda path: path.write_text(_without_one(path), encoding="utf-8"), "is of other instances"),
    ],
    ids=["missing", "no record", "other instances"],
)
def test_what_is_no_record_of_the_point_is_refused(
    spoil: Any, said: str, first: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And nothing is written."""
    copies = {name: tmp_path / "source" / "points" / name / "calibration.json" for name in records(first)}
    for name, path in copies.items():
        path.parent.mkdir(parents=True)
        path.write_bytes(records(first)[name])
    broken = sorted(copies.values())[1]
    spoil(broken)
    assert run(tmp_path, "second", "--calibration", str(tmp_path / "source"), **SWEEP) == 2
    message = capsys.readouterr().err
    assert str(broken) in message and said in message
    assert not (tmp_path / "second" / "points").exists()


def _without_one(path: Path) -> str:
    record = json.loads(path.read_text(encoding="utf-8"))
    return json.dumps({**record, "instances": record["instances"][1:], "step_size": record["step_size"][1:]})


def test_one_record_is_not_for_several_points(first: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = next(first.glob("points/*/calibration.json"))
    assert run(tmp_path, "second", "--calibration", str(record), **SWEEP) == 2
    assert "one record, for 2 points" in capsys.readouterr().err


def test_what_was_calibrated_otherwise_stays(first: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = tmp_path / "source"
    for name, content in records(first).items():
        path = copy / "points" / name / "calibration.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({**json.loads(content), "num_steps": 77}), encoding="utf-8")
    before = records(first)
    assert run(first.parent, "first", "--calibration", str(copy), **SWEEP) == 2
    assert "was measured otherwise" in capsys.readouterr().err
    assert records(first) == before
