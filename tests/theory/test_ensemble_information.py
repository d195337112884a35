"""Information in ensembles beside brute force, and the printed formulas that fail it."""

import math

import numpy as np
import pytest
from scipy.linalg import expm

from nishimori.theory.ensemble_information import (
    data_information_bound,
    expected_loss,
    fisher_trace,
    gaussian_bottleneck,
    gaussian_information,
    input_information_bounds,
    label_information_bound,
    path_energies,
    path_energy,
    path_lengths,
    posterior_information,
    weight_divergence,
)
from nishimori.theory.ensembles import Flow, gaussian_process

Array = np.ndarray


def divergence_by_brute_force(jacobian: Array, labels: Array, time: float) -> float:
    """KL between Gaussians of all parameters, from the flow of theta alone."""
    size = jacobian.shape[1]
    generator = np.zeros((size + 1, size + 1))
    generator[:size, :size], generator[:size, size] = -jacobian.T @ jacobian, jacobian.T @ labels
    moved = expm(time * generator)
    mean, covariance = moved[:size, size], moved[:size, :size] @ moved[:size, :size].T
    return 0.5 * (np.trace(covariance) + mean @ mean - size - np.linalg.slogdet(covariance)[1])


def printed(tangent: Array, labels: Array, time: float) -> float:
    """Eq. 27 of arXiv 1911.09189 as it stands, with K = Theta."""
    eigenvalues, vectors = np.linalg.eigh(tangent)
    gone = (1 - np.exp(-time * eigenvalues)) ** 2
    return float(gone.sum() + np.sum((labels @ vectors) ** 2 * gone / eigenvalues) + time * eigenvalues.sum())


@pytest.mark.parametrize("time", [0.02, 0.3, 2.0])
@pytest.mark.parametrize("seed", range(4))
def test_the_divergence_of_the_weights(seed: int, time: float) -> None:
    generator = np.random.default_rng(seed)
    jacobian, labels = generator.standard_normal((3, 7)) / 2, generator.standard_normal(3)
    tangent = jacobian @ jacobian.T
    expected = divergence_by_brute_force(jacobian, labels, time)
    assert weight_divergence(tangent, labels, time) == pytest.approx(expected, rel=1e-6, abs=1e-9)
    assert printed(tangent, labels, time) > 1.1 * expected
    assert fisher_trace(tangent) == pytest.approx(np.sum(jacobian**2))


def test_the_path_length_is_below_its_energy_and_is_not_it() -> None:
    """At tau = 10 the mean square length is well above what arXiv 1911.09189, eqs. 16-18, print for it."""
    generator = np.random.default_rng(1)
    jacobian, labels, time = generator.standard_normal((4, 8)) / 2, generator.standard_normal(4), 10.0
    tangent = jacobian @ jacobian.T
    covariance = tangent + 0.2 * np.eye(4)
    starts = generator.multivariate_normal(np.zeros(4), covariance, size=4000)
    lengths, energy = path_lengths(tangent, starts, labels, time), path_energy(tangent, covariance, labels, time)
    square, error = np.mean(lengths**2), np.std(lengths**2, ddof=1) / math.sqrt(len(lengths))
    assert square + 4 * error < time * energy and square > energy + 5 * error
    velocities = _velocities(tangent, starts, labels, time)
    found = np.trapezoid(np.sum(velocities[1] ** 2, axis=2), velocities[0], axis=0)
    np.testing.assert_allclose(path_energies(tangent, starts, labels, time), found, rtol=1e-3)
    assert abs(found.mean() - energy) < 3.5 * np.std(found, ddof=1) / math.sqrt(len(found))


def _velocities(tangent: Array, starts: Array, labels: Array, time: float) -> tuple[Array, Array]:
    """Moments [moments] and dz/dt [moments, starts, samples], by differences of the outputs."""
    moments = time * np.linspace(0, 1, 601) ** 3
    flow, step = Flow(tangent), 1e-5
    values = [(flow.outputs(starts, labels, one + step) - flow.outputs(starts, labels, one)) / step for one in moments]
    return moments, np.array(values)


@pytest.mark.parametrize("time", [0.05, 1.0, 40.0, math.inf])
def test_the_path_length_is_that_of_the_path(time: float) -> None:
    generator = np.random.default_rng(2)
    jacobian, labels = generator.standard_normal((3, 6)), generator.standard_normal(3)
    tangent, starts = jacobian @ jacobian.T, generator.standard_normal((5, 3))
    flow, last = Flow(tangent), min(time, 200.0)
    path = np.array([flow.outputs(starts, labels, one) for one in last * np.linspace(0, 1, 4001) ** 3])
    expected = np.linalg.norm(np.diff(path, axis=0), axis=2).sum(axis=0)
    np.testing.assert_allclose(path_lengths(tangent, starts, labels, time), expected, rtol=1e-4)


