"""The Gaussian covariate model: what is learnt of data sets beside the state evolution, its inputs, and bad input."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from experiments import write
from scipy import optimize

from nishimori.cli import main
from nishimori.systems.covariate_model.inputs import InputsSection, settings, source
from nishimori.systems.covariate_model.learning import learnt, loss_values
from nishimori.systems.covariate_model.system import CovariateModel

EXPERIMENT: dict[str, Any] = {
    "system": {"kind": "covariate_model"},
    "network": {"input_dim": 120},
    "inputs": {"kind": "gaussian", "latent_ratio": 1.5, "latent_exponent": 0.25},
    "labels": {"kind": "linear", "noise_variance": 0.2},
    "loss": {"kind": "square", "regularisation": 0.2},
    "data": {"sample_ratio": 1.5},
    "run": {"instances": 24, "device": "cpu"},
}
MANIFOLD = {"kind": "hidden_manifold", "latent_ratio": 0.5, "activation": "erf"}


def run(home: Path, *options: str, **changed: Any) -> int:
    experiment = write(home / "e.toml", {**EXPERIMENT, **changed})
    return main(["run", str(experiment), "--out", str(home / "out"), *options])


def points(home: Path) -> list[dict[str, Any]]:
    return json.loads((home / "out" / "summary.json").read_text(encoding="utf-8"))["points"]


def test_ridge_and_the_posterior_agree_with_their_theory(tmp_path: Path) -> None:
    """At three ratios, k > p and nothing white; the theory of another regularisation is far away."""
    assert run(tmp_path, sweep={"data.sample_ratio": [0.5, 1.0, 3.0]}) == 0
    for point in points(tmp_path):
        assert point["main"] == "generalization_error" and all(abs(z) < 3.5 for z in point["z_scores"].values())
        assert set(point["z_scores"]) == {
            *("generalization_error", "training_loss", "bayes_error", "mutual_information_per_dim")
        }
        other = CovariateModel().predict_at({**point["parameters"], "regularisation": 3.2})
        measured = point["estimates"]["training_loss"]
        assert abs(measured["value"] - other["training_loss"]) > 8 * measured["standard_error"]
        assert point["theory"]["bayes_error"] + 0.2 < point["theory"]["generalization_error"]


@pytest.mark.parametrize("inputs", [{"kind": "gaussian", "latent_ratio": 0.6, "correlation": 1.0}, MANIFOLD])
@pytest.mark.parametrize("loss", ["logistic", "hinge", "square"])
def test_classes_agree_with_their_theory(loss: str, inputs: dict[str, Any], tmp_path: Path) -> None:
    """Errors of Gaussian inputs are exact, given the weights."""
    changed = {
        "inputs": inputs,
        "labels": {"kind": "sign", "noise_variance": 0.1},
        "loss": {"kind": loss, "regularisation": 0.1},
        "data": {"sample_ratio": 1.0, "test_samples": 2000},
        "run": {"instances": 12, "device": "cpu"},
        "sweep": {"data.sample_ratio": [1.2, 2.5]},
    }
    assert run(tmp_path, **changed) == 0
    for point in points(tmp_path):
        assert point["main"] == "classification_error" and all(abs(z) < 3.5 for z in point["z_scores"].values())
        assert ("bayes_classification_error" in point["theory"]) == (inputs["kind"] == "gaussian")


def test_ridge_with_the_noise_variance_is_the_posterior_mean_where_both_see_the_same(tmp_path: Path) -> None:
    inputs = {"kind": "gaussian", "latent_exponent": 0.5, "correlation": 1.0, "directions": "shared"}
    assert run(tmp_path, inputs=inputs) == 0
    (point,) = points(tmp_path)
    for found in ({name: one["value"] for name, one in point["estimates"].items()}, point["theory"]):
        tolerance = 1e-9 if "value" in found else 0.05
        assert found["generalization_error"] == pytest.approx(found["bayes_error"] + 0.2, rel=tolerance)
    measured = point["estimates"]
    assert measured["generalization_error"]["value"] - 0.2 == pytest.approx(measured["bayes_error"]["value"], rel=1e-9)


def test_without_noise_there_is_no_posterior(tmp_path: Path) -> None:
    inputs = {"kind": "gaussian", "correlation": 1.0, "directions": "shared"}
    assert run(tmp_path, inputs=inputs, labels={"kind": "linear", "noise_variance": 0.0}) == 0
    assert set(points(tmp_path)[0]["z_scores"]) == {"generalization_error", "training_loss"}


@pytest.mark.parametrize(
    ("count", "section"),
    [
        (6, InputsSection(latent_ratio=1.5, latent_exponent=1.0, correlation=0.7)),
        (6, InputsSection(latent_ratio=0.5, correlation=0.7)),
        (6, InputsSection(latent_ratio=0.5, directions="shared", correlation=1.0)),
        (8, InputsSection(kind="hidden_manifold", latent_ratio=60.0)),
        (8, InputsSection(kind="hidden_manifold", latent_ratio=60.0, activation="relu")),
    ],
    ids=["wide", "narrow", "shared", "sign", "relu"],
)
def test_rows_have_the_covariance_that_theory_is_told(count: int, section: InputsSection) -> None:
    given, rows = source(count, settings(section)), 40_000
    normals = torch.tensor(np.random.default_rng(3).standard_normal((rows, given.numbers)))
    inputs, latents = (one.numpy() for one in given.rows(normals))
    covariance, latents = given.covariance, latents[:, :12]
    for left, right, expected in (
        (inputs, inputs, covariance.omega),
        (inputs, latents, covariance.phi[:, :12]),
        (latents, latents, covariance.psi[:12, :12]),
    ):
        products = left[:, :, None] * right[:, None, :]
        z = (products.mean(0) - expected) / (products.std(0) / math.sqrt(rows) + 1e-12)
        assert np.abs(z).max() < 4.5 and abs(float(np.mean(z**2)) - 1) < 0.9


def test_the_same_inputs_for_all_points_and_others_by_seed() -> None:
    one, same, other = (source(20, settings(InputsSection(seed=seed))).covariance.phi for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 0.1


@pytest.mark.parametrize("samples", [9, 40])
@pytest.mark.parametrize("kind", ["square", "logistic", "hinge"])
def test_what_is_learnt_has_the_least_cost(kind: str, samples: int) -> None:
    """Of a general method's, on slack variables for the hinge; and less than of any weights near by."""
    generator = np.random.default_rng(samples)
    inputs, labels = generator.standard_normal((samples, 12)), np.sign(generator.standard_normal(samples))
    tensors = torch.tensor(inputs), torch.tensor(labels)
    weights, training_loss = learnt(kind, *tensors, 0.3)

    def cost(place: np.ndarray) -> float:
        values = loss_values(kind, tensors[0] @ torch.tensor(place), tensors[1])
        return float(values.sum()) + 0.15 * float(place @ place)

    assert training_loss == pytest.approx((cost(weights.numpy()) - 0.15 * float(weights @ weights)) / samples)
    least = cost(weights.numpy())
    for size in (1e-4, 1e-2, 1.0):
        assert all(cost(weights.numpy() + size * generator.standard_normal(12)) > least for _ in range(20))
    if kind == "hinge":
        found = optimize.minimize(
            lambda x: x[12:].sum() + 0.15 * x[:12] @ x[:12],
            np.concatenate([np.zeros(12), np.ones(samples)]),
            jac=lambda x: np.concatenate([0.3 * x[:12], np.ones(samples)]),
            bounds=[(None, None)] * 12 + [(0, None)] * samples,
            constraints={
                "type": "ineq",
                "fun": lambda x: labels * (inputs @ x[:12]) - 1 + x[12:],
                "jac": lambda x: np.hstack([labels[:, None] * inputs, np.eye(samples)]),
            },
            method="SLSQP",
            options={"maxiter": 500, "ftol": 1e-12},
        )
        assert least == pytest.approx(found.fun, rel=1e-7)


