"""`nm.load`: a run read back is the run that was written; damaged and foreign files are named."""

import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from experiments import changed, write

import nishimori as nm
from nishimori.cli import main
from nishimori.description.errors import BadInput

EXPERIMENT = changed(
    sampler__kind="underdamped_langevin", sampler__num_steps=4, run__keep="position", run__draws=20, run__warmup=4
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("load")
    assert main(["run", str(write(home / "e.toml", EXPERIMENT)), "--out", str(home / "run")]) in (0, 3)
    return home / "run"


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished, tmp_path / "run")
    return tmp_path / "run"


def the_file(run: Path, pattern: str) -> Path:
    (path,) = run.glob(f"points/*/{pattern}")
    return path


def test_a_run_read_back_is_the_run_that_was_written(finished: Path):
    run = nm.load(finished)
    with h5py.File(the_file(finished, "segments/*.h5"), "r") as file:
        for name, values in run.draws.items():
            np.testing.assert_array_equal(values, file[f"draws/{name}"])  # pyright: ignore[reportArgumentType]
    summary = json.loads(the_file(finished, "summary.json").read_text(encoding="utf-8"))
    assert summary["estimates"].keys() == run.estimates.keys()
    for name, estimate in run.estimates.items():
        assert estimate.value == summary["estimates"][name]["value"], name
    assert run.calibration.num_steps == summary["calibration"]["num_steps"]


def test_the_state_read_back_is_the_last_draw_and_predicts(finished: Path):
    run = nm.load(finished)
    np.testing.assert_array_equal(run.state.position.to_edge().numpy(), run.draws["position"][:, :, -1])
    assert run.state.momentum is not None
    energy = run.target.energy(run.state.position)
    np.testing.assert_allclose(energy.numpy(), run.state.energy.numpy(), rtol=1e-6)
    assert run.predict(np.zeros((2, 16))).mean.shape == (4, 2)


def test_a_point_can_be_named_and_several_must_be(finished: Path, tmp_path: Path):
    (point,) = (finished / "points").iterdir()
    assert nm.load(point).draws.keys() == nm.load(finished).draws.keys()
    grid = tmp_path / "grid"
    shutil.copytree(finished, grid)
    shutil.copytree(point, grid / "points" / "0123456789ab")
    with pytest.raises(BadInput, match="holds 2 points; load one of them: points/0123456789ab"):
        nm.load(grid)
    with pytest.raises(BadInput, match="is that of point"):
        nm.load(grid / "points" / "0123456789ab")


def test_no_run_and_an_unfinished_run_are_named(copy: Path, tmp_path: Path):
    with pytest.raises(BadInput, match="holds no run"):
        nm.load(tmp_path / "nowhere")
    the_file(copy, "segments/*.h5").unlink()
    with pytest.raises(BadInput, match="segments is empty; run this point to its end first"):
        nm.load(copy)


def _flip(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file["draws/overlap"][0, 0, 0] += 1  # pyright: ignore[reportIndexIssue, reportOperatorIssue]


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:500])


def _soft_link(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file["draws/alias"] = h5py.SoftLink("/draws/overlap")


def _strings(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file["draws/text"] = "overlap"


def _schema(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file.attrs["schema"] = 99


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_flip, "does not match the digest"),
        (_truncate, "cannot be read"),
        (_soft_link, "no plain numeric dataset"),
        (_strings, "no plain numeric dataset"),
        (_schema, "not of schema 1"),
    ],
)
def test_a_damaged_segment_is_named(copy: Path, damage, words: str):
    path = the_file(copy, "segments/*.h5")
    damage(path)
    with pytest.raises(BadInput, match=words) as refusal:
        nm.load(copy)
    assert str(path) in str(refusal.value)


def test_a_calibration_record_that_is_none_is_named(copy: Path):
    path = the_file(copy, "calibration.json")
    path.write_text('{"instances": []}', encoding="utf-8")
    with pytest.raises(BadInput, match=r"calibration\.json cannot be read"):
        nm.load(copy)


@pytest.mark.parametrize(("kept", "draws"), [(8, 4), (3, 0)])
def test_a_point_that_was_stopped_is_refused_with_how_to_finish_it(tmp_path: Path, kept: int, draws: int):
    """Of one transition a segment, four of them warm-up."""
    document = changed(**{"run__draws": 20, "run__warmup": 4, "run__segment_seconds": 1e-9})
    assert main(["run", str(write(tmp_path / "e.toml", document)), "--out", str(tmp_path / "run")]) in (0, 3)
    (home,) = (tmp_path / "run" / "points").glob("*")
    for number in range(kept, 24):
        (home / "segments" / f"{number:06d}.h5").unlink()
    shutil.copy(home / "states" / "000023.h5", home / "states" / f"{kept - 1:06d}.h5")
    with pytest.raises(BadInput, match=f"holds {draws} of 20 draws; finish it with nishimori resume first"):
        nm.load(tmp_path / "run")