def test_bounds_hold_the_information_of_a_gaussian_channel() -> None:
    """z = x + noise, I = log(1 + 20) / 2 = 1.522; few inputs make the lower bound low, and the two apart."""
    generator, exact, gaps = np.random.default_rng(3), 0.5 * math.log(21), []
    for inputs in (12, 160):
        drawn = math.sqrt(20) * generator.standard_normal((16, inputs))
        found = np.array([input_information_bounds(one, np.ones(inputs)) for one in drawn])
        (lower, upper), errors = found.mean(axis=0), found.std(axis=0, ddof=1) / 4
        assert lower < exact + 3 * errors[0] and upper > exact - 3 * errors[1]
        gaps.append(upper - lower)
    assert gaps[1] < 0.2 * gaps[0] and abs(lower - exact) < 0.1 + 3 * errors[0]


def test_the_lower_bound_is_at_most_the_logarithm_of_the_inputs() -> None:
    lower, upper = input_information_bounds(np.arange(8) * 100.0, np.ones(8))
    assert lower == pytest.approx(math.log(8)) and upper > 100


def test_the_divergence_from_the_prior_by_quadrature() -> None:
    mean, variance, prior = np.array([0.4, -1.0]), np.array([0.3, 0.9]), np.array([1.2, 0.7])
    points, width = np.linspace(-12, 12, 20001, retstep=True)
    total = 0.0
    for m, v, k in zip(mean, variance, prior, strict=True):
        law = np.exp(-((points - m) ** 2) / (2 * v)) / math.sqrt(2 * math.pi * v)
        logs = -((points - m) ** 2) / (2 * v) + points**2 / (2 * k) - 0.5 * math.log(v / k)
        total += float(np.sum(law * logs) * width)
    assert data_information_bound(mean, variance, prior) == pytest.approx(total / 2, abs=1e-9)


def test_the_bound_on_the_information_about_labels() -> None:
    """Y = z + noise: at the noise's own variance the bound is I(Z;Y), with any other below, not above as printed."""
    signal, noise = 1.5, 0.4
    entropy = 0.5 * math.log(2 * math.pi * math.e * (signal + noise))
    exact = gaussian_information(signal, noise)
    assert label_information_bound(entropy, noise) == pytest.approx(exact)
    for variance in (0.2, 1.0, 3.0):
        assert label_information_bound(entropy, noise, variance) < exact
    generator = np.random.default_rng(5)
    mean, labels, spread = generator.standard_normal(40), generator.standard_normal(40), np.full(40, 0.3)
    outputs = mean[:, None] + math.sqrt(0.3) * np.polynomial.hermite_e.hermegauss(9)[0]
    weights = np.polynomial.hermite_e.hermegauss(9)[1] / math.sqrt(2 * math.pi)
    losses = 0.5 * (labels[:, None] - outputs) ** 2 / 0.7 + 0.5 * math.log(2 * math.pi * 0.7)
    assert expected_loss(mean, spread, labels, 0.7) == pytest.approx(float(np.mean(losses @ weights)))


def test_the_gaussian_bottleneck_is_reached_by_the_best_direction_alone() -> None:
    signal, noise = 1.3, 0.5
    for added in (0.1, 1.0, 5.0):
        seen = 0.5 * math.log(1 + signal / added)
        correlation = signal**2 / ((signal + added) * (signal + noise))
        known = -0.5 * math.log(1 - correlation)
        assert gaussian_bottleneck(seen, signal, noise) == pytest.approx(known)
        elsewhere = 0.5 * math.log(1 + (signal + 1) / added)
        blurred = -0.5 * math.log(1 - signal**2 / ((signal + 1 + added) * (signal + noise)))
        assert blurred < gaussian_bottleneck(elsewhere, signal, noise)
    assert gaussian_bottleneck(60.0, signal, noise) == pytest.approx(gaussian_information(signal, noise))


def test_the_information_of_the_posterior_is_a_chain_of_predictive_variances() -> None:
    factor = np.random.default_rng(6).standard_normal((6, 6))
    covariance, noise = factor @ factor.T, 0.3
    total = 0.0
    for count in range(6):
        order = [*range(count), count]
        known = covariance[np.ix_(order, order)]
        left = known[-1, -1] if count == 0 else gaussian_process(known, np.zeros(count), noise).variance[-1]
        total += 0.5 * math.log(1 + left / noise)
    assert posterior_information(covariance, noise) == pytest.approx(total)


def test_bad_input_is_a_sentence() -> None:
    for mean, variance in (([1.0], [1.0]), ([1.0, 2.0], [1.0, 0.0])):
        with pytest.raises(ValueError, match="at least two inputs"):
            input_information_bounds(mean, variance)
