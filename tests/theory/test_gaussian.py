import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import integrate, optimize

from nishimori.description import GaussianChannel, Network
from nishimori.theory import Coefficients, OutsideTheTheorem, predict
from nishimori.theory.gaussian import gaussian_prediction

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "gaussian_theory.json").read_text())
QUANTITIES = ("overlap", "bayes_error", "train_mmse", "mutual_information", "mutual_information_per_dim")
POINTS = [
    ("tanh", 2, 2.0, 0.1),
    ("tanh2", 3, 0.3, 0.01),
    ("sin", 1, 5.0, 1.0),
    ("identity", 1, 0.9, 0.05),
    ("sign", 2, 1.5, 0.3),
]
MODEL = Coefficients(sigma=(1.0, 0.5), rho=(0.6,), eta=0.6, gamma=0.14)


def prediction(activation, depth, sample_ratio, noise_variance):
    return predict(Network(11, (6,) * depth, activation), GaussianChannel(noise_variance), sample_ratio)


def identifier(row):
    return "-".join(str(row[key]) for key in ("activation", "depth", "sample_ratio", "noise_variance"))


@pytest.mark.parametrize("row", GOLDEN["predictions"]["rows"], ids=identifier)
def test_golden_predictions(row):
    predicted = prediction(row["activation"], row["depth"], row["sample_ratio"], row["noise_variance"])
    for name in QUANTITIES:
        assert getattr(predicted, name) == pytest.approx(row[name], abs=1.01e-10), name


@pytest.mark.parametrize("row", GOLDEN["published_overlaps"]["rows"], ids=lambda row: f"{row['sample_ratio']:.3f}")
def test_published_overlaps(row):
    # The notebook has no label noise: a noise far below gamma's round-off is the same overlap.
    predicted = prediction("tanh2", 2, row["sample_ratio"], 1e-18)
    assert predicted.overlap == pytest.approx(row["overlap"], abs=1e-13)


@pytest.mark.parametrize("point", POINTS)
def test_information_is_the_area_under_the_learning_curve(point):
    activation, depth, sample_ratio, noise = point

    def growth(ratio):
        return 0.5 * math.log1p(prediction(activation, depth, ratio, noise).bayes_error / noise)

    area = integrate.quad(growth, 0, sample_ratio, epsabs=1e-11, epsrel=1e-11)[0]
    assert prediction(*point).mutual_information_per_dim == pytest.approx(area, abs=1e-9)


@pytest.mark.parametrize("point", POINTS)
def test_information_is_the_area_under_the_training_error(point):
    """I-MMSE: I/n is half the integral of train_mmse over the signal-to-noise ratio s = 1/Delta, from 0."""
    activation, depth, sample_ratio, noise = point

    def training_error(inverse_noise):
        return 0.5 * prediction(activation, depth, sample_ratio, 1 / inverse_noise).train_mmse

    area = integrate.quad(training_error, 0, 1 / noise, epsabs=1e-11, epsrel=1e-11, limit=200)[0]
    assert prediction(*point).mutual_information == pytest.approx(area, abs=1e-9)


@pytest.mark.parametrize("point", POINTS)
def test_evidence_is_the_value_of_the_replica_symmetric_potential(point):
    """sup_q inf_qhat of (qhat - log(1 + qhat))/2 + alpha Psi(q) - q qhat/2, by brute force."""
    _, _, sample_ratio, noise = point
    predicted = prediction(*point)

    def negative_potential(overlap):
        variance = noise + predicted.gamma + predicted.eta**2 * (1 - overlap)
        label_entropy = 0.5 * math.log(2 * math.pi * math.e * variance)
        return -(0.5 * (overlap + math.log1p(-overlap)) - sample_ratio * label_entropy)

    best: Any = optimize.minimize_scalar(
        negative_potential, bounds=(0, 1 - 1e-9), method="bounded", options={"xatol": 1e-10}
    )
    assert predicted.log_evidence == pytest.approx(-best.fun / sample_ratio, abs=1e-12)
    assert predicted.overlap == pytest.approx(best.x, abs=1e-6)


def test_finite_wishart_matrix():
    """The exact posterior of a linear model of 800 weights and 1200 samples with noise Delta + gamma."""
    samples, dimension, noise = 1200, 800, 0.1
    inputs = np.random.default_rng(7).standard_normal((samples, dimension))
    eigenvalues = np.linalg.eigvalsh(inputs.T @ inputs / dimension)
    precision = 1 + eigenvalues * MODEL.eta**2 / (noise + MODEL.gamma)
    predicted = gaussian_prediction(MODEL, noise, samples / dimension)
    assert 1 - predicted.overlap == pytest.approx(np.mean(1 / precision), abs=2e-3)
    weights_information = 0.5 * np.mean(np.log(precision))
    readout_information = 0.5 * samples / dimension * math.log1p(MODEL.gamma / noise)
    assert predicted.mutual_information_per_dim == pytest.approx(weights_information + readout_information, abs=2e-3)


