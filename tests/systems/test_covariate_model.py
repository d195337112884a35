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
from nishimori.description.activations import ACTIVATIONS
from nishimori.description.errors import BadInput
from nishimori.models.inputs import HiddenManifoldInputs, InputGenerator, ModuleInputs
from nishimori.systems.covariate_model import CovariateModel
from nishimori.systems.covariate_model.learning import learnt, loss_values
from nishimori.systems.simulation import deviation
from nishimori.theory.convex_losses import HINGE, HUBER, LOGISTIC, LOSSES, SQUARE_OF_MARGIN, Loss

EXPERIMENT: dict[str, Any] = {
    "system": {"kind": "covariate_model"},
    "network": {"input_dim": 120},
    "inputs": {"kind": "correlated", "latent_ratio": 1.5},
    "labels": {"kind": "linear", "noise_variance": 0.2, "latent_exponent": 0.25},
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


@pytest.mark.parametrize("inputs", [{"kind": "correlated", "latent_ratio": 0.6, "correlation": 1.0}, MANIFOLD])
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
        assert ("classification_error, Bayes-optimal" in point["theory"]) == (inputs["kind"] == "correlated")


def test_ridge_with_the_noise_variance_is_the_posterior_mean_where_both_see_the_same(tmp_path: Path) -> None:
    """However that is said."""
    inputs = {"kind": "power_law", "exponent": 0.5}
    labels = {"kind": "linear", "noise_variance": 0.2, "acts_on": "inputs"}
    assert run(tmp_path, inputs=inputs, labels=labels) == 0
    (point,) = points(tmp_path)
    for found in ({name: one["value"] for name, one in point["estimates"].items()}, point["theory"]):
        tolerance = 1e-9 if "value" in found else 0.05
        assert found["generalization_error"] == pytest.approx(found["bayes_error"] + 0.2, rel=tolerance)
    measured = point["estimates"]
    assert measured["generalization_error"]["value"] - 0.2 == pytest.approx(measured["bayes_error"]["value"], rel=1e-9)


def test_without_noise_there_is_no_posterior(tmp_path: Path) -> None:
    inputs = {"kind": "correlated", "correlation": 1.0, "directions": "shared"}
    assert run(tmp_path, inputs=inputs, labels={"kind": "linear", "noise_variance": 0.0}) == 0
    assert set(points(tmp_path)[0]["z_scores"]) == {"generalization_error", "training_loss"}


def test_what_a_teacher_acts_on_can_be_said_in_three_ways() -> None:
    """z = Omega^(1/2) c of independent inputs is x; and c is what whitens x, where x has all of it."""
    system, common = CovariateModel(), {"channel": "gaussian", "noise_variance": 0.1, "input_dim": 30}
    common |= {"loss": "square", "regularisation": 0.1, "sample_ratio": 2.0, "inputs": "power_law"}
    same, also = (
        {**common, "inputs_exponent": 0.5, "acts_on": "inputs"},
        {**common, "inputs_exponent": 0.5, "latent_exponent": 0.5},
    )
    correlated = {"inputs": "correlated", "inputs_directions": "shared", "inputs_latent_ratio": 1.0}
    third = {**common, **correlated, "inputs_exponent": 0.5, "inputs_correlation": 1.0, "latent_exponent": 0.5}
    expected = system.predict_at(same)
    for parameters in (also, third):
        assert system.predict_at(parameters) == pytest.approx(expected, rel=1e-9)
    whitened = system.predict_at({**common, "inputs_exponent": 0.5})
    assert abs(whitened["mutual_information_per_dim"] - expected["mutual_information_per_dim"]) > 0.03


def own_inputs(input_dim: int) -> InputGenerator:
    return HiddenManifoldInputs(input_dim, input_dim // 6, ACTIVATIONS["tanh"], seed=5)


def log_cosh(residuals: np.ndarray) -> np.ndarray:
    return np.logaddexp(residuals, -residuals) - math.log(2)


LOG_COSH = Loss(log_cosh, np.tanh, "residual", "log_cosh", lambda residuals: 1 - np.tanh(residuals) ** 2)


def test_a_generator_and_a_loss_of_ones_own_are_beside_their_theory() -> None:
    """And that of inputs that are not correlated as these are is far away."""
    system = CovariateModel(losses=(*LOSSES, LOG_COSH), generator=own_inputs)
    document = {
        **EXPERIMENT,
        "inputs": "gaussian",
        "loss": {"kind": "log_cosh", "regularisation": 0.2},
        "data": {"sample_ratio": 1.5, "test_samples": 4000},
    }
    config = system.resolve(document)
    for name, one in system.measure(config, range(24), lambda *told: None).items():
        assert one.predicted is not None and abs(deviation(one.values, one.predicted, None)) < 3.5
        plain = CovariateModel((*LOSSES, LOG_COSH)).predict_at(system.parameters(config))
        error = one.values.std(ddof=1) / math.sqrt(len(one.values))
        assert abs(one.values.mean() - plain[name]) > 5 * error
    with pytest.raises(BadInput, match="the generator makes 8 inputs"):
        CovariateModel(generator=lambda dim: ModuleInputs(torch.nn.Linear(4, 8), 4)).measure(config, range(1), print)


def test_huber_agrees_with_its_theory(tmp_path: Path) -> None:
    """With noise beyond its corners, where it is far from square."""
    labels = {"kind": "linear", "noise_variance": 4.0}
    assert run(tmp_path, labels=labels, loss={"kind": "huber", "regularisation": 0.5}) == 0
    (point,) = points(tmp_path)
    assert all(abs(z) < 3.5 for z in point["z_scores"].values())
    square = CovariateModel().predict_at({**point["parameters"], "loss": "square"})["training_loss"]
    measured = point["estimates"]["training_loss"]
    assert abs(measured["value"] - square) > 8 * measured["standard_error"]


@pytest.mark.parametrize("samples", [9, 40])
@pytest.mark.parametrize("loss", [SQUARE_OF_MARGIN, HUBER, LOGISTIC, HINGE], ids=lambda loss: loss.name)
def test_what_is_learnt_has_the_least_cost(loss: Loss, samples: int) -> None:
    """Of a general method's, on slack variables for the hinge; and less than of any weights near by."""
    generator = np.random.default_rng(samples)
    inputs, labels = generator.standard_normal((samples, 12)), np.sign(generator.standard_normal(samples))
    tensors = torch.tensor(inputs), torch.tensor(labels)
    weights, training_loss = learnt(loss, *tensors, 0.3)

    def cost(place: np.ndarray) -> float:
        values = loss_values(loss, tensors[0] @ torch.tensor(place), tensors[1])
        return float(values.sum()) + 0.15 * float(place @ place)

    assert training_loss == pytest.approx((cost(weights.numpy()) - 0.15 * float(weights @ weights)) / samples)
    least = cost(weights.numpy())
    for size in (1e-4, 1e-2, 1.0):
        assert all(cost(weights.numpy() + size * generator.standard_normal(12)) > least for _ in range(20))
    if loss == HINGE:
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
    for loss in (LOGISTIC, HINGE):
        with pytest.raises(RuntimeError, match=f"the {loss.name} loss was not minimised"):
            learnt(loss, *tensors, 0.01)
    absolute = Loss(np.abs, np.sign, "residual", "absolute", kinks=(0.0,))
    with pytest.raises(ValueError, match="loss 'absolute' has kinks"):
        learnt(absolute, *tensors, 0.01)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"loss": {"kind": "logistic"}}, "labels.kind = 'linear'; take square or huber"),
        ({"loss": {"kind": "hubert"}}, "loss.kind = 'hubert' is not known; did you mean 'huber'?"),
        ({"loss": {"regularisation": 0}}, "loss.regularisation"),
        ({"labels": {"kind": "signs"}}, "did you mean 'sign'?"),
        ({"labels": {"noise_variance": -1}}, "labels.noise_variance"),
        ({"inputs": {"kind": "hidden_manifold", "exponent": 1.0}}, "inputs.exponent does not go with inputs.kind"),
        ({"inputs": {"kind": "hidden_manifold", "activation": "sign"}}, "inputs.latent_ratio is missing; add it"),
        ({"inputs": {"kind": "covariance", "file": "no.npy"}}, "no.npy': no such file"),
        ({"labels": {"acts_on": "inputs", "latent_exponent": 1.0}}, "remove it or labels.acts_on"),
        ({"inputs": {"kind": "correlated", "correlation": 1.5}}, "inputs.correlation"),
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
