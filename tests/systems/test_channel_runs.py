"""Experiments with other channels than the Gaussian one: run, joined with theory, laid over it and read back."""

import json
from pathlib import Path
from typing import Any

import pytest
from experiments import changed, write

import nishimori as nm
from nishimori.cli import main
from nishimori.comparison.series import build_series
from nishimori.description.build import channel_of
from nishimori.description.experiment import expand
from nishimori.systems import SYSTEMS

QUICK = {"sampler__step_size": 0.25, "sampler__num_steps": 5}
CLASSES = {"classification_error", "gibbs_classification_error"}
COMMON = {"overlap", "bayes_error", "gibbs_error", "generalization_error", "train_mmse", "function_overlap"}


def run(home: Path, **settings: Any) -> dict[str, dict[str, Any]]:
    """The summaries of all points, by channel."""
    experiment = write(home / "experiment.toml", changed(**QUICK, **settings))
    assert main(["run", str(experiment), "--out", str(home / "out")]) in (0, 3)
    assert (home / "out" / "overlay.png").stat().st_size > 10_000
    summaries = [json.loads(path.read_text()) for path in (home / "out").glob("points/*/summary.json")]
    return {summary["parameters"]["channel"]: summary for summary in summaries}


def test_kinds_can_be_swept_and_are_laid_over_their_theory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    points = run(tmp_path, sweep={"channel.kind": ["probit", "tanh", "relu"]})
    assert set(points) == {"probit", "tanh", "relu"}
    for kind, summary in points.items():
        joined = set(summary["z_scores"])
        assert joined >= (COMMON | CLASSES if kind == "probit" else COMMON)
        assert bool(joined & CLASSES) == (kind == "probit")
        assert summary["theory"]["basis"] == ("theorem" if kind == "tanh" else "conjecture")
        assert abs(summary["checks"]["train_log_likelihood"]["z"]) < 4
    capsys.readouterr()
    assert main(["overlay", str(tmp_path / "out"), "--observable", "classification_error", "--json"]) == 0
    assert [row["parameters"]["channel"] for row in json.loads(capsys.readouterr().out)["points"]] == ["probit"]
    predict = SYSTEMS["matched_teacher"].predict_at
    lines = build_series(list(points.values()), "generalization_error", "sample_ratio", predict)
    assert [line.label["channel"] for line in lines] == ["probit", "relu", "tanh"]
    assert all(len(line.curve) for line in lines)


def test_a_logistic_run_names_the_variance_of_its_noise_and_is_read_back(tmp_path: Path) -> None:
    few = {"method": "chain_rule", "nodes": 2, "warmup": 5, "draws": 10}
    (summary,) = run(tmp_path, channel={"kind": "logistic", "temperature": 0.3}, information=few).values()
    channel = nm.LogisticChannel(0.3)
    assert summary["parameters"]["noise_variance"] == pytest.approx(channel.noise_variance)
    predicted = nm.theory.predict(nm.Network(1, (1,), "tanh"), channel, 1.0)
    assert summary["theory"]["classification_error"] == pytest.approx(predicted.classification_error, rel=1e-12)
    assert {"mutual_information", "log_evidence"} <= summary["z_scores"].keys()
    loaded = nm.load(tmp_path / "out")
    assert {check.name: check.z for check in loaded.checks} == {
        name: pytest.approx(check["z"], rel=1e-9) for name, check in summary["checks"].items()
    }
    for name in (*COMMON, *CLASSES):
        assert loaded.estimates[name].value == pytest.approx(summary["estimates"][name]["value"], rel=1e-12)


def test_channels_of_experiments() -> None:
    def channel(**section: Any) -> Any:
        return channel_of(expand(changed(channel=section)).points[0].config)

    assert channel(noise_variance=0.2) == nm.GaussianChannel(0.2)
    assert channel(kind="probit", noise_variance=0.2) == nm.ProbitChannel(0.2)
    assert channel(kind="logistic", temperature=0.2) == nm.LogisticChannel(0.2)
    assert channel(kind="relu", noise_variance=0.2) == nm.OutputChannel("relu", 0.2)
