"""`nishimori status`: of a run that goes on, was stopped, is done, is damaged; without disturbing it."""

import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from experiments import changed, write
from processes import ENVIRONMENT, python

from nishimori.chains.headway import Headway, Mixing, Stage, publish_headway, publish_stage
from nishimori.chains.lock import SILENCE, Holder
from nishimori.cli import main, status
from nishimori.description.experiment import expand
from nishimori.executors.directory import claim

SEGMENTS = 10_000
GIVEN = Headway(
    transitions=40,
    scheduled=60,
    draws=20,
    draws_scheduled=40,
    acceptance=0.8,
    divergent_fraction=0.25,
    mixing={"overlap": Mixing(30.0, 1.5), "gibbs_error": Mixing(70.0, 1.1)},
    mixing_draws=20,
)


def begun(out: Path, **settings: Any) -> Path:
    """A run directory with one point that was begun; returns the point's folder."""
    experiment = expand(changed(**settings))
    claim(out, experiment, dict)
    home = out / "points" / experiment.points[0].identity
    home.mkdir(parents=True)
    for name in ("config.json", "calibration.json"):
        (home / name).write_text("{}", encoding="utf-8")
    return home


def held_by(home: Path, host: str, pid: int, silent: float = 0.0) -> None:
    now = time.time()
    (home / "lock").write_bytes(msgspec.json.encode(Holder(host, pid, now - 900, now - silent)))


