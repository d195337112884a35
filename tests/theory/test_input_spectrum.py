"""Correlated Gaussian inputs: the closed case, derivatives, and exact algebra of Gaussian processes on drawn inputs."""

import math
from dataclasses import replace

import numpy as np
import pytest

from nishimori.description import GaussianChannel, LogisticChannel, Network, OutputChannel, ProbitChannel
from nishimori.theory import equivalent_linear_model, predict
from nishimori.theory.gaussian import gaussian_prediction
from nishimori.theory.logistic import logistic_prediction
from nishimori.theory.output import output_prediction
from nishimori.theory.probit import label_statistics, probit_prediction

NOISE = 0.1
CHANNELS = [GaussianChannel(0.1), ProbitChannel(0.05), LogisticChannel(0.3), OutputChannel("tanh", 0.2)]
TWO_LEVELS = np.repeat([0.25, 2.0], [3, 1])


def power_law(dim: int, exponent: float = 1.0) -> np.ndarray:
    """Eigenvalues falling as k^-exponent, of mean 1.7."""
    values = np.arange(1.0, dim + 1) ** -exponent
    return 1.7 * values / values.mean()


def network(activation: str = "erf", depth: int = 1) -> Network:
    return Network(5, (5,) * depth, activation)


@pytest.mark.parametrize("channel", CHANNELS, ids=lambda channel: type(channel).__name__)
@pytest.mark.parametrize("ratio", [1e-3, 0.7, 3.0])
def test_inputs_without_correlations_give_the_values_without_a_spectrum(channel, ratio):
    expected = predict(network(), channel, ratio).to_dict()
    found = predict(network(), channel, ratio, input_spectrum=np.ones(4)).to_dict()
    assert found.pop("basis") == "conjecture" and expected.pop("basis")
    for each in (found, expected):
        each.pop("residual", None)
    assert found.pop("sigma") == expected.pop("sigma")
    assert found == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_a_relu_network_does_too():
    expected = predict(network("relu", 2), CHANNELS[0], 2.0, conjecture=True)
    found = predict(network("relu", 2), CHANNELS[0], 2.0, conjecture=True, input_spectrum=[1.0, 1.0])
    assert found.mutual_information == pytest.approx(expected.mutual_information, rel=1e-12)
    assert found.bias_variance == expected.bias_variance


def predicted_of(model, channel):
    """Of a linear model with inputs of unit variance, at two samples an input dimension."""
    match channel:
        case GaussianChannel():
            return gaussian_prediction(model, channel.noise_variance, 2.0)
        case ProbitChannel():
            return probit_prediction(model, channel.noise_variance, 2.0)
        case LogisticChannel():
            return logistic_prediction(model, channel.temperature, 2.0)
    return output_prediction(model, channel, 2.0)


@pytest.mark.parametrize("channel", CHANNELS, ids=lambda channel: type(channel).__name__)
def test_a_common_factor_rescales_the_coefficients(channel):
    """sin at input variance r is a linear model of signal r exp(-r) and noise (1 - exp(-2r))/2 - r exp(-r)."""
    variance = 1.7
    model = equivalent_linear_model(network("sin"), variance)
    assert model.signal == pytest.approx(variance * math.exp(-variance), rel=1e-14)
    assert model.gamma == pytest.approx(-math.expm1(-2 * variance) / 2 - model.signal, rel=1e-12)
    found = predict(network("sin"), channel, 2.0, input_spectrum=np.full(3, variance))
    rescaled = {"eta": math.sqrt(model.signal), "sigma": (1.0, model.sigma[1]), "input_variance": 1.0}
    unit = replace(model, **rescaled)
    assert unit.signal == pytest.approx(model.signal, rel=1e-14)
    expected = predicted_of(unit, channel)
    for name in ("overlap", "bayes_error", "generalization_error", "train_mmse", "mutual_information"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=1e-12), name


