"""The mutual information beside a run: its file, its estimates, its figure; stopped in it, a run goes on with it."""

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from experiments import changed, write
from processes import nishimori

from nishimori.chains import progress
from nishimori.chains.progress import Progress
from nishimori.chains.segments import read_stored
from nishimori.cli import main
from nishimori.description.information import information_defaults

FEW = {
    "collapsed": {"rungs": 4},
    "immse": {"nodes": 3, "warmup": 10, "draws": 12},
}


@pytest.mark.parametrize("method", FEW)
def test_a_run_measures_records_and_draws_it(method: str, tmp_path: Path) -> None:
    settings = {f"information__{key}": value for key, value in FEW[method].items()}
    experiment = write(tmp_path / "a.toml", changed(information__method=method, **settings))
    out = tmp_path / "out"
    done = nishimori("run", str(experiment), "--out", str(out))
    assert done.returncode in (0, 3), done.stderr
    assert "mutual_information against theory over 1 points" in done.stdout
    (path,) = out.glob("points/*/summary.json")
    summary, recorded = json.loads(path.read_text()), json.loads((path.parent / "information.json").read_text())
    assert recorded["method"] == method
    assert recorded["settings"] == {**information_defaults(method), **FEW[method]}
    if method == "immse":
        assert len(recorded["integrand"]["nodes"]) == 3 and recorded["evidence"] is None
    else:
        assert recorded["integrand"] is None and len(recorded["evidence"]["lower"]) == summary["instances"]
    estimate = summary["estimates"]["mutual_information"]
    assert estimate["value"] == pytest.approx(recorded["controlled"]["middle"]["value"])
    assert estimate["standard_error"] >= recorded["controlled"]["middle"]["standard_error"] > 0
    assert summary["estimates"]["mutual_information_per_dim"]["value"] == pytest.approx(estimate["value"])
    assert summary["estimates"]["mutual_information"].keys() == {"value", "standard_error"}
    assert {"mutual_information", "mutual_information_per_dim", "log_evidence"} <= summary["z_scores"].keys()
    assert summary["information"]["method"] == method
    assert set(summary["information"]["alarms"]) <= set(summary["verdict"]["failures"])
    drawn = nishimori("overlay", str(out), "--observable", "mutual_information", "--json")
    assert drawn.returncode == 0, drawn.stderr
    (row,) = json.loads(drawn.stdout)["points"]
    assert row["value"] == estimate["value"] and row["prediction"] == summary["theory"]["mutual_information"]


@pytest.fixture(scope="module")
def left_alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An experiment with an error target, and the directory of its run, of two batches."""
    home = tmp_path_factory.mktemp("alone")
    settings = {"network__input_dim": 8, "run__segment_seconds": 1e6, "run__most_batches": 2}
    settings |= {"information__method": "ais", "information__rungs": 12}
    experiment = write(home / "e.toml", changed(**settings))
    assert main(["run", str(experiment), "--out", str(home / "run"), "--set", TARGET]) == 3
    return home


TARGET = "run.error_target={ bayes_error = 0.0001 }"
STOPS = [("pilot", 100), ("annealing", 7), ("annealing", 11)]


def interrupting(phase: str, step: int) -> Progress:
    """SIGTERM at this step, the first time."""
    left = iter([signal.SIGTERM])

    def told(now: str, done: int, total: int, acceptance: float) -> None:
        if (now, done) == (phase, step):
            for number in left:
                signal.raise_signal(number)

    return told


def files_of(out: Path) -> list[str]:
    return sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())


def test_a_run_that_was_stopped_while_it_is_measured_goes_on_with_it(
    left_alone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, finished = tmp_path / "run", left_alone / "run"
    arguments = ["run", str(left_alone / "e.toml"), "--out", str(out), "--set", TARGET]
    for phase, step in STOPS:
        monkeypatch.setattr(progress, "reporter", lambda label, stop=(phase, step): interrupting(*stop))
        assert main(arguments) == 75
        assert "SIGTERM came" in capsys.readouterr().err
        (newest,) = (sorted(home.glob("*.h5"))[-1] for home in out.glob("points/*/batches/*/information"))
        assert read_stored(newest).arrays[phase]
        assert main(["status", str(out), "--json"]) == 0
        (row,) = json.loads(capsys.readouterr().out)["points"]
        assert row["state"] == "stopped"
        assert row["information"] == {"phase": phase, "done": step, "total": {"pilot": 120, "annealing": 11}[phase]}
    assert main(["status", str(out)]) == 0
    assert "stopped, batch 1 of at most 2, information: annealing 11/11" in capsys.readouterr().out
    steps: list[tuple[str, int]] = []
    monkeypatch.setattr(progress, "reporter", lambda label: lambda phase, done, *rest: steps.append((phase, done)))
    assert main(arguments) == 3
    assert not [step for step in steps if step[0] == "annealing"][11:] and steps[0][0] == "calibration"
    assert files_of(out) == files_of(finished)
    assert estimated(out) == estimated(finished)


def estimated(out: Path) -> tuple[Any, ...]:
    (path,) = out.glob("points/*/summary.json")
    summary = json.loads(path.read_text())
    measured = [json.loads(file.read_text()) for file in sorted(out.rglob("information.json"))]
    return summary["digest"], summary["estimates"], summary["information"], measured


def test_what_was_kept_of_a_measurement_that_is_published_goes(left_alone: Path, tmp_path: Path) -> None:
    """A process that was killed between the two leaves it."""
    out = tmp_path / "run"
    shutil.copytree(left_alone / "run", out)
    (summary,) = out.glob("points/*/summary.json")
    summary.unlink()
    (measured, _) = out.glob("points/*/batches/*/information.json")
    kept = measured.parent / "information" / "000003.h5"
    kept.parent.mkdir()
    kept.write_bytes(b"anything")
    assert main(["resume", str(out)]) == 3
    assert not kept.parent.exists() and estimated(out) == estimated(left_alone / "run")


def test_a_run_in_blocks_that_is_stopped_commits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = interrupting("sampling, block 2 of 2", 9)
    monkeypatch.setattr(progress, "reporter", lambda label: stop)
    experiment = write(tmp_path / "e.toml", changed(run__blocks=2, run__segment_seconds=1e6))
    assert main(["run", str(experiment), "--out", str(tmp_path / "run")]) == 75
    (segment,) = (tmp_path / "run").glob("points/*/blocks/001/segments/*.h5")
    assert len(read_stored(segment).arrays["statistics"]["num_steps"]) == 9
