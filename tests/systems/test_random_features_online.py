"""Frozen random features: the descent, the plateau and the posterior of a run beside their theory, and bad input."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from experiments import write

from nishimori.cli import main
from nishimori.description.activations import activation
from nishimori.theory.random_features import plateau

EXPERIMENT: dict[str, Any] = {
    "system": {"kind": "random_features_online"},
    "network": {"input_dim": 60, "width_ratio": 1.5, "activation": "erf_sqrt2"},
    "descent": {"learning_rate": 0.5, "times": [1.0, 4.0, 12.0]},
    "posterior": {"sample_ratio": 2.0, "noise_variance": 0.05},
    "run": {"instances": 24, "device": "cpu"},
}


def run(home: Path, *options: str, **changed: Any) -> int:
    experiment = write(home / "e.toml", {**EXPERIMENT, **changed})
    return main(["run", str(experiment), "--out", str(home / "out"), *options])


def points(home: Path) -> list[dict[str, Any]]:
    return json.loads((home / "out" / "summary.json").read_text(encoding="utf-8"))["points"]


@pytest.mark.parametrize("name", ["erf_sqrt2", "tanh", "relu"])
def test_a_run_agrees_with_its_theory(name: str, tmp_path: Path) -> None:
    assert run(tmp_path, "--set", f"network.activation={name}") == 0
    (point,) = points(tmp_path)
    assert max(abs(z) for z in point["curves"]["error"]["z"]) < 3.5
    assert abs(point["z_scores"]["posterior_mean_error"]) < 3.5
    limit = plateau(activation(name), 1.5)
    measured = point["estimates"]["plateau"]
    assert measured["value"] == pytest.approx(limit, abs=3 * measured["standard_error"] + 0.08 * limit)
    assert point["theory"]["plateau"] == limit


def test_a_learning_rate_above_the_bound_diverges_as_predicted(tmp_path: Path) -> None:
    """learning_rate * width_ratio = 6.6 > 6: theory and descent grow alike."""
    assert run(tmp_path, "--set", "descent.learning_rate=4.4", "descent.times=[2.0, 10.0]") == 0
    (point,) = points(tmp_path)
    curve = point["curves"]["error"]
    assert curve["value"][1] > 3 * curve["value"][0] and curve["theory"][1] > 3 * curve["theory"][0]


def test_points_do_not_depend_on_how_many_instances_there_are(tmp_path: Path) -> None:
    """The first instances of a longer run are those of a shorter one, as addresses make them."""
    from nishimori.models.addressed import Draws
    from nishimori.systems.random_features_online.descent import descend, features_drawn

    found = []
    for count in (3, 5):
        draws = Draws.of(0, "0" * 12, range(count))
        drawn = features_drawn(activation("tanh"), 20, 30, 1, draws)
        found.append(descend(drawn, 0.5, (1.0, 2.0), draws, lambda *told: None)[:3])
    np.testing.assert_allclose(found[0], found[1], rtol=1e-10)


def test_what_is_for_chains_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = {"network": {"input_dim": 20, "width_ratio": 1.0}, "descent": {"times": [1.0]}}
    assert run(tmp_path, **small, sweep={"network.units": [1, 2]}) == 0
    capsys.readouterr()
    out = str(tmp_path / "out")
    assert main(["audit", out]) == 2
    assert "random_features_online has no segments to audit; run it again" in capsys.readouterr().err
    assert main(["export", out, str(tmp_path / "x.h5"), "--point", points(tmp_path)[0]["id"]]) == 2
    assert "random_features_online has no draws to export; its values are in" in capsys.readouterr().err
    assert main(["status", out]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["point", "state", "disk", "verdict"]
    assert [line.split()[:2] for line in lines[2:4]] == [["units=1", "done"], ["units=2", "done"]]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"descent": {"times": [2.0, 1.0]}}, "descent.times must grow"),
        ({"descent": {"times": []}}, "descent.times"),
        ({"descent": {"learning_rate": 0}}, "descent.learning_rate"),
        ({"network": {"input_dim": 60}}, "network.width_ratio is missing; add it"),
        ({"network": {"input_dim": 60, "width_ratio": 1, "activation": "tahn"}}, "did you mean 'tanh'?"),
        ({"posterior": {"sample_ratio": 2.0}}, "posterior.noise_variance is missing"),
    ],
)
def test_bad_input_is_a_sentence(
    changed: dict[str, Any], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, **changed) == 2
    assert said in capsys.readouterr().err and not (tmp_path / "out").exists()
