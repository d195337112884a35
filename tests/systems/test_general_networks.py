"""Experiments with biases, weight variances and an activation a layer: run, joined with theory, laid over it and read
back."""

import json
from pathlib import Path

import numpy as np
import pytest
from experiments import changed, write

import nishimori as nm
from nishimori.cli import main
from nishimori.comparison.series import build_series
from nishimori.systems import SYSTEMS

QUICK = {"sampler__step_size": 0.2, "sampler__num_steps": 5, "run__keep": "position"}
VALUES = {"network.activation": ["tanh", ["erf", "tanh"]], "network.bias_variance": [0.0, 0.4]}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four points of two hidden layers, two of them with biases."""
    home = tmp_path_factory.mktemp("general")
    layers = {"network__depth": 2, "network__weight_variance": [1.5, 1.0, 0.7], "network__input_dim": 10}
    experiment = write(home / "experiment.toml", changed(**QUICK, **layers, sweep=VALUES))
    assert main(["run", str(experiment), "--out", str(home / "out")]) in (0, 3)
    return home


def test_points_name_what_is_not_the_default_and_theory_uses_it(home: Path):
    summaries = [json.loads(path.read_text()) for path in (home / "out").glob("points/*/summary.json")]
    assert len(summaries) == 4
    for summary in summaries:
        parameters = summary["parameters"]
        bias = parameters.get("bias_variance", 0.0)
        assert parameters["weight_variance"] == [1.5, 1.0, 0.7]
        network = nm.Network(1, (1, 1), parameters["activation"], bias_variance=bias, weight_variance=(1.5, 1.0, 0.7))
        expected = nm.theory.predict(network, nm.GaussianChannel(0.1), 1.0)
        assert summary["theory"]["bayes_error"] == pytest.approx(expected.bayes_error, rel=1e-12)
        assert summary["theory"]["basis"] == ("conjecture" if bias else "theorem")
        assert {"bayes_error", "overlap", "function_overlap", "train_mmse"} <= summary["z_scores"].keys()
        norms = summary["diagnostics"]["layer_norms"]
        assert ("bias_norm_3" in norms) == bool(bias) and "layer_norm_3" in norms
    predict = SYSTEMS["matched_teacher"].predict_at
    lines = build_series(summaries, "bayes_error", "sample_ratio", predict)
    assert [set(line.label) for line in lines] == [{"activation", "bias_variance"}] * 4
    assert all(len(line.curve) for line in lines)


def test_the_overlay_and_its_table_say_them(home: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["overlay", str(home / "out")]) == 0
    shown = capsys.readouterr().out
    assert "erf,tanh" in shown and "weight_variance" in shown and "1.5,1,0.7" in shown and "bias_variance" in shown
    assert (home / "out" / "overlay.png").stat().st_size > 10_000


def test_a_run_is_read_back_with_its_network_and_its_positions(tmp_path: Path):
    experiment = write(
        tmp_path / "one.toml",
        changed(**QUICK, network__activation="relu", network__bias_variance=0.4, network__weight_variance=2.0),
    )
    assert main(["run", str(experiment), "--out", str(tmp_path / "out")]) in (0, 3)
    loaded = nm.load(tmp_path / "out")
    assert isinstance(loaded.target, nm.Posterior)
    problem = loaded.target.problem
    network = problem.network
    assert network == nm.Network(16, (16,), "relu", bias_variance=0.4, weight_variance=2.0)
    assert loaded.draws["position"].shape[-1] == network.num_parameters == 16 * 16 + 16 + 16 + 1
    rows, latent = problem.rows("test")[0], problem.known_teacher().test_latent[0]
    error = np.square(loaded.predict(rows).mean[0] - latent.numpy()).mean()
    assert error < 0.5 * float(latent.square().mean())


def test_another_network_does_not_go_into_the_same_directory(home: Path, capsys: pytest.CaptureFixture[str]):
    experiment = str(home / "experiment.toml")
    assert main(["run", experiment, "--out", str(home / "out"), "--set", "network.weight_variance=1.0"]) == 2
    assert "another experiment" in capsys.readouterr().err
