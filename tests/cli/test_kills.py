"""One run, killed again and again at random moments and inside commits: nothing committed is lost, and in the end its
digest is that of the run that was left alone."""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from experiments import changed, write
from processes import ENVIRONMENT, ROOT, nishimori
from run_files import committed, digest_of, states_of, states_to_keep

EXPERIMENT = changed(run__warmup=60, run__draws=600, run__segment_seconds=0.005)
KILLS = [pytest.param(25), pytest.param(200, marks=pytest.mark.validate)]
STARTING, PATIENCE = 2.0, 120.0
"""Seconds."""
MOST_CALLS = 160
"""A commit takes twenty-four system calls."""


@pytest.fixture(scope="module")
def left_alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("alone")
    done = nishimori("run", str(write(home / "e.toml", EXPERIMENT)), "--out", str(home / "run"))
    assert done.returncode in (0, 3), done.stderr
    return home / "run"


def killed_at_random(run: list[str], out: Path, number: int, chance: random.Random) -> None:
    """By turns: at start-up, inside a commit, soon after it went on, and inside a commit again."""
    if number % 2:
        command = [sys.executable, str(ROOT / "tests" / "killed_run.py"), str(chance.randint(1, MOST_CALLS)), *run]
        subprocess.run(command, env=ENVIRONMENT, capture_output=True)
        return
    command, before = [sys.executable, "-m", "nishimori.cli", *run], count(out)
    process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    begun = time.monotonic()
    while number % 4 and process.poll() is None and count(out) == before:
        assert time.monotonic() - begun < PATIENCE
    time.sleep(chance.uniform(0, 0.1 if number % 4 else STARTING))
    process.send_signal(signal.SIGKILL)
    process.wait()


def count(out: Path) -> int:
    return len(list(out.glob("points/*/segments/[0-9]*.h5")))


@pytest.mark.parametrize("kills", KILLS)
def test_killed_again_and_again_it_ends_the_same(kills: int, left_alone: Path, tmp_path: Path) -> None:
    out, chance = tmp_path / "run", random.Random(kills)
    arguments = ["run", str(write(tmp_path / "e.toml", EXPERIMENT)), "--out", str(out)]
    seen: list[tuple[str, str]] = []
    growth = 0
    for number in range(kills):
        killed_at_random(arguments, out, number, chance)
        now = committed(out)
        assert now[: len(seen)] == seen
        growth += len(now) > len(seen)
        seen = now
    assert len(seen) >= 20 and growth >= kills / 5
    done = nishimori("resume", str(out)) if (out / "run.json").exists() else nishimori(*arguments)
    assert done.returncode in (0, 3), done.stderr
    assert committed(out)[: len(seen)] == seen
    assert digest_of(out) == digest_of(left_alone)
    assert states_of(out) == states_to_keep(len(committed(out)))
    assert not list(out.rglob("*.tmp.*"))


REQUESTS = [*((name, []) for name in ("SIGTERM", "SIGUSR2", "SIGINT")), ("", ["--wall-time", "0.001"])]


@pytest.mark.parametrize(("name", "options"), REQUESTS, ids=str)
def test_on_request_it_commits_and_can_go_on(name: str, options: list[str], left_alone: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    experiment = write(tmp_path / "e.toml", changed(run__warmup=60, run__draws=600, run__segment_seconds=1e6))
    command = [sys.executable, "-m", "nishimori.cli", "run", str(experiment), "--out", str(out), *options]
    process = subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    if name:
        assert process.stderr is not None
        while not list(out.glob("points/*/calibration.json")):
            assert process.poll() is None
        process.send_signal(getattr(signal, name))
    _, said = process.communicate(timeout=60)
    assert process.returncode == 75, said
    assert f"nishimori resume {out} goes on" in said and (name or "the wall time is over") in said
    done = nishimori("resume", str(out), "--json")
    assert done.returncode in (0, 3), done.stderr
    assert digest_of(out) == digest_of(left_alone)
    assert json.loads(done.stdout)["points"][0]["digest"] == digest_of(out)
