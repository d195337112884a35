"""Probit and output channels: reference values, identities that hold for every channel, limits."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import integrate, stats

from nishimori.description import (
    GaussianChannel,
    LogisticChannel,
    Network,
    OutputChannel,
    OutputFunction,
    ProbitChannel,
)
from nishimori.theory import equivalent_linear_model, logistic, output, predict, probit

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "channel_theory.json").read_text())
POINTS = [
    ("tanh", 2, 2.0, ProbitChannel(0.0)),
    ("erf", 1, 0.7, ProbitChannel(0.3)),
    ("tanh", 2, 2.0, OutputChannel("tanh", 0.1)),
    ("sin", 1, 0.8, OutputChannel("relu", 0.2)),
    ("tanh", 2, 2.0, LogisticChannel(0.1)),
    ("erf", 1, 0.7, LogisticChannel(1.0)),
]


def network(activation, depth):
    return Network(7, (5,) * depth, activation)


def prediction(activation, depth, sample_ratio, channel):
    return predict(network(activation, depth), channel, sample_ratio)


def predictive_and_channel_entropy(activation, depth, channel, overlap):
    """-Psi(q) and -E log P_out(Y | S)."""
    model = equivalent_linear_model(network(activation, depth))
    signal, error, noise = model.eta**2, 1 - overlap, channel.noise_variance
    deviation = math.sqrt(signal + model.gamma)
    if isinstance(channel, OutputChannel):
        entropy = -output.label_statistics(channel, signal, model.gamma, error).negative_entropy
        return entropy, 0.5 * math.log(2 * math.pi * math.e * noise)
    logistic_law = isinstance(channel, LogisticChannel)
    if logistic_law:
        statistics = logistic.label_statistics(channel.temperature, signal, model.gamma, error)
    else:
        statistics = probit.label_statistics(signal, model.gamma + noise, error)
    entropy = -statistics.negative_entropy
    if noise == 0:
        return entropy, 0.0

    def term(latent):
        law = stats.logistic(0, channel.temperature) if logistic_law else stats.norm(0, math.sqrt(noise))
        sides = [law.cdf(side * latent) for side in (-1, 1)]
        return -sum(side * math.log(side) for side in sides if side > 0) * stats.norm.pdf(latent, 0, deviation)

    return entropy, integrate.quad(term, -9 * deviation, 9 * deviation, epsabs=1e-13, epsrel=1e-13)[0]


@pytest.mark.parametrize(
    "row", GOLDEN["noiseless_probit"]["rows"], ids=lambda row: f"{row['activation']}-{row['depth']}"
)
def test_golden_probit(row):
    predicted = prediction(row["activation"], row["depth"], row["sample_ratio"], ProbitChannel(0))
    for name in ("overlap", "classification_error", "mutual_information", "mutual_information_per_dim"):
        assert getattr(predicted, name) == pytest.approx(row[name], abs=1.01e-10), name
    assert predicted.residual == pytest.approx(0, abs=1e-14)


@pytest.mark.parametrize("row", GOLDEN["bayes_classification"]["rows"], ids=lambda row: f"{row['sample_ratio']:.3f}")
def test_published_classification_errors(row):
    predicted = prediction("tanh2", 2, row["sample_ratio"], ProbitChannel(0))
    assert predicted.classification_error == pytest.approx(row["classification_error"], abs=1.01e-8)


@pytest.mark.parametrize("row", GOLDEN["perceptron"]["rows"], ids=lambda row: str(row["sample_ratio"]))
def test_noiseless_perceptron_learns_at_the_known_rate(row):
    predicted = prediction("identity", 0, row["sample_ratio"], ProbitChannel(0))
    product = predicted.classification_error * row["sample_ratio"]
    assert product == pytest.approx(row["error_times_ratio"], abs=1.01e-5)


@pytest.mark.parametrize(
    "row", GOLDEN["output_functions"]["rows"], ids=lambda row: f"{row['function']}-{row['sample_ratio']}"
)
def test_golden_output_functions(row):
    predicted = prediction("tanh", 2, row["sample_ratio"], OutputChannel(row["function"], 0.1))
    for name in ("overlap", "generalization_error", "mutual_information"):
        assert getattr(predicted, name) == pytest.approx(row[name], abs=1e-6), name
    assert predicted.residual == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("sample_ratio", [0.01, 0.5, 2.0, 20.0])
@pytest.mark.parametrize(("activation", "depth", "noise"), [("tanh", 2, 0.1), ("tanh2", 3, 0.02), ("identity", 0, 0.5)])
def test_general_quadrature_equals_the_closed_form(activation, depth, noise, sample_ratio):
    closed = prediction(activation, depth, sample_ratio, GaussianChannel(noise)).to_dict()
    general = prediction(activation, depth, sample_ratio, OutputChannel("identity", noise)).to_dict()
    assert general.pop("residual") == pytest.approx(0, abs=1e-12)
    assert general.pop("basis") == closed.pop("basis") == "theorem"
    for name, value in closed.items():
        assert general[name] == pytest.approx(value, abs=1e-9), name


@pytest.mark.parametrize("point", POINTS)
def test_a_sample_adds_the_entropy_of_its_label_less_that_of_the_channel(point):
    """d(I/d)/d(n/d) = -Psi(q) + E log P_out(Y | S), by a five-point difference."""
    activation, depth, sample_ratio, channel = point
    step = 0.01
    values = [prediction(activation, depth, sample_ratio + k * step, channel) for k in (-2, -1, 1, 2)]
    info = [value.mutual_information_per_dim for value in values]
    slope = (info[0] - 8 * info[1] + 8 * info[2] - info[3]) / (12 * step)
    overlap = prediction(*point).overlap
    predictive, noise = predictive_and_channel_entropy(activation, depth, channel, overlap)
    assert slope == pytest.approx(predictive - noise, abs=1e-8)


@pytest.mark.parametrize("point", POINTS)
def test_information_is_the_area_under_the_learning_curve(point):
    activation, depth, sample_ratio, channel = point

    def growth(ratio):
        overlap = prediction(activation, depth, ratio, channel).overlap
        predictive, noise = predictive_and_channel_entropy(activation, depth, channel, overlap)
        return predictive - noise

    nodes, weights = np.polynomial.legendre.leggauss(12)
    area = (
        0.5 * sample_ratio * sum(w * growth(0.5 * sample_ratio * (1 + x)) for x, w in zip(nodes, weights, strict=True))
    )
    assert prediction(*point).mutual_information_per_dim == pytest.approx(area, abs=1e-6)


def training_error_of_the_output(sample_ratio, channel):
    """E (f(F*) - <f(F)>)^2 on a training input of the tanh network of one layer, by Gauss-Hermite sums over V and w."""
    predicted = prediction("tanh", 1, sample_ratio, channel)
    normals, weights = np.polynomial.hermite_e.hermegauss(80)
    weights = weights / weights.sum()
    deviation = math.sqrt(predicted.bayes_error)
    outputs = channel.function.function(math.sqrt(predicted.function_overlap) * normals[:, None] + deviation * normals)
    labels, spacing = np.linspace(
        -1 - 9 * channel.noise_variance**0.5, 1 + 9 * channel.noise_variance**0.5, 201, retstep=True
    )
    joint = weights * stats.norm.pdf(
        labels[:, None, None], outputs, math.sqrt(channel.noise_variance)
    )  # [labels, V, w]
    density, moment = joint.sum(-1), (joint * outputs).sum(-1)
    return float(weights @ outputs**2 @ weights - spacing * (moment**2 / density).sum(0) @ weights)


def test_information_is_the_area_under_the_training_error_of_the_output():
    """I-MMSE (Guo, Shamai, Verdu 2005): I/n is half the integral of that error over 1/Delta, from 0."""
    nodes, gauss_weights = np.polynomial.legendre.leggauss(10)
    end = math.log1p(1 / 0.2)
    area = 0.0
    for node, weight in zip(0.5 * end * (1 + nodes), 0.5 * end * gauss_weights, strict=True):
        channel = OutputChannel("tanh", 1 / math.expm1(node))
        area += 0.5 * weight * math.exp(node) * training_error_of_the_output(1.5, channel)
    predicted = prediction("tanh", 1, 1.5, OutputChannel("tanh", 0.2))
    assert predicted.mutual_information == pytest.approx(area, abs=1e-6)


@pytest.mark.parametrize("point", POINTS)
def test_evidence_and_information_add_up_to_the_noise(point):
    activation, depth, sample_ratio, channel = point
    predicted = prediction(*point)
    noise = predictive_and_channel_entropy(activation, depth, channel, predicted.overlap)[1]
    assert predicted.log_evidence + predicted.mutual_information == pytest.approx(-noise, abs=1e-10)
    assert predicted.mutual_information_per_dim == pytest.approx(sample_ratio * predicted.mutual_information, rel=1e-14)
    assert predicted.function_overlap + predicted.bayes_error == pytest.approx(predicted.sigma[-1], rel=1e-12)
    assert 0 < predicted.train_mmse < predicted.bayes_error


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_errors_of_the_classifier_by_simulating_its_outputs(noise):
    """The teacher's output and the posterior mean are jointly Gaussian: signs of a million pairs of them."""
    predicted = prediction("tanh2", 2, 2.0, ProbitChannel(noise))
    generator = np.random.default_rng(3)
    mean = math.sqrt(predicted.function_overlap) * generator.standard_normal(10**6)
    spread = math.sqrt(predicted.bayes_error + noise)
    label, drawn = (np.sign(mean + spread * generator.standard_normal(10**6)) for _ in range(2))
    assert np.mean(np.sign(mean) != label) == pytest.approx(predicted.classification_error, abs=2e-3)
    assert np.mean(drawn != label) == pytest.approx(predicted.gibbs_classification_error, abs=2e-3)
    assert np.mean((label - drawn) ** 2) / 2 == pytest.approx(predicted.generalization_error, abs=4e-3)