@pytest.mark.parametrize("point", POINTS)
def test_identities_between_observables(point):
    predicted, noise = prediction(*point), point[3]
    assert predicted.generalization_error == pytest.approx(predicted.bayes_error + noise, rel=1e-15)
    assert predicted.gibbs_error == 2 * predicted.bayes_error
    assert 1 / predicted.train_mmse == pytest.approx(1 / noise + 1 / predicted.bayes_error, rel=1e-14)
    assert predicted.function_overlap + predicted.bayes_error == pytest.approx(predicted.sigma[-1], rel=1e-13)
    entropy = -0.5 * math.log(2 * math.pi * math.e * noise)
    assert predicted.log_evidence + predicted.mutual_information == pytest.approx(entropy, abs=1e-14)
    assert predicted.mutual_information_per_dim == pytest.approx(point[2] * predicted.mutual_information, rel=1e-15)


def test_no_data():
    predicted = prediction("tanh", 3, 1e-14, 0.1)
    assert predicted.bayes_error == pytest.approx(predicted.sigma[-1], rel=1e-13)
    assert predicted.mutual_information == pytest.approx(0.5 * math.log1p(predicted.sigma[-1] / 0.1), rel=1e-13)
    slope = predicted.eta**2 / (0.1 + predicted.sigma[-1])
    assert predicted.overlap == pytest.approx(1e-14 * slope, rel=1e-13)


def test_infinite_data():
    predicted = prediction("tanh", 3, 1e14, 0.1)
    assert predicted.bayes_error == pytest.approx(predicted.gamma, rel=1e-12)
    assert predicted.mutual_information == pytest.approx(0.5 * math.log1p(predicted.gamma / 0.1), rel=1e-11)
    linear = prediction("tanh", 0, 1e14, 0.1)
    assert linear.bayes_error == pytest.approx(0.1e-14, rel=1e-13)


@pytest.mark.parametrize("gain", [0.0, 1e-160, 1e-9])
def test_vanishing_gain(gain):
    predicted = gaussian_prediction(replace(MODEL, eta=gain, gamma=0.5), 0.1, 2.0)
    assert predicted.bayes_error == pytest.approx(0.5, rel=1e-15)
    assert predicted.overlap == pytest.approx(2.0 * gain**2 / 0.6, rel=1e-13, abs=0)
    assert predicted.mutual_information == pytest.approx(0.5 * math.log1p(5), rel=1e-14)


@pytest.mark.parametrize(("sample_ratio", "error"), [(0.25, 0.75), (1.0, 1e-10), (4.0, 1e-20 / 3)])
def test_vanishing_noise_of_a_linear_model(sample_ratio, error):
    """1 - alpha unseen directions below interpolation, sqrt(Delta) at it, Delta/(alpha - 1) above."""
    predicted = prediction("identity", 0, sample_ratio, 1e-20)
    assert predicted.bayes_error == pytest.approx(error, rel=1e-9)


def test_more_data_never_hurts():
    errors = [prediction("tanh2", 2, ratio, 1e-3).bayes_error for ratio in np.geomspace(1e-6, 1e6, 61)]
    assert np.all(np.diff(errors) < 0)


def test_sign_of_the_gain_is_immaterial():
    assert (
        gaussian_prediction(replace(MODEL, eta=-0.6), 0.1, 2.0).overlap == gaussian_prediction(MODEL, 0.1, 2.0).overlap
    )


def test_dictionary_is_json_with_the_public_names():
    predicted = prediction("tanh", 2, 2.0, 0.1)
    loaded = json.loads(json.dumps(predicted.to_dict(), allow_nan=False))
    assert loaded.pop("sigma") == list(predicted.sigma)
    assert loaded.pop("basis") == "theorem"
    assert len(predicted.sigma) == 3
    assert sorted(loaded) == sorted(
        [
            *QUANTITIES,
            "eta",
            "gamma",
            "function_overlap",
            "generalization_error",
            "gibbs_error",
            "log_evidence",
        ]
    )
    assert all(loaded[name] == getattr(predicted, name) for name in loaded)


@pytest.mark.parametrize("sample_ratio", [0, -1.0, math.nan, math.inf])
def test_impossible_sample_ratio_is_refused(sample_ratio):
    with pytest.raises(ValueError, match="sample_ratio must be finite and greater than 0.*: give n/d"):
        prediction("tanh", 1, sample_ratio, 0.1)


def test_channel_without_theory_is_refused():
    with pytest.raises(ValueError, match="no theory for the channel 'gaussian': use GaussianChannel"):
        predict(Network(4, (3,)), "gaussian", 1.0)  # pyright: ignore[reportArgumentType]


def test_relu_is_refused():
    with pytest.raises(OutsideTheTheorem, match="odd"):
        prediction("relu", 2, 1.0, 0.1)
