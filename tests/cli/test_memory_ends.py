"""A run whose memory ends says what to do, loses nothing that was committed, and goes on to the same digest."""

import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import run as run_process
from typing import Any

import pytest
import torch
from experiments import changed, write
from processes import ENVIRONMENT, ROOT
from run_files import committed, digest_of

from nishimori.chains import segments
from nishimori.chains.record import Record
from nishimori.cli import main

EXPERIMENT = changed(
    network__input_dim=40,
    data__instances=2,
    data__test_samples=3,
    sampler__chains=50,
    sampler__step_size=0.05,
    sampler__num_steps=2,
    run__warmup=1,
    run__draws=5,
    run__segment_seconds=0.0,
)
FEW_BYTES = 500_000
"""A position of all chains takes nearly three times as many."""


def of_hdf5(*_: object) -> bytes:
    """What it says where memory ends while it makes a file."""
    raise OSError("Can't synchronously write data (unable to allocate memory block of 5308416 bytes)")


def of_torch(*_: object) -> Any:
    return torch.empty(2**50)


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("experiment") / "e.toml", EXPERIMENT)


@pytest.fixture(scope="module")
def undisturbed(experiment: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    assert main(["run", str(experiment), "--out", str(out)]) in (0, 3)
    return digest_of(out)


def from_call(number: int, original: Callable[..., Any], failing: Callable[..., Any]) -> Callable[..., Any]:
    """`original`, but `failing` from this call on."""
    calls = iter(range(1, number))
    return lambda *arguments, **named: (failing if next(calls, None) is None else original)(*arguments, **named)


def sentence_of(command: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert main(command) == 2
    return capsys.readouterr().err.splitlines()[-1]


def test_memory_that_ends_while_files_are_written_and_when_the_run_goes_on(
    undisturbed: str,
    experiment: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In the thread that writes, from the fifth file on; then in a process that may not have more, in earnest."""
    out = tmp_path / "run"
    command = ["run", str(experiment), "--out", str(out), "--device", "cpu"]
    with monkeypatch.context() as patched:
        patched.setattr(segments, "_image", from_call(5, segments._image, of_hdf5))
        sentence = sentence_of(command, capsys)
    assert sentence.startswith("nishimori: 50 chains per start of 2 instances need ") and " in memory" in sentence
    assert sentence.endswith(", fewer instances, fewer draws, or a smaller network")
    before = committed(out)
    assert len(before) == 2
    limited = [sys.executable, str(ROOT / "tests" / "limited_run.py"), str(FEW_BYTES), *command]
    done = run_process(limited, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr and "memory" in done.stderr.splitlines()[-1]
    assert committed(out) == before and not list(out.rglob("*.damaged*"))
    assert main(command) in (0, 3)
    assert committed(out)[:2] == before and digest_of(out) == undisturbed


def test_memory_that_ends_between_two_commits(
    undisturbed: str,
    experiment: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out, command = tmp_path / "run", ["run", str(experiment), "--out", str(tmp_path / "run"), "--device", "cpu"]
    with monkeypatch.context() as patched:
        patched.setattr(Record, "keep", from_call(4, Record.keep, of_torch))
        assert "; ask for " in sentence_of(command, capsys)
    assert committed(out)
    assert main(command) in (0, 3) and digest_of(out) == undisturbed


def test_memory_that_ends_elsewhere(
    experiment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before there are chains; and another error is not taken for it."""
    command = ["run", str(experiment), "--out", str(tmp_path / "run")]
    monkeypatch.setattr("nishimori.sampling.build.problem_of", of_torch)
    assert sentence_of(command, capsys).startswith(
        "nishimori: memory ended where 8388608.0 GiB more were asked for; free some, or ask for fewer chains"
    )
    monkeypatch.setattr("nishimori.sampling.build.problem_of", lambda *_: torch.ones(2) + torch.ones(3))
    with pytest.raises(RuntimeError, match="size of tensor"):
        main(command)