WITH_AND_WITHOUT_DATA = [ProbitChannel(0.0), ProbitChannel(0.2), LogisticChannel(0.3), OutputChannel("tanh", 0.1)]


@pytest.mark.parametrize("channel", WITH_AND_WITHOUT_DATA)
def test_no_data(channel):
    predicted = prediction("tanh", 2, 1e-9, channel)
    predictive, noise = predictive_and_channel_entropy("tanh", 2, channel, 0.0)
    assert predicted.mutual_information == pytest.approx(predictive - noise, abs=1e-8)
    assert predicted.bayes_error == pytest.approx(predicted.sigma[-1], rel=1e-8)
    twice = prediction("tanh", 2, 2e-9, channel)
    assert twice.overlap / predicted.overlap == pytest.approx(2, rel=1e-8)
    if not isinstance(channel, OutputChannel):
        assert predicted.classification_error == pytest.approx(0.5, abs=1e-4)
        assert predicted.log_evidence == pytest.approx(-math.log(2), abs=1e-9)


@pytest.mark.parametrize("channel", WITH_AND_WITHOUT_DATA)
def test_infinite_data(channel):
    predicted = prediction("tanh", 2, 1e8, channel)
    assert predicted.bayes_error == pytest.approx(predicted.gamma, rel=1e-5)
    predictive, noise = predictive_and_channel_entropy("tanh", 2, channel, 1.0)
    assert predicted.mutual_information == pytest.approx(predictive - noise, abs=1e-6)


