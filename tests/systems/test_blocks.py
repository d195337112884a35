"""A point in blocks of instances and chains is the point in one piece: stopped, damaged and read back too."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from continued import StopAt
from experiments import changed, write

import nishimori as nm
from nishimori.chains.progress import silent
from nishimori.chains.stop import Stopped
from nishimori.chains.writers import PointWriter
from nishimori.cli import main
from nishimori.description.errors import BadInput
from nishimori.description.experiment import expand
from nishimori.systems import SYSTEMS

SETTINGS: dict[str, Any] = {
    "network__input_dim": 33,
    "data__instances": 2,
    "sampler__chains": 4,
    "run__warmup": 8,
    "run__draws": 20,
    "run__segment_seconds": 0.005,
}
DIFFERENT = ("seconds",)


def run(home: Path, blocks: int, *options: str, **settings: Any) -> Path:
    experiment = write(home / "e.toml", changed(**{**SETTINGS, **settings, "run__blocks": blocks}))
    assert main(["run", str(experiment), "--out", str(home / "out"), *options]) in (0, 3)
    return home / "out"


def summary_of(out: Path) -> dict[str, Any]:
    (path,) = out.glob("points/*/summary.json")
    summary = json.loads(path.read_text(encoding="utf-8"))
    return {key: value for key, value in summary.items() if key not in DIFFERENT}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("whole"), 1)


@pytest.fixture(scope="module")
def divided(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two blocks of chains an instance."""
    return run(tmp_path_factory.mktemp("divided"), 4)


@pytest.mark.parametrize("blocks", [2, 4, 8])
def test_the_summary_is_that_of_one_piece(blocks: int, whole: Path, tmp_path: Path) -> None:
    out = run(tmp_path, blocks)
    assert summary_of(out) == summary_of(whole)
    assert len(list(out.glob("points/*/blocks/*"))) == blocks


@pytest.mark.parametrize("kind", ["replica_exchange", "pcn"])
def test_of_every_kind_of_state(kind: str, tmp_path: Path) -> None:
    """One chain an instance and start, in blocks of one instance and one chain of each start; positions are kept."""
    found = {}
    for blocks in (1, 2, 4):
        (home := tmp_path / str(blocks)).mkdir()
        settings = {"sampler": {"kind": kind, "chains": 2}, "run__keep": "position", "run__draws": 10}
        found[blocks] = run(home, blocks, **settings)
    assert summary_of(found[4]) == summary_of(found[2]) == summary_of(found[1])


def test_with_an_error_target_every_batch_is_in_blocks(tmp_path: Path) -> None:
    found = []
    for blocks in (1, 2):
        (home := tmp_path / str(blocks)).mkdir()
        settings = {"run__most_batches": 2, "network__input_dim": 8}
        found.append(run(home, blocks, "--set", "run.error_target={ bayes_error = 0.0001 }", **settings))
    assert len(list(found[1].glob("points/*/batches/001/blocks/001/segments/*.h5"))) > 0
    assert summary_of(found[0])["digest"] == summary_of(found[1])["digest"]


def test_a_run_of_blocks_is_read_back(divided: Path, whole: Path) -> None:
    one, other = nm.load(divided), nm.load(whole)
    assert repr(one.estimates) == repr(other.estimates) and one.draws.keys() == other.draws.keys()
    assert all((one.draws[name] == other.draws[name]).all() for name in one.draws)


def test_it_may_be_stopped_in_any_block(whole: Path, tmp_path: Path) -> None:
    point = expand(changed(**SETTINGS, run__blocks=4)).points[0]
    home, system = tmp_path / point.identity, SYSTEMS["matched_teacher"]
    for looks in (3, 20, 30, 40):
        with pytest.raises(Stopped):
            system.run_point(point.config, PointWriter(home, 1, silent, stop=StopAt(looks=looks)))
        with pytest.raises(BadInput, match="finish it with nishimori resume|run this point to its end"):
            nm.load(home)
    digest = system.run_point(point.config, PointWriter(home, 1, silent))["digest"]
    assert digest == summary_of(whole)["digest"]


def test_a_damaged_segment_of_a_block_is_drawn_again(
    divided: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    shutil.copytree(divided, out)
    expected = summary_of(out)
    (summary,) = out.glob("points/*/summary.json")
    summary.unlink()
    (damaged,) = out.glob("points/*/blocks/002/segments/000001.h5")
    damaged.write_bytes(damaged.read_bytes()[:200])
    assert main(["resume", str(out)]) in (0, 3)
    assert "blocks/002/segments/000001.h5" in capsys.readouterr().err
    assert summary_of(out) == expected


def test_audit_status_and_export_know_blocks(divided: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in range(4):
        assert main(["audit", str(divided), "--seed", str(seed)]) == 0
    assert "blocks/" in capsys.readouterr().out
    assert main(["status", str(divided), "--json"]) == 0
    (point,) = json.loads(capsys.readouterr().out)["points"]
    assert (point["draws"], point["transitions"]) == (20, 28)
    assert point["segments"] == len(list(divided.glob("points/*/blocks/*/segments/*.h5")))
    assert main(["export", str(divided), str(tmp_path / "samples.h5")]) == 0


def test_another_number_of_blocks_is_refused(divided: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    experiment = write(tmp_path / "e.toml", changed(**SETTINGS))
    assert main(["run", str(experiment), "--out", str(divided)]) == 2
    assert "is sampled with run.blocks = 4; keep that" in capsys.readouterr().err


def test_a_coarse_force_is_refused_on_the_cpu(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    experiment = write(
        tmp_path / "e.toml", changed(**SETTINGS, run__blocks=2, run__precision="auto", run__device="cpu")
    )
    assert main(["run", str(experiment), "--out", str(tmp_path / "out")]) == 2
    assert 'run.precision = "auto" does not go with run.blocks = 2 on the CPU' in capsys.readouterr().err
