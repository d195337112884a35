"""Activations that are not odd: the conjectured linear model."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import special

from nishimori.description import ACTIVATIONS, Activation, GaussianChannel, Network, ProbitChannel
from nishimori.theory import OutsideTheTheorem, conjectured_linear_model, equivalent_linear_model, predict
from nishimori.theory.nngp import kernel

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "channel_theory.json").read_text())
RELU = ACTIVATIONS["relu"]
OWN_RELU = Activation(RELU.function, RELU.derivative, "own", smooth=False)
SOFTPLUS = Activation(lambda x: np.logaddexp(0, x), special.expit, "softplus")


def network(activation, depth):
    return Network(3, (2,) * depth, activation)


@pytest.mark.parametrize("activation", ["relu", OWN_RELU], ids=["closed form", "quadrature"])
@pytest.mark.parametrize("row", GOLDEN["relu_networks"]["rows"], ids=lambda row: str(row["depth"]))
def test_golden_relu(row, activation):
    model = conjectured_linear_model(network(activation, row["depth"]))
    assert model.eta**2 == pytest.approx(row["eta_squared"], abs=1e-10)
    assert model.gamma == pytest.approx(row["gamma"], abs=1e-10)


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("name", [name for name, entry in ACTIVATIONS.items() if entry.odd])
def test_odd_activations_have_the_coefficients_of_the_theorem(name, depth):
    conjectured, proved = (model(network(name, depth)) for model in (conjectured_linear_model, equivalent_linear_model))
    assert conjectured.eta**2 == pytest.approx(proved.eta**2, abs=1e-9)
    assert conjectured.gamma == pytest.approx(proved.gamma, abs=1e-9)
    assert conjectured.bias_variance == pytest.approx(0, abs=1e-12)
    assert conjectured.sigma == proved.sigma


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("activation", ["relu", OWN_RELU, SOFTPLUS], ids=["relu", "own", "softplus"])
def test_variance_is_conserved_and_the_gain_is_the_slope_of_the_kernel(activation, depth):
    model = conjectured_linear_model(network(activation, depth))
    assert model.bias_variance + model.eta**2 + model.gamma == pytest.approx(model.sigma[-1], rel=1e-12)
    (phi,) = set(network(activation, depth).activations)
    step, values = 1e-4, []
    for covariance in (0.0, step, 2 * step):
        for variance in model.sigma[:-1]:
            covariance = kernel(phi, variance, covariance)[0]
        values.append(covariance)
    slope = (-3 * values[0] + 4 * values[1] - values[2]) / (2 * step)
    assert slope == pytest.approx(model.eta**2, rel=1e-6)


def test_kernel_by_sampling():
    generator = np.random.default_rng(5)
    common, one, other = generator.standard_normal((3, 10**6))
    u, v = (math.sqrt(0.4) * common + math.sqrt(0.3) * own for own in (one, other))
    value, slope = kernel(SOFTPLUS, 0.7, 0.4)
    assert value == pytest.approx(np.mean(SOFTPLUS.function(u) * SOFTPLUS.function(v)), abs=5e-3)
    assert slope == pytest.approx(np.mean(SOFTPLUS.derivative(u) * SOFTPLUS.derivative(v)), abs=2e-3)


def test_infinitely_wide_relu_networks_of_finite_input_dimension_come_near():
    """The exact Gaussian process of one hidden layer at d = 300, alpha = 2: bayes_error within 2%."""
    dimension, noise = 300, 0.1
    inputs = np.random.default_rng(11).standard_normal((3 * dimension, dimension)) / math.sqrt(dimension)
    norms = np.linalg.norm(inputs, axis=1)
    products = np.outer(norms, norms)
    angles = np.arccos(np.clip(inputs @ inputs.T / products, -1, 1))
    covariance = products * (np.sin(angles) + (np.pi - angles) * np.cos(angles)) / (2 * np.pi)
    seen, fresh = slice(0, 2 * dimension), slice(2 * dimension, None)
    gram = covariance[seen, seen] + noise * np.eye(2 * dimension)
    explained = covariance[fresh, seen] @ np.linalg.solve(gram, covariance[seen, fresh])
    error = np.mean(np.diag(covariance)[fresh] - np.diag(explained))
    predicted = predict(network("relu", 1), GaussianChannel(noise), 2.0, conjecture=True)
    assert error == pytest.approx(predicted.bayes_error, rel=0.02)


def test_prediction_is_labelled_and_knows_the_bias():
    predicted = predict(network("relu", 2), GaussianChannel(0.1), 2.0, conjecture=True)
    assert predicted.basis == "conjecture"
    assert predicted.function_overlap + predicted.bayes_error == pytest.approx(predicted.sigma[-1], rel=1e-12)
    model = conjectured_linear_model(network("relu", 2))
    assert predicted.to_dict()["bias_variance"] == model.bias_variance > 0


def test_conjecture_changes_nothing_for_odd_activations():
    arguments = (network("tanh", 2), GaussianChannel(0.1), 2.0)
    assert predict(*arguments, conjecture=True) == predict(*arguments)


def test_without_conjecture_relu_is_refused():
    with pytest.raises(OutsideTheTheorem, match="conjecture=True"):
        predict(network("relu", 1), GaussianChannel(0.1), 2.0)


def test_a_shared_bias_and_classes_are_refused():
    with pytest.raises(OutsideTheTheorem, match="share a bias.*: use GaussianChannel"):
        predict(network("relu", 1), ProbitChannel(0.1), 2.0, conjecture=True)


def test_a_fixed_readout_is_refused():
    with pytest.raises(OutsideTheTheorem, match="this one is fixed"):
        conjectured_linear_model(Network(3, (2,), "relu", readout="fixed"))


def test_a_wrong_derivative_is_refused():
    wrong = Activation(SOFTPLUS.function, lambda x: 2 * special.expit(x), "wrong")
    with pytest.raises(ValueError, match="is not the derivative"):
        conjectured_linear_model(network(wrong, 1))
