"""A system of a few lines has all that a system has: files, sweeps, tables, figures, and comparison with theory."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from experiments import write

from nishimori import systems
from nishimori.chains.progress import Progress
from nishimori.cli import main
from nishimori.description.config import Count, KindSection, Positive, SimulationSection
from nishimori.description.identity import identity
from nishimori.systems.simulation import Measured, Simulation
from nishimori_kernels.rng import Stream, fill_normals, random_key


class CoinSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`tosses` of a coin of this `bias`."""

    tosses: Count
    bias: Positive = 1.0


class CoinConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    system: KindSection
    coin: CoinSection
    run: SimulationSection = SimulationSection()


class Coin(Simulation):
    """The mean of normal tosses about a bias."""

    schema, papers, main = CoinConfig, ("arXiv 0000.00000",), "mean"

    def parameters(self, config: CoinConfig) -> dict[str, Any]:
        return {"tosses": config.coin.tosses, "bias": config.coin.bias}

    def predict_at(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        return {"mean": parameters["bias"], "second_moment": 1 + parameters["bias"] ** 2}

    def measure(self, config: CoinConfig, instances: range, progress: Progress) -> dict[str, Measured]:
        import torch

        out = torch.empty(len(instances), 1, config.coin.tosses, dtype=torch.float64)
        key = random_key(config.run.seed, identity(config))
        tosses = fill_normals(out, key, Stream.TEST_INPUTS, 0, instances, (0,))[:, 0].numpy() + config.coin.bias
        progress("tosses", 1, 1, float("nan"))
        running = np.cumsum(tosses, axis=1) / np.arange(1, config.coin.tosses + 1)
        places = tuple(float(place) for place in range(1, config.coin.tosses + 1))
        about = np.full_like(running, config.coin.bias)
        halves, line = running[:, ::2] ** 2, (np.array([1.0, 8.0]), np.array([2.0, 1.125]))
        return {
            "mean": Measured(tosses.mean(axis=1)),
            "second_moment": Measured((tosses**2).mean(axis=1)),
            "running_mean": Measured(running, about, "toss", places),
            "running_square": Measured(
                halves, 1.0 / np.array(places[::2]) + about[:, ::2] ** 2, "toss", places[::2], line
            ),
        }


@pytest.fixture(autouse=True)
def _with_coins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(systems.SYSTEMS, "coin", Coin())


def document(**coin: Any) -> dict[str, Any]:
    return {"system": {"kind": "coin"}, "coin": {"tosses": 8, **coin}, "run": {"instances": 200}}


def test_it_runs_sweeps_and_is_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    experiment = write(tmp_path / "e.toml", {**document(), "sweep": {"coin.bias": [0.5, 1.0]}})
    assert main(["run", str(experiment), "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert said.startswith("bias") and "mean against theory over 2 points" in said
    summary = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
    for point in summary["points"]:
        assert all(abs(z) < 4 for z in point["z_scores"].values()) and set(point["z_scores"]) == {
            *("mean", "second_moment", "running_mean", "running_square")
        }
        assert point["estimates"]["mean"]["standard_error"] == pytest.approx((8 * 200) ** -0.5, rel=0.2)
    assert (tmp_path / "out" / "overlay.png").stat().st_size > 1000
    again = main(["run", str(experiment), "--out", str(tmp_path / "out"), "--json"])
    assert again == 0 and json.loads(capsys.readouterr().out) == summary


def test_its_curves_are_drawn_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    experiment = write(tmp_path / "e.toml", document())
    assert main(["run", str(experiment), "--out", str(tmp_path / "out")]) == 0
    capsys.readouterr()
    assert main(["overlay", str(tmp_path / "out"), "--observable", "running_mean"]) == 0
    assert "toss  running_mean" in capsys.readouterr().out
    (point,) = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))["points"]
    curve = point["curves"]["running_mean"]
    assert curve["at"] == [1, 2, 3, 4, 5, 6, 7, 8] and curve["theory"] == [1.0] * 8
    assert all(abs(z) < 4 for z in curve["z"]) and np.std(curve["z"]) > 0.01


def test_one_of_its_curves_is_drawn_against_another(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """At the places that both have, of runs and of what was saved of them."""
    experiment = write(tmp_path / "e.toml", {**document(), "sweep": {"coin.bias": [0.5, 1.0]}})
    out, saved, asked = tmp_path / "out", tmp_path / "saved.json", ["--observable", "running_square"]
    assert main(["run", str(experiment), "--out", str(out)]) == 0
    capsys.readouterr()
    assert main(["overlay", str(out), *asked, "--against", "running_mean", "--save", str(saved)]) == 0
    first = capsys.readouterr().out
    assert (
        "bias  toss  running_square   theory      z  running_mean" in first and f"figure: {out / 'plane.png'}" in first
    )
    assert main(["overlay", str(saved), *asked, "--against", "running_mean", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["against"] == "running_mean" and Path(told["figure"]).stat().st_size > 1000
    points = json.loads((out / "summary.json").read_text(encoding="utf-8"))["points"]
    known = {point["id"]: point["curves"] for point in points}
    for point in told["plane"]:
        curves = known[point["id"]]
        assert point["curves"]["running_square"]["value"] == curves["running_square"]["value"]
        assert point["curves"]["running_mean"]["value"] == curves["running_mean"]["value"][::2]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--against", "mean"], "'mean' is no curve of these points; use one of running_mean, running_square"),
        (["--against", "running_square", "--approach"], "--against is a figure of its own; leave out"),
        (["--bound", "running_square"], "give --against too, or leave it out"),
    ],
)
def test_a_plane_that_is_none_is_refused(
    options: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", str(write(tmp_path / "e.toml", document())), "--out", str(tmp_path / "out")]) == 0
    assert main(["overlay", str(tmp_path / "out"), "--observable", "running_mean", *options]) == 2
    assert said in capsys.readouterr().err


def test_its_points_are_saved_and_drawn_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    experiment = write(tmp_path / "e.toml", {**document(), "sweep": {"coin.bias": [0.5, 1.0]}})
    assert main(["run", str(experiment), "--out", str(tmp_path / "out")]) == 0
    saved = tmp_path / "saved.json"
    capsys.readouterr()
    assert main(["overlay", str(tmp_path / "out"), "--save", str(saved)]) == 0
    first = capsys.readouterr().out.splitlines()[:-1]
    assert main(["overlay", str(saved), "--out", str(tmp_path / "again.png")]) == 0
    assert capsys.readouterr().out.splitlines()[:-1] == first
    assert main(["overlay", str(saved), "--out", str(tmp_path / "again.png"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)
    for option in ("--extrapolate", "--approach"):
        assert main(["overlay", str(tmp_path / "out"), option]) == 2
        assert "input_dim" in capsys.readouterr().err


def test_a_wrong_theory_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Coin, "predict_at", lambda self, parameters: {"mean": parameters["bias"] + 0.2})
    assert main(["run", str(write(tmp_path / "e.toml", document())), "--out", str(tmp_path / "out")]) == 0
    (point,) = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))["points"]
    assert point["z_scores"]["mean"] < -5


def test_the_same_seed_gives_the_same(tmp_path: Path) -> None:
    experiment = write(tmp_path / "e.toml", document())
    for name in ("one", "two"):
        assert main(["run", str(experiment), "--out", str(tmp_path / name)]) == 0
    digests = {
        json.loads((tmp_path / name / "summary.json").read_text(encoding="utf-8"))["points"][0]["digest"]
        for name in ("one", "two")
    }
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"coin": {"tosses": 0}}, "coin.tosses"),
        ({"coin": {"tosses": 8, "bais": 1.0}}, "coin.bais is not a known key; did you mean 'bias'?"),
        ({"system": {"kind": "coins"}}, "system.kind = 'coins' is not known; did you mean 'coin'? use one of"),
        ({"sampler": {"kind": "hmc"}}, "[sampler] is not a known key"),
        ({"run": {"instances": 1}}, "run.instances"),
        ({"run": {"instances": 4, "blocks": 5}}, "run.blocks = 5 does not divide run.instances = 4; use 1 to 4"),
    ],
)
def test_typos_are_refused(
    changed: dict[str, Any], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment = write(tmp_path / "e.toml", {**document(), **changed})
    assert main(["run", str(experiment), "--out", str(tmp_path / "out")]) == 2
    assert said in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_what_is_for_chains_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    experiment = write(tmp_path / "e.toml", document())
    assert main(["plan", str(experiment)]) == 2
    assert "coin has no chains to plan for" in capsys.readouterr().err
    calibrated = ["--calibration", str(experiment)]
    assert main(["run", str(experiment), "--out", str(tmp_path / "out"), *calibrated]) == 2
    assert "coin has nothing to calibrate; leave it out" in capsys.readouterr().err
    assert main(["run", str(experiment), "--out", str(tmp_path / "out")]) == 0
    assert main(["status", str(tmp_path / "out")]) == 0
    assert "1 done" in capsys.readouterr().out
    assert main(["audit", str(tmp_path / "out")]) == 2
    assert main(["export", str(tmp_path / "out"), str(tmp_path / "x.h5")]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_systems_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["systems"]) == 0
    said = capsys.readouterr().out
    assert "arXiv 2505.03577" in said and "coin" in said and "The mean of normal tosses about a bias." in said
    assert main(["systems", "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)) == set(systems.SYSTEMS)