def test_more_data_never_hurts():
    errors = [
        prediction("tanh2", 2, ratio, ProbitChannel(0)).classification_error for ratio in np.geomspace(1e-3, 1e5, 17)
    ]
    assert np.all(np.diff(np.array(errors, dtype=float)) < 0)


def test_an_even_output_function_is_blind_below_a_threshold():
    """y = log cosh F + noise knows no sign: q = 0 solves the equation at every ratio, and wins with little data."""
    even = OutputFunction(lambda x: np.log(np.cosh(x)), np.tanh, lambda x: 1 / np.cosh(x) ** 2, "log cosh")
    assert prediction("identity", 0, 0.1, OutputChannel(even, 0.01)).overlap < 1e-12
    assert prediction("identity", 0, 3.0, OutputChannel(even, 0.01)).overlap > 0.5


def test_basis_says_what_is_proved():
    proved = [
        ("tanh", 2, GaussianChannel(0.1)),
        ("erf", 1, OutputChannel("tanh", 0.1)),
        ("relu", 0, ProbitChannel(0.0)),
    ]
    conjectured = [
        ("tanh", 1, ProbitChannel(0.1)),
        ("tanh", 1, LogisticChannel(0.1)),
        ("tanh", 1, OutputChannel("relu", 0.1)),
        ("sign", 1, GaussianChannel(0.1)),
    ]
    assert {prediction(name, depth, 1.0, channel).basis for name, depth, channel in proved} == {"theorem"}
    assert {prediction(name, depth, 1.0, channel).basis for name, depth, channel in conjectured} == {"conjecture"}


def test_too_little_noise_for_the_quadrature_is_refused():
    with pytest.raises(ValueError, match="noise_variance 1e-12 is too small.*: give a larger noise_variance"):
        prediction("tanh", 2, 1.0, OutputChannel("tanh", 1e-12))


def test_dictionary_names_the_errors_of_classes():
    assert set(prediction("tanh", 1, 1.0, ProbitChannel(0)).to_dict()) - set(
        prediction("tanh", 1, 1.0, GaussianChannel(1)).to_dict()
    ) == {"classification_error", "gibbs_classification_error", "residual"}
