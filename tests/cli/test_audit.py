"""`nishimori audit`: what a run committed comes out again, and what was changed in its files is found."""

import json
import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from experiments import changed, write

from nishimori.chains.segments import Stored, publish_arrays, read_stored
from nishimori.chains.stop import StopRequest
from nishimori.cli import main

EXPERIMENT = changed(
    network__input_dim=6,
    data__instances=2,
    data__test_samples=3,
    sampler__num_steps=3,
    sampler__step_size=0.1,
    run__warmup=4,
    run__draws=11,
    run__thin=2,
    run__segment_seconds=1e-9,
    run__precision="fp64",
    run__device="cpu",
    sweep={"channel.noise_variance": [0.1, 0.2]},
)
TRANSITIONS = 4 + 11 * 2
FORGED = 10


def sampled(home: Path, code: tuple[int, ...] = (0, 3)) -> Path:
    assert main(["run", str(write(home / "e.toml", EXPERIMENT)), "--out", str(home / "run")]) in code
    return home / "run"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sampled(tmp_path_factory.mktemp("audit"))


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


def points(run: Path) -> list[Path]:
    manifest = json.loads((run / "run.json").read_text(encoding="utf-8"))
    return [run / "points" / point["id"] for point in manifest["points"]]


def contents(run: Path) -> dict[Path, tuple[int, bytes]]:
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in run.rglob("*") if path.is_file()}


def audits(run: Path, seeds: int, capsys: pytest.CaptureFixture[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Exit code and row of the first point, for seed after seed."""
    for seed in range(seeds):
        code = main(["audit", str(run), "--point", points(run)[0].name, "--seed", str(seed), "--json"])
        (row,) = json.loads(capsys.readouterr().out)["points"]
        yield code, row


def test_a_finished_run_is_what_it_promises(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(finished)
    assert main(["audit", str(finished)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [home.name for home in points(finished)]
    assert all(line.endswith(": the same") and "transitions" in line for line in lines)
    rows = list(audits(finished, 30, capsys))
    assert all(code == 0 and row["same"] for code, row in rows)
    starts = {row["from_state"] for _, row in rows}
    assert {0, 20} <= starts
    assert len({row["segment"] for _, row in rows}) > 10
    assert sum(row["draws"] for row in {row["segment"]: row for _, row in rows}.values()) <= 11
    assert contents(finished) == before


def test_without_states_it_is_computed_from_the_start(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(points(copy)[0] / "states")
    for code, row in audits(copy, 5, capsys):
        assert code == 0 and row["same"] and row["from_state"] is None


def test_a_stopped_run_too_and_a_point_that_has_not_begun_is_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    looks = count()

    def stop_in_sampling(request: StopRequest) -> str:
        del request
        begun = any(tmp_path.rglob("segments/000009.h5"))
        return "enough" if begun and next(looks) >= 0 else ""

    monkeypatch.setattr(StopRequest, "reason", property(stop_in_sampling))
    run = sampled(tmp_path, (75,))
    monkeypatch.undo()
    capsys.readouterr()
    assert 10 <= len(list(points(run)[0].glob("segments/*.h5"))) < TRANSITIONS
    before = contents(run)
    assert main(["audit", str(run), "--seed", "1"]) == 0
    one, other = capsys.readouterr().out.splitlines()
    assert one.endswith("the same") and other == f"{points(run)[1].name}  skipped: no segments yet"
    assert main(["audit", str(run), "--point", points(run)[1].name]) == 2
    assert "has no segments to audit yet; nishimori resume" in capsys.readouterr().err
    assert contents(run) == before


def test_another_draw_is_found_whatever_the_digests_say(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All that is not computed from a state after the forged segment, or before it."""
    forge(points(copy)[0])
    rows = list(audits(copy, 40, capsys))
    for code, row in rows:
        assert row["same"] == (not FORGED <= row["segment"] <= 20)
        assert code == (0 if row["same"] else 3)
        assert row["differing"] == ([] if row["same"] else [f"segment {FORGED}: statistics/energy_error"])
    assert {code for code, _ in rows} == {0, 3}
    seed = next(seed for seed, (code, _) in enumerate(rows) if code)
    assert main(["audit", str(copy), "--seed", str(seed)]) == 3
    said = capsys.readouterr()
    assert "differs in segment 10: statistics/energy_error" in said.out and ": the same" in said.out
    assert "audit it there" in said.err and f"again with --seed {seed}" in said.err


def test_another_state_is_found(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = points(copy)[0] / "states" / "000020.h5"
    stored = read_stored(path)
    position = stored.arrays["state"]["position"]
    position[0, 0, 0] += 1e-3
    publish_arrays(path, stored.arrays, {"segment": 20})
    for code, row in audits(copy, 40, capsys):
        # Behind it there are no other states but the last three.
        assert row["same"] == (row["segment"] < 20 or row["segment"] > TRANSITIONS - 3)
        assert code == (0 if row["same"] else 3)
        if row["segment"] == 20:
            assert row["differing"] == ["state 20: state/position"]


def test_a_batch_of_instances_is_audited(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = ["run.error_target={ gibbs_error = 1e-9 }", "run.most_batches=2"]
    experiment = write(tmp_path / "e.toml", {**EXPERIMENT, "sweep": {"channel.noise_variance": [0.1]}})
    assert main(["run", str(experiment), "--out", str(tmp_path / "run"), "--set", *settings]) == 3
    capsys.readouterr()
    rows = [row for _, row in audits(tmp_path / "run", 6, capsys)]
    assert all(row["same"] for row in rows) and {row["of"] for row in rows} == {"batches/000", "batches/001"}


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str], *words: str) -> None:
    capsys.readouterr()
    assert main(["audit", *arguments]) == 2
    said = capsys.readouterr().err
    assert all(word in said for word in words), said


def test_what_cannot_be_audited_is_refused(copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused([str(tmp_path / "nothing")], capsys, "holds no run; give the directory")
    refused([str(copy), "--point", "abc"], capsys, "has no point abc; name one with --point", points(copy)[0].name)
    home = points(copy)[1]
    state = home / "states" / "000000.h5"
    state.write_bytes(state.read_bytes()[:-1000])
    before = contents(copy)
    for seed in range(40):
        if main(["audit", str(copy), "--seed", str(seed)]) == 2:
            break
    assert str(state) in capsys.readouterr().err
    assert contents(copy) == before
    (home / "segments" / "000004.h5").unlink()
    refused([str(copy)], capsys, "000004.h5 cannot be read", "restore the file")
    path = home / "segments" / "000003.h5"
    path.write_bytes(path.read_bytes()[:-1000])
    refused([str(copy)], capsys, "000003.h5 cannot be read", "restore the file")
    (home / "calibration.json").write_text("{}", encoding="utf-8")
    shutil.copytree(points(copy)[0] / "segments", home / "segments", dirs_exist_ok=True)
    refused([str(copy)], capsys, "calibration.json", "sample anew")


def forge(home: Path) -> None:
    """Change one number of a segment, with all hashes after it in agreement."""
    paths = sorted((home / "segments").glob("*.h5"))[FORGED:]
    stored = [read_stored(path) for path in paths]
    values = stored[0].arrays["statistics"]["energy_error"]
    values[0, 0, 0] = np.nextafter(values[0, 0, 0], 9)
    previous = str(stored[0].attributes["previous"])
    for path, segment in zip(paths, stored, strict=True):
        previous = publish_arrays(path, segment.arrays, _attributes(segment, previous))


def _attributes(stored: Stored, previous: str) -> dict[str, str | int]:
    return {"segment": stored.attributes["segment"], "first": stored.attributes["first"], "previous": previous}
