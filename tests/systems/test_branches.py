"""An experiment with as many samples as weights: both branches measured, drawn and predicted, and disagreement told."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from experiments import changed, write

from nishimori.cli import main
from nishimori.comparison.series import build_series
from nishimori.comparison.tables import comparison_table
from nishimori.description.experiment import load_experiment
from nishimori.systems import SYSTEMS

SETTINGS = {
    "network": {"input_dim": 8, "depth": 1, "activation": "tanh2_nonlinear", "readout": "fixed"},
    "data": {"instances": 8, "test_samples": 50, "seed": 3},
    "sampler": {"kind": "hmc", "chains": 1, "step_size": 0.05, "num_steps": 14},
    "run": {"warmup": 25, "draws": 25},
    "observables": {"layer_overlaps": ["weights"]},
    "sweep": {"data.sample_ratio": [1.0, 13.0]},
}
PREDICT = SYSTEMS["matched_teacher"].predict_at


@pytest.fixture(scope="module")
def points(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """At n = d, and where the informed branch is just the equilibrium."""
    home = tmp_path_factory.mktemp("branches")
    experiment = write(home / "experiment.toml", changed(**SETTINGS))
    assert main(["run", str(experiment), "--out", str(home / "out")]) == 3
    assert (home / "out" / "overlay.png").stat().st_size > 10_000
    summaries = [json.loads(path.read_text()) for path in (home / "out").glob("points/*/summary.json")]
    return sorted(summaries, key=lambda summary: summary["parameters"]["sample_ratio"])


def test_branches_that_disagree_fail_the_verdict(points: list[dict[str, Any]]) -> None:
    """The first sentence at the second point says so, and the first point, below the spinodal, has no such one."""
    first, second = (summary["verdict"]["failures"] for summary in points)
    assert second[0].startswith("chains from the teacher and from the prior stay in different branches")
    assert any(failure.startswith("gibbs_error: R-hat") for failure in second)
    assert not any("branches" in failure for failure in first)


def test_estimates_by_start_stand_beside_their_branches(points: list[dict[str, Any]]) -> None:
    for summary in points:
        estimates, theory = summary["estimates"], summary["theory"]
        assert theory["basis"] == "conjecture"
        for branch in ("informed", "uninformed"):
            half = estimates[f"{branch}_gibbs_error"]["value"] / 2
            assert estimates[f"{branch}_bayes_error"]["value"] == pytest.approx(half, rel=1e-14)
        assert {"uninformed_bayes_error", "uninformed_weight_overlap_1"} <= summary["z_scores"].keys()
    below, above = (summary["theory"] for summary in points)
    assert "informed_bayes_error" not in below and below["bayes_error"] == 1
    assert above["bayes_error"] == above["informed_bayes_error"] < 0.3
    estimates = points[1]["estimates"]
    assert estimates["informed_bayes_error"]["value"] < 0.6 * estimates["uninformed_bayes_error"]["value"]


def test_both_branches_are_drawn(points: list[dict[str, Any]]) -> None:
    together, informed, uninformed = build_series(points, "bayes_error", "sample_ratio", PREDICT)
    assert [line.branch for line in (together, informed, uninformed)] == ["", "informed", "uninformed"]
    assert not len(together.x) and list(informed.x) == list(uninformed.x) == [1.0, 13.0]
    assert together.theory == "as many samples as weights, a conjecture"
    assert together.curve[0] == 1 > 0.3 > together.curve[-1] == informed.curve[-1]
    assert np.isnan(informed.curve[0]) and (uninformed.curve == 1).all()


def test_the_table_says_what_theory_rests_on(points: list[dict[str, Any]]) -> None:
    assert comparison_table(points, "bayes_error").count("conjecture") == 2
    proved = {**points[0], "theory": {**points[0]["theory"], "basis": "theorem"}}
    assert "basis" not in comparison_table([proved], "bayes_error")


def test_ordinary_runs_have_no_branches(tmp_path: Path) -> None:
    experiment = write(tmp_path / "experiment.toml", changed(sampler__step_size=0.25, sampler__num_steps=5))
    assert main(["run", str(experiment), "--out", str(tmp_path / "out")]) in (0, 3)
    (summary,) = [json.loads(path.read_text()) for path in (tmp_path / "out").glob("points/*/summary.json")]
    assert not [name for name in summary["estimates"] if "informed" in name]


def test_a_committee_with_a_linear_part_has_no_theory_and_the_reason_is_said() -> None:
    config = load_experiment(Path(__file__).parents[2] / "scripts/experiments/specialisation.toml").points[0].config
    parameters = SYSTEMS["matched_teacher"].parameters(config)
    assert math.isclose(PREDICT(parameters)["bayes_error"], 1)
    with pytest.raises(ValueError, match="this one is fixed"):
        PREDICT({**parameters, "activation": "tanh2"})