def test_an_identity_as_output_function_is_the_gaussian_channel():
    arguments = {"sample_ratio": 1.3, "input_spectrum": TWO_LEVELS}
    gaussian = predict(network(), GaussianChannel(0.2), **arguments)
    quadrature = predict(network(), OutputChannel("identity", 0.2), **arguments)
    for name in ("overlap", "bayes_error", "train_mmse", "mutual_information", "generalization_error"):
        assert getattr(quadrature, name) == pytest.approx(getattr(gaussian, name), rel=1e-8), name


@pytest.mark.parametrize("spectrum", [TWO_LEVELS, power_law(50)], ids=["two levels", "power law"])
def test_information_grows_with_samples_as_the_error_says(spectrum):
    """d(I/d)/d alpha = log(1 + bayes_error / Delta)/2 (chain rule in the number of samples)."""
    low, here, high = (
        predict(network(), GaussianChannel(NOISE), ratio, input_spectrum=spectrum) for ratio in (1.499, 1.5, 1.501)
    )
    slope = (high.mutual_information_per_dim - low.mutual_information_per_dim) / 0.002
    assert slope == pytest.approx(math.log1p(here.bayes_error / NOISE) / 2, abs=1e-6)


@pytest.mark.parametrize("spectrum", [TWO_LEVELS, power_law(50)], ids=["two levels", "power law"])
def test_information_grows_with_the_signal_to_noise_ratio_as_the_training_error_says(spectrum):
    """d(I/n)/d(1/Delta) = train_mmse / 2 (Guo, Shamai and Verdu 2005)."""
    low, here, high = (
        predict(network(), GaussianChannel(1 / snr), 1.5, input_spectrum=spectrum) for snr in (9.99, 10.0, 10.01)
    )
    assert (high.mutual_information - low.mutual_information) / 0.02 == pytest.approx(here.train_mmse / 2, abs=1e-6)


def test_information_of_classes_grows_by_the_entropy_of_a_fresh_label():
    """d(I/d)/d alpha = H(Y | D) - H(Y | S)."""
    channel, model = ProbitChannel(0.05), equivalent_linear_model(network(), TWO_LEVELS.mean())
    low, here, high = (predict(network(), channel, ratio, input_spectrum=TWO_LEVELS) for ratio in (1.499, 1.5, 1.501))
    error = 1 - here.function_overlap / model.signal
    entropy = -label_statistics(model.signal, model.gamma + 0.05, error).negative_entropy
    channel_entropy = -(here.mutual_information + here.log_evidence)
    slope = (high.mutual_information_per_dim - low.mutual_information_per_dim) / 0.002
    assert slope == pytest.approx(entropy - channel_entropy, abs=1e-6)


def inputs_of(generator: np.random.Generator, rows: int, spectrum: np.ndarray) -> np.ndarray:
    return generator.standard_normal((rows, len(spectrum))) * np.sqrt(spectrum)


