"""Processes side by side do what one does, whatever becomes of them."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from grids import POINTS, digests, killer, resume, run, written
from processes import ENVIRONMENT, nishimori

from nishimori.description.experiment import load_experiment
from nishimori.executors.failures import failure_of
from nishimori.executors.local import THREADS, environments_of


@pytest.mark.parametrize("settings", [{}, {"run__blocks": 2}], ids=["points", "blocks"])
def test_two_processes_do_the_same(settings: dict[str, Any], one_by_one: dict[str, str], tmp_path: Path) -> None:
    done = run(tmp_path, "--workers", "2", **settings)
    assert done.returncode in (0, 3), done.stderr
    assert digests(tmp_path) == one_by_one
    assert f"{POINTS} of {POINTS} points done" in done.stderr


def test_killed_workers_lose_nothing(one_by_one: dict[str, str], tmp_path: Path) -> None:
    with killer(tmp_path, most=3) as killed:
        done = run(tmp_path, "--workers", "2", run__segment_seconds=0.01)
    assert done.returncode in (0, 3), done.stderr
    assert digests(tmp_path) == one_by_one
    assert len(killed) == 3 and done.stderr.count("its worker was lost") == len(killed)


@pytest.mark.validate
def test_workers_killed_every_few_seconds_lose_nothing(one_by_one: dict[str, str], tmp_path: Path) -> None:
    with killer(tmp_path, most=30) as killed:
        done = run(tmp_path, "--workers", "2", run__segment_seconds=0.01)
    assert done.returncode in (0, 3), done.stderr
    assert digests(tmp_path) == one_by_one
    assert len(killed) > 12 and done.stderr.count("its worker was lost") == len(killed)


def test_a_point_that_always_crashes_is_set_aside(one_by_one: dict[str, str], tmp_path: Path) -> None:
    points = load_experiment(written(tmp_path)).points
    crashing = points[1].identity
    with killer(tmp_path, crashing) as killed:
        done = run(tmp_path, "--workers", "2")
    assert done.returncode == 4, done.stderr
    failure = failure_of(tmp_path / "out" / "points" / crashing)
    assert failure and "its worker was lost (exit code -9)" in failure.message and len(killed) == failure.attempts
    assert (
        "1 of the points set aside" in done.stderr and f"nishimori resume {tmp_path / 'out'} tries again" in done.stderr
    )
    assert digests(tmp_path) == {name: digest for name, digest in one_by_one.items() if name != crashing}
    shown = nishimori("status", str(tmp_path / "out"))
    assert "11 done, 1 failed" in shown.stdout and "failed: its worker was lost" in shown.stdout
    assert nishimori("overlay", str(tmp_path / "out")).returncode == 0
    summary = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
    assert [point["id"] for point in summary["set_aside"]] == [crashing]
    again = resume(tmp_path)
    assert again.returncode in (0, 3) and digests(tmp_path) == one_by_one
    assert "set_aside" not in json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("workers", ["1", "2"])
def test_bad_parameters_at_one_value_are_set_aside(workers: str, tmp_path: Path) -> None:
    sweep = {"sampler.step_size": [0.2, 5.0]}
    done = run(tmp_path, "--workers", workers, sweep=sweep, sampler={"kind": "pcn", "chains": 1})
    assert done.returncode == 4, done.stderr
    assert "step_size" in done.stderr and len(digests(tmp_path)) == 1
    assert json.loads(nishimori("status", str(tmp_path / "out"), "--json").stdout)["done"] is False


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_on_request_all_commit_and_can_go_on(name: str, one_by_one: dict[str, str], tmp_path: Path) -> None:
    experiment = written(tmp_path, run__segment_seconds=1e6)
    words = ["run", str(experiment), "--out", str(tmp_path / "out"), "--workers", "2"]
    command = [sys.executable, "-m", "nishimori.cli", *words]
    process = subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    while len(list(tmp_path.glob("out/points/*/calibration.json"))) < 1:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(getattr(signal, name))
    _, said = process.communicate(timeout=60)
    assert process.returncode == 75 and f"{name} came" in said, said
    assert not [path for path in tmp_path.rglob("*.tmp.*")]
    done = resume(tmp_path, "--workers", "2")
    assert done.returncode in (0, 3), done.stderr
    assert digests(tmp_path) == one_by_one


def test_a_killed_driver_leaves_what_was_done(one_by_one: dict[str, str], tmp_path: Path) -> None:
    """Its processes may still hold their points for a moment when the next driver comes."""
    experiment = written(tmp_path)
    words = ["run", str(experiment), "--out", str(tmp_path / "out"), "--workers", "2"]
    process = subprocess.Popen(
        [sys.executable, "-m", "nishimori.cli", *words], env=ENVIRONMENT, stderr=subprocess.DEVNULL
    )
    while not list(tmp_path.glob("out/points/*/segments/*.h5")):
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    done = resume(tmp_path, "--workers", "2")
    assert done.returncode in (0, 3), done.stderr
    assert digests(tmp_path) == one_by_one


def test_processes_share_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*THREADS, "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    cores = len(os.sched_getaffinity(0))
    assert environments_of(cores, 0) == [dict.fromkeys(THREADS, "1")] * cores
    assert environments_of(1, 0) == [dict.fromkeys(THREADS, str(cores))]
    assert [one["CUDA_VISIBLE_DEVICES"] for one in environments_of(3, 2)] == ["0", "1", "0"]


def test_what_a_job_was_given_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    for name in THREADS:
        monkeypatch.setenv(name, "4")
    assert environments_of(3, 2) == [{"CUDA_VISIBLE_DEVICES": name} for name in ("3", "5", "3")]
