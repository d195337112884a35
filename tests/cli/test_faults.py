"""A run whose storage fails at any one call: it ends with a sentence, everything visible is whole, and the same command
goes on to the same digest. A call that is interrupted changes nothing."""

import errno
import os
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from experiments import changed, write
from failing_calls import KINDS, Call, watched
from run_files import committed, digest_of, states_of, states_to_keep

from nishimori.adaptation import annealed_steps
from nishimori.chains import lock as locks
from nishimori.chains.storage import operations
from nishimori.cli import main

EXPERIMENT = changed(
    network__input_dim=4,
    data__instances=2,
    data__test_samples=3,
    sampler__step_size=0.1,
    sampler__num_steps=2,
    run__warmup=2,
    run__draws=6,
    run__segment_seconds=0.0,
)
SEGMENTS = 8
WITH_INFORMATION = {**EXPERIMENT, "information": {"method": "ais", "rungs": 4, "chains": 2}}
CALLS_WITH_INFORMATION = 60
ERRORS = [errno.ENOSPC, errno.EIO, errno.EINTR]
PROGRESS = ["open", "write", "fsync", "close", "replace", "open", "fsync", "close"]
"""What publishing progress.json is made of, from its temporary file on; a run does not end because of it."""


@dataclass(frozen=True)
class Undisturbed:
    """A run that nothing happened to: its calls, exit code and outcome."""

    calls: list[Call]
    code: int
    outcome: tuple[str, list[str]]

    @classmethod
    def of(cls, experiment: Path, out: Path) -> "Undisturbed":
        with watched() as calls:
            code = main(["run", str(experiment), "--out", str(out)])
        return cls(calls, code, outcome_of(out))

    def may_fail(self, number: int) -> bool:
        """Whether a run goes on where this call failed: storing its progress, or letting its lock go."""
        kind, path = self.calls[number]
        begun = self.calls[max(0, number + 1 - len(PROGRESS)) : number + 1]
        stores_progress = any(call.kind == "open" and call.path.endswith(".tmp.progress.json") for call in begun)
        return stores_progress or (kind == "close" and path.endswith("/lock"))

    def of_every_kind(self, chance: random.Random) -> list[tuple[int, int]]:
        """Calls and errors: every kind of call, and every error twice or more."""
        chosen = []
        for place, kind in enumerate(KINDS):
            numbers = [number for number, call in enumerate(self.calls) if call.kind == kind]
            chosen.append((chance.choice(numbers), ERRORS[place % len(ERRORS)]))
        return chosen


def outcome_of(run: Path) -> tuple[str, list[str]]:
    """The digest, and the information as it was published."""
    return digest_of(run), [path.read_text(encoding="utf-8") for path in run.glob("points/*/information.json")]


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("experiment") / "e.toml", EXPERIMENT)


@pytest.fixture(scope="module")
def undisturbed(experiment: Path, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    found = Undisturbed.of(experiment, out)
    assert len(committed(out)) == SEGMENTS and {call.kind for call in found.calls} == set(KINDS)
    assert states_of(out) == states_to_keep(SEGMENTS)
    for number, call in enumerate(found.calls):
        if call.path.endswith(".tmp.progress.json") and call.kind == "open":
            assert [kind for kind, _ in found.calls[number : number + len(PROGRESS)]] == PROGRESS
    return found


def require_survived(
    number: int,
    error: int,
    undisturbed: Undisturbed,
    experiment: Path,
    home: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out, case = home / "run", f"{number} {undisturbed.calls[number]} {os.strerror(error)}"
    command = ["run", str(experiment), "--out", str(out)]
    capsys.readouterr()
    with watched(lambda at: error if at == number else 0) as calls:
        code = main(command)
    assert len(calls) > number and calls[number].kind == undisturbed.calls[number].kind, case
    seen = committed(out)
    if error == errno.EINTR or undisturbed.may_fail(number):
        assert code == undisturbed.code and outcome_of(out) == undisturbed.outcome, case
    else:
        assert code == 2, case
        sentence = capsys.readouterr().err.splitlines()[-1]
        assert sentence.startswith(f"nishimori: {home}") and f" cannot be written ({os.strerror(error)}); " in sentence
        assert sentence.endswith(", then run again"), case
    assert main(command) == undisturbed.code, case
    assert committed(out)[: len(seen)] == seen, case
    assert outcome_of(out) == undisturbed.outcome and states_of(out) == states_to_keep(SEGMENTS), case
    assert not list(out.rglob("*.tmp.*")) and (out / "overlay.png").exists(), case


def test_a_call_of_every_kind_may_fail(
    undisturbed: Undisturbed, experiment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, error in undisturbed.of_every_kind(random.Random(0)):
        home = tmp_path / str(number)
        home.mkdir()
        require_survived(number, error, undisturbed, experiment, home, capsys)


@pytest.mark.validate
@pytest.mark.parametrize("error", ERRORS, ids=errno.errorcode.__getitem__)
def test_any_call_may_fail(
    error: int, undisturbed: Undisturbed, experiment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(len(undisturbed.calls)):
        home = tmp_path / str(number)
        home.mkdir()
        require_survived(number, error, undisturbed, experiment, home, capsys)


@pytest.mark.validate
def test_any_call_may_fail_while_the_information_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Some of them: a pilot makes hundreds."""
    monkeypatch.setattr(annealed_steps, "RUNGS", 4)
    experiment = write(tmp_path / "e.toml", WITH_INFORMATION)
    undisturbed = Undisturbed.of(experiment, tmp_path / "run")
    assert undisturbed.outcome[1]
    numbers = [number for number, call in enumerate(undisturbed.calls) if "/information" in call.path]
    for number in random.Random(0).sample(numbers, CALLS_WITH_INFORMATION):
        for error in ERRORS:
            home = tmp_path / f"{number} {error}"
            home.mkdir()
            require_survived(number, error, undisturbed, experiment, home, capsys)


@pytest.mark.parametrize(("silence", "code"), [(30.0, None), (0.0, 2)], ids=["for a while", "for long"])
def test_a_heart_may_stop_beating_for_a_while(
    silence: float,
    code: int | None,
    undisturbed: Undisturbed,
    experiment: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The names in the locks of the run and of its point are written, and no heartbeat after them."""
    monkeypatch.setattr(locks, "BETWEEN_BEATS", 0.0)
    monkeypatch.setattr(locks, "LONGEST_SILENCE", silence)
    names = iter(range(2))

    def failing(*arguments: Any) -> int:
        if next(names, None) is None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return os.pwrite(*arguments)

    monkeypatch.setattr(operations, "pwrite", failing)
    assert main(["run", str(experiment), "--out", str(tmp_path / "run")]) == (code or undisturbed.code)
    if code:
        assert "lock cannot be written (Input/output error); " in capsys.readouterr().err.splitlines()[-1]
    else:
        assert outcome_of(tmp_path / "run") == undisturbed.outcome