def arcsine(products: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """E erf(u) erf(v) (Williams 1998)."""
    return 2 / np.pi * np.arcsin(2 * products / np.sqrt(np.outer(1 + 2 * left, 1 + 2 * right)))


def of_process(generator: np.random.Generator, spectrum: np.ndarray, ratio: float) -> tuple[float, float]:
    """I/n and Bayes error of the infinitely wide erf network on drawn inputs."""
    dim, samples = len(spectrum), round(ratio * len(spectrum))
    rows, tests = (inputs_of(generator, number, spectrum) for number in (samples, 500))
    own, new = ((x**2).sum(1) / dim for x in (rows, tests))
    covariance = arcsine(rows @ rows.T / dim, own, own) + NOISE * np.eye(samples)
    across = arcsine(rows @ tests.T / dim, own, new)
    factor = np.linalg.cholesky(covariance)
    explained = (np.linalg.solve(factor, across) ** 2).sum(0)
    information = np.log(np.diag(factor)).sum() / samples - 0.5 * math.log(NOISE)
    return information, float(np.mean(2 / np.pi * np.arcsin(2 * new / (1 + 2 * new)) - explained))


def of_ridge(generator: np.random.Generator, spectrum: np.ndarray, ratio: float) -> tuple[float, float]:
    """I/n and Bayes error of the equivalent linear model itself on drawn inputs."""
    dim, samples = len(spectrum), round(ratio * len(spectrum))
    model = equivalent_linear_model(network(), float(spectrum.mean()))
    rows = model.eta * inputs_of(generator, samples, spectrum) / math.sqrt(dim)
    precision = np.eye(dim) + rows.T @ rows / (NOISE + model.gamma)
    determinant = np.linalg.slogdet(precision)[1]
    information = 0.5 * determinant / samples + 0.5 * math.log1p(model.gamma / NOISE)
    remaining = model.eta**2 * float(np.diag(np.linalg.inv(precision)) @ spectrum) / dim
    return information, model.gamma + remaining


@pytest.mark.parametrize(
    ("exact", "spectrum"),
    [
        (of_ridge, lambda dim: np.tile(TWO_LEVELS, dim // 4)),
        (of_ridge, power_law),
        (of_process, lambda dim: np.tile(TWO_LEVELS, dim // 4)),
        (of_process, lambda dim: power_law(dim, 0.3)),
    ],
    ids=["ridge, two levels", "ridge, power law", "process, two levels", "process, power law"],
)
def test_exact_algebra_extrapolates_to_theory(exact, spectrum):
    """Corrections fall as 1/d: 2 f(2d) - f(d) at d = 200 and 400, in units of the spread over eight draws; with the
    spectrum left out the prediction must fail. A network is linear where no direction dominates: eigenvalues falling
    as 1/k, under which |x|^2 / d does not concentrate, are for the linear model alone."""
    spectra = [spectrum(dim) for dim in (200, 400)]
    generator = np.random.default_rng(7)
    drawn = [np.array([exact(generator, spectrum, 1.5) for _ in range(8)]) for spectrum in spectra]
    theory = [predict(network(), GaussianChannel(NOISE), 1.5, input_spectrum=spectrum) for spectrum in spectra]
    wanted = [np.array([one.mutual_information, one.bayes_error]) for one in theory]
    small, large = (values - expected for values, expected in zip(drawn, wanted, strict=True))
    deviation = 2 * large.mean(0) - small.mean(0)
    error = np.sqrt((4 * large.var(0, ddof=1) + small.var(0, ddof=1)) / 8)
    assert (np.abs(deviation) < 4 * error).all()
    assert (error < 0.02 * wanted[1]).all()
    without = predict(network(), GaussianChannel(NOISE), 1.5, input_spectrum=np.full(4, spectra[1].mean()))
    bare = np.array([without.mutual_information, without.bayes_error]) - wanted[1]
    assert (np.abs(bare) > 6 * error).all()


@pytest.mark.parametrize("spectrum", [[], [[1.0]], [1.0, -0.1], [0.0, 0.0], [math.nan], [math.inf, 1.0]])
def test_what_is_no_spectrum_is_refused(spectrum):
    with pytest.raises(ValueError, match="input_spectrum must hold the eigenvalues.*: pass numpy.linalg.eigvalsh"):
        predict(network(), GaussianChannel(0.1), 1.0, input_spectrum=spectrum)


def test_directions_without_variance_are_not_seen():
    """Half of the eigenvalues 0: a network of half as many inputs of twice the variance, at twice the ratio."""
    model = equivalent_linear_model(network(), 1.0)
    half = predict(network(), GaussianChannel(NOISE), 1.0, input_spectrum=[0.0, 2.0])
    assert half.function_overlap < model.signal
    whole = predict(network("identity"), GaussianChannel(NOISE), 2.0)
    same = predict(network("identity"), GaussianChannel(NOISE), 1.0, input_spectrum=[0.0, 2.0])
    assert same.mutual_information == pytest.approx(whole.mutual_information, rel=1e-12)
    assert same.overlap == pytest.approx(whole.overlap / 2, rel=1e-12)
