"""A run whose disk is full, and one whose directory another process writes into: exit code 2 and a sentence."""

import errno
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from experiments import changed, write
from processes import ENVIRONMENT

from nishimori.chains import lock as locks
from nishimori.chains import storage
from nishimori.chains.files import exclusive, publish_json
from nishimori.chains.lock import holder_of
from nishimori.chains.stop import StopRequest
from nishimori.cli import main
from nishimori.description.config import Config
from nishimori.description.experiment import load_experiment
from nishimori.executors.local import Here
from nishimori.executors.points import run_points
from nishimori.systems import SYSTEMS

EXPERIMENT = changed(run__draws=20, run__warmup=4)


def test_a_full_disk_ends_the_run_with_a_sentence_and_the_next_run_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    command = ["run", str(write(tmp_path / "e.toml", EXPERIMENT)), "--out", str(tmp_path / "out")]

    def full(descriptor: int, content: memoryview) -> int:
        if bytes(content[:4]) == b"\x89HDF":
            os.write(descriptor, content[:100])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return os.write(descriptor, content)

    with monkeypatch.context() as patched:
        patched.setattr(storage.operations, "write", full)
        assert main(command) == 2
    message = capsys.readouterr().err.splitlines()[-1]
    assert message.startswith(f"nishimori: {tmp_path / 'out'}")
    assert message.endswith("000000.h5 cannot be written (No space left on device); free space there, then run again")
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert {path.name for path in files} == {"run.json", "lock", "config.json", "calibration.json"}
    assert all(path.stat().st_size == 0 for path in files if path.name == "lock")
    assert main(command) in (0, 3)


def test_a_directory_in_use_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    experiment, out = write(tmp_path / "e.toml", EXPERIMENT), tmp_path / "out"
    with exclusive(out):
        assert main(["run", str(experiment), "--out", str(out)]) == 2
        assert os.listdir(out) == ["lock"]
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert str(out) in message and f"process {os.getpid()}" in message and "stop it" in message


def test_a_second_run_is_refused_within_a_second_and_the_first_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first is held still in the middle of its work, so that whatever changes is the second's doing."""
    out, experiment = tmp_path / "run", write(tmp_path / "e.toml", changed(run__draws=10**5, run__segment_seconds=0.01))
    command = ["run", str(experiment), "--out", str(out)]
    writer = subprocess.Popen(
        [sys.executable, "-m", "nishimori.cli", *command], env=ENVIRONMENT, stderr=subprocess.PIPE
    )
    try:
        while not list(out.glob("points/*/segments/*.h5")):
            assert writer.poll() is None
            time.sleep(0.02)
        writer.send_signal(signal.SIGSTOP)
        while state_of(writer.pid) != "T":
            time.sleep(0.01)
        before, spent = files(out), []
        for arguments in (command, ["resume", str(out)], command):
            begun = time.monotonic()
            assert main(arguments) == 2
            spent.append(time.monotonic() - begun)
            (message,) = capsys.readouterr().err.splitlines()
            assert f"process {writer.pid} on {socket.gethostname()} writes here; wait for it or stop it" in message
        assert files(out) == before and min(spent) < 1
        writer.send_signal(signal.SIGCONT)
        writer.send_signal(signal.SIGTERM)
        _, said = writer.communicate(timeout=60)
    finally:
        writer.kill()
        writer.wait()
    assert writer.returncode == 75, said
    assert len(list(out.glob("points/*/segments/*.h5"))) > sum("/segments/" in path for path in before)


def state_of(pid: int) -> str:
    """A letter; T for a process that is held still, which it is not as soon as it is asked to be."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(") ")[2][0]


def files(directory: Path) -> dict[str, tuple[bytes, int]]:
    """Content and time of the last change; not the time of the lock that is held while the grid is planned."""
    found = {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in directory.rglob("*") if path.is_file()}
    found[str(directory / "lock")] = (found[str(directory / "lock")][0], 0)
    return found


def test_a_point_that_is_sampled_beats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    heartbeats, told = [], []

    def run_point(config: Any, writer: Any) -> None:
        for done in range(3):
            writer.progress("draws", done, 3, 0.8)
            named = holder_of(writer.directory)
            heartbeats.append(named and named.heartbeat)
        publish_json(writer.directory / "summary.json", {})

    system: Any = SimpleNamespace(schema=Config, run_point=run_point, require_runnable=lambda config: None)
    monkeypatch.setattr(locks, "BETWEEN_BEATS", 0.0)
    monkeypatch.setattr("nishimori.executors.points.read_summary", lambda path: {})
    monkeypatch.setitem(SYSTEMS, "matched_teacher", system)
    experiment, stop = load_experiment(write(tmp_path / "e.toml", EXPERIMENT), []), StopRequest()
    view: Any = SimpleNamespace(**dict.fromkeys(("started", "ended", "finished"), lambda *_: None))
    run_points(Here(lambda *progress: told.append(progress), print, stop), experiment, tmp_path, view, stop)
    assert heartbeats == sorted(set(heartbeats)) and len(heartbeats) == 3
    assert [done for _, _, done, _, _ in told] == [0, 1, 2]