def asked(out: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["status", str(out), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def only(out: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    (row,) = asked(out, capsys)["points"]
    return row


def shown(out: Path, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert main(["status", str(out)]) == 0
    return capsys.readouterr().out


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("status")
    experiment = write(home / "e.toml", changed(run__segment_seconds=0.0))
    assert main(["run", str(experiment), "--out", str(home / "run")]) in (0, 3)
    return home / "run"


def dead() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_ten_thousand_segments_take_less_than_a_second_and_nothing_heavy(tmp_path: Path) -> None:
    home = begun(tmp_path / "run")
    (home / "segments").mkdir()
    for number in range(SEGMENTS):
        (home / "segments" / f"{number:06d}.h5").write_bytes(b"no HDF5")
    publish_headway(home, GIVEN, 10.0)
    command = (
        "import sys; from nishimori.cli import main; code = main(sys.argv[1:]); print(*sys.modules); sys.exit(code)"
    )
    spent, done = [], None
    for _ in range(2):  # the first may have to compile
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = python("-c", command, "status", str(tmp_path / "run"), "--json")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    assert done is not None and done.returncode == 0, done
    document, modules = done.stdout.splitlines()
    (row,) = json.loads(document)["points"]
    assert row["segments"] == SEGMENTS and row["disk_bytes"] > SEGMENTS * len(b"no HDF5")
    assert not {"torch", "numba", "triton", "h5py"} & set(modules.split())
    assert min(spent) < 1


def test_a_run_may_be_asked_while_it_writes_and_is_stopped_when_it_was_killed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    experiment = write(tmp_path / "e.toml", changed(run__draws=10**6, run__segment_seconds=0.01))
    command = [sys.executable, "-m", "nishimori.cli", "run", str(experiment), "--out", str(out)]
    process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not list(out.glob("points/*/progress.json")):
            assert process.poll() is None
            time.sleep(0.02)
        rows = [only(out, capsys)]
        while len(rows) < 50 or rows[-1]["transitions"] < rows[0]["transitions"] + 10:
            assert process.poll() is None
            rows.append(only(out, capsys))
            time.sleep(0.02)
    finally:
        process.kill()
        process.wait()
    assert {row["state"] for row in rows} == {"running"} and {row["phase"] for row in rows} == {"sampling"}
    assert {(row["host"], row["pid"]) for row in rows} == {(socket.gethostname(), process.pid)}
    done = [row["transitions"] for row in rows]
    assert done == sorted(done)
    assert rows[-1]["seconds_to_go"] > 0 and rows[-1]["segments"] > rows[0]["segments"]
    row = only(out, capsys)
    assert (row["state"], row["host"], row["verdict"]) == ("stopped", None, "so far")
    assert row["transitions"] >= done[-1]


def test_of_a_point_that_is_done_the_summary_speaks(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = asked(finished, capsys)
    (row,) = document["points"]
    (path,) = finished.glob("points/*/summary.json")
    summary = json.loads(path.read_text(encoding="utf-8"))
    told = summary["diagnostics"]
    assert document["done"] and row["state"] == "done" and row["seconds_to_go"] is None
    assert (row["transitions"], row["draws"]) == (row["transitions_scheduled"], row["draws_scheduled"]) == (60, 40)
    assert row["acceptance"] == told["acceptance"]
    assert row["effective_sample_size"] == min(one["effective_sample_size"] for one in told["observables"].values())
    assert row["r_hat"] == max(one["r_hat"] for one in told["observables"].values())
    assert row["verdict"] == ("passed" if summary["verdict"]["passed"] else "failed")
    assert row["disk_bytes"] == sum(file.stat().st_size for file in path.parent.rglob("*") if file.is_file())
    assert row["segments"] == len(list(path.parent.glob("segments/*.h5"))) > 1
    assert "points: 1 done" in shown(finished, capsys)


@pytest.mark.parametrize(
    ("summary", "state"), [("{", "damaged"), (None, "stopped")], ids=["summary damaged", "without summary"]
)
def test_a_summary_that_cannot_be_read_and_one_that_is_not_there(
    summary: str | None, state: str, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(finished, tmp_path / "run")
    (path,) = (tmp_path / "run").glob("points/*/summary.json")
    path.unlink()
    if summary is not None:
        path.write_text(summary, encoding="utf-8")
    row = only(tmp_path / "run", capsys)
    assert row["state"] == state and row["transitions"] == 60
    assert state in shown(tmp_path / "run", capsys)


def test_what_is_told_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = begun(tmp_path)
    publish_headway(home, GIVEN, 10.0)
    row = only(tmp_path, capsys)
    expected = {"transitions": 40, "draws": 20, "acceptance": 0.8, "divergent_fraction": 0.25, "seconds": 10.0}
    assert expected.items() <= row.items()
    assert (row["effective_sample_size"], row["r_hat"], row["seconds_to_go"]) == (30.0, 1.5, 5.0)
    line = shown(tmp_path, capsys).splitlines()[2]
    assert all(text in line.split() for text in ("stopped", "40/60", "20/40", "0.80", "25.00%", "30", "1.500", "5.0"))


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[1]", b"\xff\x00", b'{"transitions": -1}', b"[" * 100_000, b"1e999"],
    ids=lambda x: str(x[:9]),
)
def test_damaged_progress_is_not_shown(content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = begun(tmp_path)
    (home / "progress.json").write_bytes(content)
    row = only(tmp_path, capsys)
    assert (row["state"], row["transitions"], row["acceptance"], row["verdict"]) == ("stopped", None, None, "-")


@pytest.mark.parametrize("what", ["empty", "a file", "missing", "a damaged manifest"])
def test_what_is_no_run_is_refused(what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "place"
    if what == "a file":
        place.write_text("", encoding="utf-8")
    elif what != "missing":
        place.mkdir()
    if what == "a damaged manifest":
        (place / "run.json").write_text("{", encoding="utf-8")
    assert main(["status", str(place)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and str(place) in said and "; " in said


def test_who_is_running(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home, here, own = begun(tmp_path), socket.gethostname(), os.getpid()
    states = {}
    for name, holder in {
        "here": (here, own, 1.0),
        "here and silent": (here, own, 3 * SILENCE),
        "dead": (here, dead(), 2 * SILENCE),
        "elsewhere": ("far", own, SILENCE / 2),
        "elsewhere and silent": ("far", own, 2 * SILENCE),
    }.items():
        held_by(home, *holder)
        states[name] = only(tmp_path, capsys)["state"], "silent for 3.0 min" in shown(tmp_path, capsys)
    assert states == {
        "here": ("running", False),
        "here and silent": ("running", True),
        "dead": ("stopped", False),
        "elsewhere": ("running", False),
        "elsewhere and silent": ("stopped", False),
    }


def test_phases_and_points_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = begun(tmp_path, information={"method": "ais"})
    (home / "calibration.json").unlink()
    held_by(home, socket.gethostname(), os.getpid())
    phases = [only(tmp_path, capsys)["phase"]]
    (home / "calibration.json").touch()
    phases.append(only(tmp_path, capsys)["phase"])
    publish_headway(home, msgspec.structs.replace(GIVEN, transitions=60), 1.0)
    phases.append(only(tmp_path, capsys)["phase"])
    (home / "information.json").touch()
    phases.append(only(tmp_path, capsys)["phase"])
    assert phases == ["calibration", "sampling", "information", "analysis"]
    shutil.rmtree(home)
    assert only(tmp_path, capsys)["state"] == "to do"


def test_how_far_the_information_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = begun(tmp_path, information={"method": "ais"})
    publish_headway(home, msgspec.structs.replace(GIVEN, transitions=60), 1.0)
    held_by(home, socket.gethostname(), os.getpid())
    assert only(tmp_path, capsys)["information"] is None and ", information" in shown(tmp_path, capsys)
    publish_stage(home / "information", Stage("annealing", 5, 599))
    assert only(tmp_path, capsys)["information"] == {"phase": "annealing", "done": 5, "total": 599}
    assert f"running on {socket.gethostname()}/{os.getpid()}, information: annealing 5/599" in shown(tmp_path, capsys)
    (home / "lock").unlink()
    assert "stopped, information: annealing 5/599" in shown(tmp_path, capsys)
    (home / "information" / "progress.json").write_text("{", encoding="utf-8")
    assert only(tmp_path, capsys)["information"] is None


def test_batches_are_counted_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = begun(tmp_path, run__error_target={"bayes_error": 0.1}, run__most_batches=5)
    done = msgspec.structs.replace(GIVEN, transitions=60, draws=40, not_finite=1)
    publish_headway(home / "batches" / "000", done, 12.0)
    publish_headway(home / "batches" / "001", msgspec.structs.replace(GIVEN, not_finite=2), 8.0)
    (home / "batches" / "002").mkdir()
    row = only(tmp_path, capsys)
    assert (row["batches"], row["transitions"], row["transitions_scheduled"]) == (3, 100, 180)
    assert (row["effective_sample_size"], row["r_hat"], row["seconds_to_go"]) == (60.0, pytest.approx(1.5), 16.0)
    assert row["not_finite_chains"] == 3
    table = shown(tmp_path, capsys)
    assert "stopped, batch 3 of at most 5" in table and "3 chains not finite" in table


def test_watching_ends_when_all_is_done(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", str(finished), "--watch"]) == 0
    assert capsys.readouterr().out.count("points: 1 done") == 1


def test_watching_looks_again_until_it_is_interrupted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun(tmp_path)
    waits: list[float] = []

    def interrupted(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(status.time, "sleep", interrupted)
    assert main(["status", str(tmp_path), "--watch"]) == 0
    assert waits == [2.0] * 3
    assert capsys.readouterr().out.count("1 stopped") == 3


def test_watching_as_json_is_refused(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", str(finished), "--watch", "--json"]) == 2
    assert "leave one of them out" in capsys.readouterr().err
