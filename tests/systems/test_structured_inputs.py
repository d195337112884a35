"""Matched teachers with structured inputs: against an exact posterior and their Gaussian equivalent, and bad input."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from experiments import write

from nishimori.cli import main
from nishimori.description.config import InputsSection
from nishimori.description.inputs import input_parameters, inputs_named
from nishimori.models.named_moments import spectrum_named
from nishimori.systems import load_experiment

MANIFOLD = {"kind": "hidden_manifold", "latent_ratio": 0.5, "activation": "sign"}
EXPERIMENT: dict[str, Any] = {
    "network": {"input_dim": 24, "widths": [24], "activation": "erf"},
    "channel": {"noise_variance": 0.1},
    "data": {"sample_ratio": 2.0, "instances": 24, "test_samples": 200, "inputs": MANIFOLD},
    "sampler": {"kind": "hmc", "chains": 1, "target": "plain"},
    "run": {"warmup": 60, "draws": 100, "device": "cpu"},
}


def run(home: Path, **changed: Any) -> int:
    return main(["run", str(write(home / "e.toml", {**EXPERIMENT, **changed})), "--out", str(home / "out")])


def points(home: Path) -> list[dict[str, Any]]:
    return json.loads((home / "out" / "summary.json").read_text(encoding="utf-8"))["points"]


def data(**changed: Any) -> dict[str, Any]:
    return {**EXPERIMENT["data"], **changed}


def test_a_linear_model_has_the_error_of_its_exact_posterior(tmp_path: Path) -> None:
    """Without hidden layers the posterior is Gaussian: its error is averaged here over data sets of another origin."""
    inputs = {"kind": "power_law", "exponent": 1.0}
    linear = {"input_dim": 24, "widths": []}
    assert run(tmp_path, network=linear, data=data(inputs=inputs, instances=40)) in (0, 3)
    (point,) = points(tmp_path)
    spectrum = spectrum_named(InputsSection(**inputs), 24)
    assert spectrum is not None
    generator, errors = np.random.default_rng(0), []
    for _ in range(400):
        rows = generator.standard_normal((48, 24)) * np.sqrt(spectrum / 24)
        errors.append(np.trace(np.diag(spectrum / 24) @ np.linalg.inv(np.eye(24) + rows.T @ rows / 0.1)))
    measured = point["estimates"]["bayes_error"]
    error = math.hypot(measured["standard_error"], np.std(errors) / 20)
    assert abs(measured["value"] - np.mean(errors)) < 4 * error
    assert point["theory"]["bayes_error"] == pytest.approx(np.mean(errors), rel=0.12)
    assert point["theory"]["basis"] == "conjecture"


def test_true_and_equivalent_inputs_have_one_theory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, sweep={"data.inputs.equivalent": [False, True]}) in (0, 3)
    said = capsys.readouterr().out
    assert "inputs" in said and "hidden_manifold" in said and "conjecture" in said
    true, equivalent = points(tmp_path)
    assert true["theory"] == equivalent["theory"] and true["id"] != equivalent["id"]
    assert "inputs_equivalent" not in true["parameters"] and equivalent["parameters"]["inputs_equivalent"]
    apart = [one["estimates"]["bayes_error"] for one in (true, equivalent)]
    error = math.hypot(*(one["standard_error"] for one in apart))
    assert abs(apart[0]["value"] - apart[1]["value"]) < 4 * error
    again = main(["run", str(tmp_path / "e.toml"), "--out", str(tmp_path / "out"), "--json"])
    assert again in (0, 3) and len(json.loads(capsys.readouterr().out)["points"]) == 2


def test_without_inputs_an_experiment_is_what_it_was(tmp_path: Path) -> None:
    """The identity of a point, which addresses its random numbers, is as before there were structured inputs."""
    plain = {**EXPERIMENT, "data": {key: value for key, value in EXPERIMENT["data"].items() if key != "inputs"}}
    said = {**plain, "data": {**plain["data"], "inputs": "gaussian"}}
    table = {**plain, "data": {**plain["data"], "inputs": {"kind": "gaussian"}}}
    found = {load_experiment(write(tmp_path / "e.toml", one)).points[0].identity for one in (plain, said, table)}
    assert len(found) == 1


def test_a_covariance_file_is_part_of_the_experiment(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "covariance.npy"
    np.save(file, np.diag(np.linspace(0.5, 1.5, 24)))
    inputs = {"kind": "covariance", "file": str(file)}
    small = data(inputs=inputs, instances=2)
    assert run(tmp_path, data=small) in (0, 3)
    (point,) = points(tmp_path)
    np.save(file, np.eye(24))
    capsys.readouterr()
    assert main(["resume", str(tmp_path / "out")]) == 2
    assert "is not what it was when the run began" in capsys.readouterr().err
    assert points(tmp_path) == [point]


def test_parameters_say_what_the_inputs_are() -> None:
    for inputs in (
        InputsSection(kind="power_law", exponent=1.5),
        InputsSection(kind="hidden_manifold", latent_ratio=0.5, activation="relu", depth=3, equivalent=True),
    ):
        assert inputs_named(input_parameters(inputs)) == inputs
    assert inputs_named(input_parameters("gaussian")) == "gaussian"


def test_the_spectrum_is_that_of_the_layers_of_the_run() -> None:
    from nishimori.models.named_inputs import generator_of

    inputs = InputsSection(kind="hidden_manifold", latent_ratio=0.5, activation="sign", depth=2, seed=3)
    own = np.linalg.eigvalsh(generator_of(inputs, 60).moments.covariance)
    found = spectrum_named(inputs, 60)
    assert found is not None
    np.testing.assert_allclose(found, own.clip(0), atol=1e-9)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"data": data(inputs="gausian")}, "data.inputs"),
        ({"data": data(inputs={"kind": "manifold"})}, "data.inputs.kind = 'manifold' is not known"),
        ({"data": data(inputs={"kind": "power_law"})}, "data.inputs.exponent is missing"),
        ({"data": data(inputs={**MANIFOLD, "activation": "sgn"})}, "did you mean 'sign'?"),
        ({"data": data(inputs={**MANIFOLD, "latnt": 1})}, "data.inputs.latnt is not a known key"),
        ({"control": {"data_sets": 4}}, "control.data_sets draws data sets with independent inputs"),
        ({"sweep": {"data.inputs.kind.deep": [1]}}, "[data.inputs.kind] must be a table"),
    ],
)
def test_bad_input_is_a_sentence(
    changed: dict[str, Any], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, **changed) == 2
    assert said in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_covariance_files_that_are_none_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "covariance.npy"
    for write_it, said in [
        (lambda: file.write_text("no numbers"), "is no .npy array"),
        (lambda: np.save(file, np.array([object()]), allow_pickle=True), "is no .npy array"),
        (lambda: np.save(file, np.eye(7)), "must hold a [24, 24] matrix"),
        (lambda: np.save(file, np.triu(np.ones((24, 24)))), "must be a symmetric matrix"),
        (lambda: np.save(file, -np.eye(24)), "no negative eigenvalues"),
    ]:
        write_it()
        assert run(tmp_path, data=data(inputs={"kind": "covariance", "file": str(file)})) == 2
        assert said in capsys.readouterr().err
