"""Ensembles of wide networks beside the law of explicit linear models, propagated without their kernels."""

import math

import numpy as np
import pytest
from scipy.linalg import expm

from nishimori.description.activations import activation
from nishimori.theory.ensembles import Flow, WideEnsemble, gaussian_process, gaussian_process_draw
from nishimori.theory.predictive_variance import coverage, total_variance

Array = np.ndarray
SAMPLES, PARAMETERS = 4, 9


def linear_model(seed: int) -> tuple[Array, Array, Array]:
    """J [inputs, parameters], the covariance of theta_0, which is not 1, and labels."""
    generator = np.random.default_rng(seed)
    jacobian = generator.standard_normal((SAMPLES + 2, PARAMETERS)) / 2
    factor = generator.standard_normal((PARAMETERS, PARAMETERS))
    return jacobian, factor @ factor.T / PARAMETERS, generator.standard_normal(SAMPLES)


def propagated(jacobian: Array, labels: Array, time: float) -> tuple[Array, Array]:
    """theta_tau = A theta_0 + b under d theta / dt = -J^T (J theta - Y), by the exponential of a matrix."""
    seen, size = jacobian[:SAMPLES], jacobian.shape[1]
    generator = np.zeros((size + 1, size + 1))
    generator[:size, :size], generator[:size, size] = -seen.T @ seen, seen.T @ labels
    moved = expm(time * generator)
    return moved[:size, :size], moved[:size, size]


@pytest.mark.parametrize("time", [0.0, 0.01, 0.7, 12.0, math.inf])
@pytest.mark.parametrize("seed", range(3))
def test_the_law_of_a_trained_linear_model(seed: int, time: float) -> None:
    jacobian, prior, labels = linear_model(seed)
    ensemble = WideEnsemble(jacobian @ prior @ jacobian.T, jacobian @ jacobian.T, labels)
    found = ensemble.trained([time])
    moved, drift = propagated(jacobian, labels, min(time, 1e4))
    np.testing.assert_allclose(found.mean[0], jacobian @ drift, atol=1e-9)
    expected = np.diagonal(jacobian @ moved @ prior @ moved.T @ jacobian.T)
    np.testing.assert_allclose(found.variance[0], expected, atol=1e-9)


def test_outputs_follow_the_flow() -> None:
    jacobian, prior, labels = linear_model(5)
    seen = jacobian[:SAMPLES]
    theta = np.random.default_rng(6).multivariate_normal(np.zeros(PARAMETERS), prior, size=3)
    moved, drift = propagated(jacobian, labels, 0.9)
    found = Flow(seen @ seen.T).outputs(theta @ seen.T, labels, 0.9)
    np.testing.assert_allclose(found, (theta @ moved.T + drift) @ seen.T, atol=1e-10)


def test_an_ensemble_is_a_posterior_where_its_kernels_are_one() -> None:
    """And is none elsewhere."""
    jacobian, prior, labels = linear_model(7)
    tangent = jacobian @ jacobian.T
    same = WideEnsemble(tangent, tangent, labels)
    found = same.trained([math.inf])
    np.testing.assert_allclose(found.mean[0], same.sampled_tangent().mean, atol=1e-9)
    np.testing.assert_allclose(found.variance[0], same.sampled_tangent().variance, atol=1e-9)
    other = WideEnsemble(jacobian @ prior @ jacobian.T, tangent, labels)
    assert np.abs(other.trained([math.inf]).variance - other.sampled_tangent().variance).max() > 0.01
    np.testing.assert_allclose(found.mean[0, :SAMPLES], labels, atol=1e-9)
    np.testing.assert_allclose(found.variance[0, :SAMPLES], 0, atol=1e-9)


def test_a_gaussian_process_is_the_posterior_of_a_linear_model() -> None:
    """Through the precision of its weights."""
    jacobian, prior, labels = linear_model(8)
    seen, noise = jacobian[:SAMPLES], 0.3
    posterior = np.linalg.inv(np.linalg.inv(prior) + seen.T @ seen / noise)
    found = gaussian_process(jacobian @ prior @ jacobian.T, labels, noise)
    np.testing.assert_allclose(found.mean, jacobian @ posterior @ seen.T @ labels / noise, atol=1e-10)
    np.testing.assert_allclose(found.variance, np.diagonal(jacobian @ posterior @ jacobian.T), atol=1e-10)


