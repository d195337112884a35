"""A run of a program of one's own in a directory: the same call goes on with it, and no other call does."""

import json
import re
import shutil
import signal
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from continued import assert_same, segments
from processes import ENVIRONMENT

import nishimori as nm
from nishimori.chains.files import DirectoryBusy, exclusive
from nishimori.chains.progress import silent
from nishimori.description.errors import BadInput
from nishimori.sampling import Run

ASKED: dict[str, Any] = {"chains": 2, "warmup": 6, "draws": 12, "progress": silent}
HMC = nm.HMC(step_size=0.3, num_steps=3)


def problem_of(seed: int = 0) -> nm.Problem:
    return nm.matched_teacher(nm.Network(6, (5,), "tanh"), nm.GaussianChannel(0.2), 8, 2, seed=seed, test_samples=3)


def into(directory: Path | None, **changed: Any) -> Run:
    asked = {"target": problem_of(), "sampler": HMC, "segment_seconds": 0.0, **ASKED, **changed}
    return nm.sample(directory=directory, **asked)


class Interrupted(Exception):
    pass


def interrupting(after: int) -> Any:
    def progress(phase: str, done: int, total: int, acceptance: float) -> None:
        del total, acceptance
        if phase == "sampling" and done == after:
            raise Interrupted

    return progress


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("kept") / "run"
    into(home)
    return home


@pytest.mark.parametrize("sampler", [HMC, None])
def test_the_same_call_goes_on(sampler: nm.HMC | None, tmp_path: Path) -> None:
    """With a sampler, and with one that calibration chooses."""
    home, whole = tmp_path / "run", into(None, sampler=sampler)
    for after in (3, 9):
        with pytest.raises(Interrupted):
            into(home, sampler=sampler, progress=interrupting(after))
        assert len(segments(home)) == after - 1
    assert_same(into(home, sampler=sampler), whole)
    before = {path: path.stat().st_mtime_ns for path in home.rglob("*.*")}
    assert_same(into(home, sampler=sampler), whole)
    assert {path: path.stat().st_mtime_ns for path in home.rglob("*.*")} == before


def test_a_density_and_functions_of_it(tmp_path: Path) -> None:
    target = nm.DensityTarget(lambda x: -(x**2).sum(-1) / 2, dim=3)
    asked = {"target": target, "observables": {"radius": lambda x: x.norm(dim=-1)}, "keep": "position"}
    with pytest.raises(Interrupted):
        into(tmp_path / "run", **asked, progress=interrupting(10))
    assert_same(into(tmp_path / "run", **asked), into(None, **asked))
    other = nm.DensityTarget(lambda x: -(x**2).sum(-1), dim=3)
    with pytest.raises(BadInput, match="another density or other data"):
        into(tmp_path / "run", **{**asked, "target": other})


def test_a_module(tmp_path: Path) -> None:
    inputs = torch.linspace(-1, 1, 6).unsqueeze(1)
    likelihood = nm.GaussianLikelihood(inputs, inputs.sin(), noise_variance=0.1)
    target = nm.ModuleTarget(torch.nn.Linear(1, 1), likelihood)
    with pytest.raises(Interrupted):
        into(tmp_path / "run", target=target, progress=interrupting(10))
    assert_same(into(tmp_path / "run", target=target), into(None, target=target))


CHANGES: dict[str, dict[str, Any]] = {
    "warmup = 6, not 7": {"warmup": 7},
    "draws = 12, not 13": {"draws": 13},
    "seed = 0, not 1": {"seed": 1},
    "chains = [0, 1, 2, 3], not [0, 1, 2, 3, 4, 5]": {"chains": 3},
    "keep_position = False, not True": {"keep": "position"},
    'sampler = "HMC(': {"sampler": nm.HMC(step_size=0.2, num_steps=3)},
    "dtype = 'float32', not 'float64'": {"target": nm.Posterior(problem_of(), "fp64")},
    "another density or other data": {"target": problem_of(seed=1)},
}


@pytest.mark.parametrize("message", CHANGES)
def test_another_call_is_refused_and_nothing_changes(message: str, finished: Path) -> None:
    before = {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()}
    with pytest.raises(BadInput, match=f"{re.escape(str(finished))} .*{re.escape(message)}.*or another directory"):
        into(finished, **CHANGES[message])
    assert {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()} == before


def test_another_calibration_is_refused(finished: Path) -> None:
    given = into(None, seed=5).calibration
    with pytest.raises(BadInput, match="another calibration") as refusal:
        into(finished, calibration=nm.sample(problem_of(), **ASKED).calibration)
    assert str(finished) in str(refusal.value)
    assert_same(into(finished, calibration=given), into(None))


def test_something_else_is_refused(tmp_path: Path, finished: Path) -> None:
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(BadInput, match="is not empty and holds no run"):
        into(tmp_path)
    with pytest.raises(BadInput, match="is a file"):
        into(tmp_path / "thesis.tex")
    shutil.copytree(finished, tmp_path / "run")
    (tmp_path / "run" / "settings.json").write_text('{"schema": 1}')
    with pytest.raises(BadInput, match=r"settings\.json cannot be read"):
        into(tmp_path / "run")
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["thesis.tex"]


def test_one_process_writes(finished: Path) -> None:
    with exclusive(finished), pytest.raises(DirectoryBusy):
        into(finished)


def test_damage_is_told_and_mended(finished: Path, tmp_path: Path) -> None:
    home = tmp_path / "run"
    shutil.copytree(finished, home)
    segments(home)[4].write_bytes(b"nothing")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert_same(into(home), into(None))
    assert "000004.h5" in str(told[0].message) and "drawn again" in str(told[1].message)


SCRIPT = """
import sys, nishimori as nm
target = nm.DensityTarget(lambda x: -(x ** 2).sum(-1) / 2, dim=3)
hmc, asked = nm.HMC(step_size=0.3, num_steps=3), {"chains": 2, "warmup": 10, "draws": int(sys.argv[2])}
home = {"directory": sys.argv[1], "segment_seconds": 0.002}
nm.sample(target, hmc, **asked, **home, keep="position", progress=lambda *_: None)
"""


def test_a_program_that_is_killed_goes_on(tmp_path: Path) -> None:
    home, draws = tmp_path / "run", 600
    command = [sys.executable, "-c", SCRIPT, str(home), str(draws)]
    process = subprocess.Popen(command, env=ENVIRONMENT)
    while len(segments(home)) < 3:
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    committed = len(segments(home))
    assert 3 <= committed and json.loads((home / "settings.json").read_text())["draws"] == draws
    target = nm.DensityTarget(lambda x: -(x**2).sum(-1) / 2, dim=3)
    asked = {"target": target, "warmup": 10, "draws": draws, "keep": "position", "segment_seconds": 1.0}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = into(home, **asked)
    assert np.array_equal(found.draws["position"], into(None, **asked).draws["position"])
