"""A chain that stops being finite in a run: told while it goes on and in the end, and no other chain is touched."""

import json
import signal
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from experiments import changed, write

from nishimori.chains import progress
from nishimori.chains.segments import Arrays, read_arrays
from nishimori.cli import main
from nishimori.models.layout import Position
from nishimori.samplers.base import Info, Kernel, State
from nishimori.sampling import wishes
from nishimori.sampling.in_time import whole

WARMUP, DRAWS, AT = 3, 9, 5
INSTANCE, CHAIN = 1, 3
EXPERIMENT = changed(
    network__input_dim=6,
    data__instances=2,
    data__test_samples=3,
    sampler__chains=2,
    sampler__step_size=0.1,
    sampler__num_steps=2,
    run__warmup=WARMUP,
    run__draws=DRAWS,
    run__segment_seconds=0.0,
)


@dataclass(frozen=True)
class Poisoned:
    """One weight of one chain is NaN when one transition begins."""

    kernel: Kernel

    def init(self, position: Position) -> State:
        return self.kernel.init(position)

    def step(self, state: State, step: int) -> tuple[State, Info]:
        if step == AT:
            position = state.position.clone()
            position.blocks[0][INSTANCE, CHAIN, 0, 0] = float("nan")
            state = replace(state, position=position)
        return self.kernel.step(state, step)


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("experiment") / "e.toml", EXPERIMENT)


@pytest.fixture(scope="module")
def clean(experiment: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("clean") / "run"
    assert main(["run", str(experiment), "--out", str(out)]) in (0, 3)
    return out


@pytest.fixture
def poison(monkeypatch: pytest.MonkeyPatch) -> None:
    original = wishes._kernel
    monkeypatch.setattr(wishes, "_kernel", lambda *arguments: Poisoned(original(*arguments)))


def files_of(run: Path) -> tuple[Arrays, Arrays]:
    """What all segments hold, and the last state."""
    segments, states = (sorted(run.glob(f"points/*/{kind}/*.h5")) for kind in ("segments", "states"))
    return whole([read_arrays(path) for path in segments], DRAWS), read_arrays(states[-1])


def asked(run: Path, capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, Any], str]:
    """What status says of the one point, as JSON and to read."""
    capsys.readouterr()
    assert main(["status", str(run), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["points"]
    assert main(["status", str(run)]) == 0
    return row, capsys.readouterr().out


def asking_to_stop(phase: str, done: int, total: int, acceptance: float) -> None:
    if phase == "sampling":
        signal.raise_signal(signal.SIGTERM)


def test_it_is_told_while_the_run_goes_on_and_in_the_end(
    poison: None,
    experiment: Path,
    clean: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The run is stopped after every transition, and looked at."""
    out, counts = tmp_path / "run", []
    monkeypatch.setattr(progress, "reporter", lambda label: asking_to_stop)
    while main(["run", str(experiment), "--out", str(out)]) == 75:
        row, table = asked(out, capsys)
        counts.append((row["transitions"], row["not_finite_chains"]))
        assert ("1 chain not finite" in table) == bool(row["not_finite_chains"]) == ("so far" not in table)
        assert 0 < row["acceptance"] <= 1
    message = capsys.readouterr().err.splitlines()[-1]
    assert counts == [(step, int(step > AT)) for step in range(1, WARMUP + DRAWS)]
    row, table = asked(out, capsys)
    assert row["not_finite_chains"] == 1 and row["verdict"] == "failed" and "failed" in table
    assert asked(clean, capsys)[0]["not_finite_chains"] == 0
    (path,) = out.glob("points/*/summary.json")
    summary = json.loads(path.read_text(encoding="utf-8"))
    assert summary["diagnostics"]["not_finite"] == [{"instance": INSTANCE, "chain": CHAIN, "transition": AT}]
    told = f"chain {CHAIN} of instance {INSTANCE} is not finite from transition {AT} on; leave its instance out"
    assert any(failure.startswith(told) for failure in summary["verdict"]["failures"])
    assert "the verdict failed" in message


def test_no_other_chain_is_touched(poison: None, experiment: Path, clean: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert main(["run", str(experiment), "--out", str(out)]) == 3
    others, compared = np.ones((2, 4), bool), set()
    others[INSTANCE, CHAIN] = False
    for found, expected in zip(files_of(out), files_of(clean), strict=True):
        for group, arrays in expected.items():
            for name, values in arrays.items():
                if values.shape[:2] == others.shape:
                    np.testing.assert_array_equal(found[group][name][others], values[others], err_msg=f"{group}/{name}")
                    compared.add((group, name))
    assert {("draws", "gibbs_error"), ("warmup", "overlap"), ("statistics", "energy_error")} <= compared
    assert ("state", "position") in compared, compared
