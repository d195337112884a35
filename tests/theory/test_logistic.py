"""The logistic channel's theory: Gauss-Hermite sums, simulation, and the limits of the temperature."""

import math

import numpy as np
import pytest
from scipy import special

from nishimori.description import LogisticChannel, Network, ProbitChannel
from nishimori.theory import logistic, predict

TANH = Network(7, (5, 5), "tanh")
LINEAR = Network(7, ())


def by_hermite_sums(temperature, signal, gamma, error):
    """Psi, fisher and explained: E_V of functions of p = E_w expit((a V + b w) / T), by Gauss-Hermite in both."""
    normals, weights = np.polynomial.hermite_e.hermegauss(160)
    weights = weights / weights.sum()
    scale, deviation = math.sqrt(signal * (1 - error)), math.sqrt(gamma + signal * error)
    sigmoid = special.expit((scale * normals[:, None] + deviation * normals) / temperature)
    p, slope = sigmoid @ weights, (sigmoid * (1 - sigmoid)) @ weights / temperature
    entropy, fisher = special.xlogy(p, p) + special.xlogy(1 - p, 1 - p), slope**2 / (p * (1 - p))
    return [float(weights @ values) for values in (entropy, fisher, (2 * p - 1) ** 2)]


@pytest.mark.parametrize(
    ("temperature", "signal", "gamma", "error"), [(0.3, 0.4, 0.03, 0.5), (0.8, 0.6, 0.1, 0.8)], ids=str
)
def test_statistics_equal_hermite_sums(temperature, signal, gamma, error):
    """One case sums over the logistic law, the other over the normal one."""
    found = logistic.label_statistics(temperature, signal, gamma, error)
    expected = by_hermite_sums(temperature, signal, gamma, error)
    assert [found.negative_entropy, found.fisher, found.explained] == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("error", [0.9, 0.3, 1e-3])
def test_both_sums_agree_where_they_meet(error):
    deviation = math.sqrt(0.05 + 0.5 * error)
    below, above = (logistic.label_statistics(deviation * side, 0.5, 0.05, error) for side in (1 - 1e-12, 1 + 1e-12))
    assert below.negative_entropy == pytest.approx(above.negative_entropy, rel=1e-10)
    assert below.fisher == pytest.approx(above.fisher, rel=1e-10)


@pytest.mark.parametrize("temperature", [1e-5, 0.01, 0.3, 2.0, 100.0])
@pytest.mark.parametrize("sample_ratio", [0.01, 2.0, 1e3])
@pytest.mark.parametrize("network", [TANH, LINEAR], ids=["tanh", "linear"])
def test_the_fixed_point_is_solved_to_round_off(network, sample_ratio, temperature):
    predicted = predict(network, LogisticChannel(temperature), sample_ratio)
    assert predicted.residual == pytest.approx(0, abs=1e-13)
    assert predicted.classification_error is not None and predicted.gibbs_classification_error is not None
    assert 0 < predicted.classification_error < predicted.gibbs_classification_error <= 0.5


def test_a_cold_channel_is_the_noiseless_perceptron():
    """To second order in the temperature."""
    cold, limit = predict(TANH, LogisticChannel(1e-5), 2.0), predict(TANH, ProbitChannel(0), 2.0)
    for name in ("overlap", "classification_error", "gibbs_classification_error", "generalization_error"):
        assert getattr(cold, name) == pytest.approx(getattr(limit, name), rel=1e-8), name


def test_a_hot_channel_is_gaussian_noise():
    """Every label then says y F / (2 T): fisher = 1 / (2 T)^2, as Gaussian noise of variance (2 T)^2 would give."""
    hot = predict(LINEAR, LogisticChannel(1e3), 2.0)
    assert hot.overlap == pytest.approx(2.0 / 4e6, rel=1e-5)
    assert hot.mutual_information == pytest.approx(1 / 8e6, rel=1e-5)


def test_errors_of_the_classifier_by_simulating_its_outputs():
    predicted = predict(TANH, LogisticChannel(0.2), 2.0)
    generator = np.random.default_rng(5)
    mean = math.sqrt(predicted.function_overlap) * generator.standard_normal(10**6)
    spread = math.sqrt(predicted.bayes_error)
    label, drawn = (
        np.sign(mean + spread * generator.standard_normal(10**6) + 0.2 * generator.logistic(size=10**6))
        for _ in range(2)
    )
    assert np.mean(np.sign(mean) != label) == pytest.approx(predicted.classification_error, abs=2e-3)
    assert np.mean(drawn != label) == pytest.approx(predicted.gibbs_classification_error, abs=2e-3)