def test_a_minimum_that_is_not_reached_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from nishimori.systems.covariate_model import learning

    monkeypatch.setitem(learning.OPTIONS, "maxiter", 1)
    generator = np.random.default_rng(0)
    tensors = torch.tensor(generator.standard_normal((30, 8))), torch.tensor(np.sign(generator.standard_normal(30)))
    for kind in ("logistic", "hinge"):
        with pytest.raises(RuntimeError, match=f"the {kind} loss was not minimised"):
            learnt(kind, *tensors, 0.01)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"loss": {"kind": "logistic"}}, "loss.kind = 'logistic' is for classes"),
        ({"loss": {"kind": "huber"}}, "loss.kind = 'huber' is not known"),
        ({"loss": {"regularisation": 0}}, "loss.regularisation"),
        ({"labels": {"kind": "signs"}}, "did you mean 'sign'?"),
        ({"labels": {"noise_variance": -1}}, "labels.noise_variance"),
        ({"inputs": {"kind": "hidden_manifold", "exponent": 1.0}}, "inputs.exponent is not of inputs.kind"),
        ({"inputs": {"kind": "gaussian", "correlation": 1.5}}, "inputs.correlation"),
        ({"inputs": {"latent_ration": 1.5}}, "did you mean 'latent_ratio'?"),
        ({"data": {"test_samples": 10}}, "data.sample_ratio is missing; add it"),
        ({"network": {}}, "network.input_dim is missing; add it"),
    ],
)
def test_bad_input_is_a_sentence(
    changed: dict[str, Any], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, **changed) == 2
    assert said in capsys.readouterr().err and not (tmp_path / "out").exists()