def test_functions_drawn_from_a_posterior_have_its_moments() -> None:
    jacobian, prior, labels = linear_model(3)
    kernel, normals = jacobian @ prior @ jacobian.T, np.random.default_rng(1).standard_normal((4000, SAMPLES + 2))
    found = np.array([gaussian_process_draw(kernel, labels, 0.3, own) for own in normals])
    law = gaussian_process(kernel, labels, 0.3)
    errors = found.std(axis=0, ddof=1) / math.sqrt(len(found))
    assert np.abs((found.mean(axis=0) - law.mean) / errors).max() < 4
    assert np.abs(found.var(axis=0, ddof=1) / law.variance - 1).max() < 4 * math.sqrt(2 / len(found))


def test_inputs_that_are_never_learnt_keep_their_start() -> None:
    """Two equal inputs with different labels: their difference has eigenvalue 0."""
    rows = np.array([[1.0, 0.5], [1.0, 0.5]])
    ensemble = WideEnsemble.of(rows, [1.0, 0.0], [[0.2, -1.0]], activation("relu"), 1)
    late, later = ensemble.trained([1e6, math.inf]).mean
    np.testing.assert_allclose(late[:2], 0.5, atol=1e-9)
    np.testing.assert_allclose(late, later, atol=1e-6)
    with pytest.raises(ValueError, match="raise noise_variance, or leave out"):
        ensemble.sampled(0.0)


def test_a_posterior_covers_its_teacher_and_an_ensemble_does_not() -> None:
    """Teachers drawn from the process of infinite width: 95 % of labels, but for too confident a variance."""
    generator, noise = np.random.default_rng(2), 0.05
    covered = []
    for _ in range(150):
        rows = generator.standard_normal((20, 4))
        prior = WideEnsemble.of(rows[:8], np.zeros(8), rows[8:], activation("erf_sqrt2"), 1)
        latent = generator.multivariate_normal(np.zeros(20), prior.covariance, method="cholesky")
        labels = latent[:8] + math.sqrt(noise) * generator.standard_normal(8)
        ensemble = WideEnsemble(prior.covariance, prior.tangent, labels)
        posterior, trained = ensemble.sampled(noise), ensemble.trained([math.inf])
        laws = [(posterior.mean, posterior.variance), (trained.mean[0], trained.variance[0])]
        covered.append([coverage(mean[8:], variance[8:], latent[8:], noise).mean() for mean, variance in laws])
    values, errors = np.mean(covered, axis=0), np.std(covered, axis=0, ddof=1) / math.sqrt(len(covered))
    z_scores = (values - 0.95) / errors
    assert abs(z_scores[0]) < 3.5 and z_scores[1] < -5


def test_coverage_is_the_share_of_labels() -> None:
    generator = np.random.default_rng(4)
    labels = 0.3 + math.sqrt(0.2) * generator.standard_normal(200_000)
    inside = np.abs(labels - 0.5) < 1.6448536269514722 * math.sqrt(0.1 + 0.2)
    expected = coverage(0.5, 0.1, 0.3, 0.2, level=0.9)
    assert abs(inside.mean() - expected) < 4 * math.sqrt(expected * (1 - expected) / len(labels))


def test_the_law_of_total_variance() -> None:
    generator = np.random.default_rng(9)
    means, variances = generator.standard_normal((5, 3)), generator.uniform(0.1, 1.0, (5, 3))
    found = total_variance(means, variances)
    second = (variances + means**2).mean(axis=0)
    np.testing.assert_allclose(found.variance, second - means.mean(axis=0) ** 2, atol=1e-12)
    np.testing.assert_allclose(found.mean, means.mean(axis=0))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: WideEnsemble(np.eye(3), np.eye(2), np.zeros(2)), "do not agree"),
        (lambda: WideEnsemble(np.eye(3), np.eye(3), np.zeros(4)), "4 labels for kernels of 3 inputs"),
        (lambda: WideEnsemble(np.eye(3), np.eye(3), np.zeros(2)).trained([-1.0]), "must be at least 0"),
        (lambda: gaussian_process(np.eye(3), [1.0], -0.1), "must be finite and at least 0"),
        (lambda: gaussian_process(-np.eye(3), [1.0], 0.1), "is not positive definite"),
        (lambda: coverage(0.0, 1.0, 0.0, 0.0), "must be positive"),
        (lambda: coverage(0.0, 1.0, 0.0, 1.0, level=95), "between 0 and 1"),
    ],
)
def test_bad_input_is_a_sentence(call, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        call()
