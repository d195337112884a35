"""Frozen random features: plateaus to the digits of a derivation by hand, the dynamics beside the descent itself."""

import math

import numpy as np
import pytest
from scipy import integrate, special

from nishimori.description.activations import activation
from nishimori.theory.random_features import Features, Hermite, plateau, plateau_after

ERF = activation("erf_sqrt2")
PLATEAUS = {0.1: 0.151540, 0.5: 0.093484, 1: 0.038536, 2: 0.014400, 4: 0.009964, 10: 0.008342, 100: 0.007588}
"""Of erf(u / sqrt 2): the Marchenko-Pastur formula by hand, with an exact kernel solve at d = 400 beside it."""


def features(dim: int, width: int, seed: int = 0, name: str = "erf_sqrt2", units: int = 1) -> Features:
    generator = np.random.default_rng(seed)

    def rows(count: int) -> np.ndarray:
        drawn = generator.standard_normal((count, dim))
        return drawn * math.sqrt(dim) / np.linalg.norm(drawn, axis=1, keepdims=True)

    return Features(activation(name), rows(width), rows(units), np.ones(units))


def test_the_kernel_of_erf_is_the_arcsine_law() -> None:
    cosine = np.linspace(-0.6, 0.6, 13)
    np.testing.assert_allclose(Hermite.of(ERF).kernel(cosine), 2 / math.pi * np.arcsin(cosine / 2), atol=1e-14)
    assert Hermite.of(ERF).second_moment == pytest.approx(1 / 3, abs=1e-13)
    assert Hermite.of(ERF).linear == pytest.approx(1 / math.pi, abs=1e-13)


def test_the_kernel_of_relu_is_the_arc_cosine_law() -> None:
    cosine = np.linspace(-0.5, 0.5, 11)
    angle = np.arccos(cosine)
    law = (np.sin(angle) + (math.pi - angle) * cosine) / (2 * math.pi) - 1 / (2 * math.pi)
    np.testing.assert_allclose(Hermite.of(activation("relu")).kernel(cosine), law, atol=1e-12)


@pytest.mark.parametrize(("ratio", "expected"), PLATEAUS.items())
def test_plateaus_against_the_ratio_of_hidden_units(ratio: float, expected: float) -> None:
    assert plateau(ERF, ratio) == pytest.approx(expected, abs=6e-7)


def test_plateaus_of_higher_degree() -> None:
    expected = {1: 7.5117e-3, 3: 8.803e-4, 5: 1.342e-4, 7: 2.32e-5, 9: 4.3e-6}
    for degree, value in expected.items():
        assert plateau_after(ERF, degree) == pytest.approx(value, rel=6e-3)
    assert plateau(ERF, 1e9) == pytest.approx(plateau_after(ERF, 1), rel=1e-6)


@pytest.mark.parametrize(("ratio", "expected"), [(0.5, 0.0963), (1, 0.0375), (2, 0.0144), (4, 0.0100)])
def test_the_exact_kernel_comes_near_the_limit(ratio: float, expected: float) -> None:
    """Of many draws at d = 200; the published solve is of one draw at d = 400."""
    found = [features(200, int(200 * ratio), seed).plateau for seed in range(12)]
    error = float(np.std(found, ddof=1)) / math.sqrt(12)
    assert np.mean(found) == pytest.approx(plateau(ERF, ratio), abs=3 * error + 0.01 * expected)
    assert np.mean(found) == pytest.approx(expected, abs=3 * math.sqrt(13) * error)


def test_a_learning_rate_lifts_the_plateau_and_too_large_a_one_diverges() -> None:
    drawn = features(60, 120)
    assert drawn.stationary_error(1e-9) == pytest.approx(drawn.plateau)
    assert drawn.stationary_error(1.5) == pytest.approx(drawn.plateau / (1 - 1.5 * 2 / 6))
    assert drawn.stationary_error(3.0) == math.inf
    settled = drawn.errors(1.5, [2000.0])[0]
    assert settled == pytest.approx(drawn.stationary_error(1.5), rel=1e-3)
    early, late = drawn.errors(3.3, [1.0, 60.0])
    assert late > 10 * early


def test_small_learning_rates_follow_the_gradient_flow() -> None:
    drawn, rate = features(40, 30), 1e-4
    among, across, of_teacher = drawn.moments
    eigenvalues, vectors = np.linalg.eigh(among)
    times = np.array([0.0, 1e4, 5e4])
    for time, found in zip(times, drawn.errors(rate, times), strict=True):
        weights = vectors @ ((1 - np.exp(-rate * time * eigenvalues)) / eigenvalues * (vectors.T @ across))
        expected = 0.5 * (weights @ among @ weights - 2 * weights @ across + of_teacher)
        assert found == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", ["erf_sqrt2", "tanh", "relu"])
def test_the_descent_itself_follows_it(name: str) -> None:
    """Many runs at once, of one draw of rows; 3 standard errors, and away from them with another learning rate."""
    drawn, rate, runs, generator = features(60, 90, 5, name), 0.8, 200, np.random.default_rng(7)
    among, across, of_teacher = drawn.moments
    mean = math.sqrt(Hermite.of(drawn.activation).squares[0])
    tau, times, found = np.zeros((runs, 90)), [1.0, 4.0, 12.0], []
    for step in range(1, 60 * 12 + 1):
        inputs = generator.standard_normal((runs, 60))
        hidden = drawn.activation.function(inputs @ drawn.student.T / math.sqrt(60)) - mean
        labels = (drawn.activation.function(inputs @ drawn.teacher.T / math.sqrt(60)) - mean) @ drawn.readout
        tau += rate / 60 * (labels - np.sum(tau * hidden, axis=1))[:, None] * hidden
        if step / 60 in times:
            found.append(0.5 * (np.einsum("ri,ij,rj->r", tau, among, tau) - 2 * tau @ across + of_teacher))
    errors = [np.std(one, ddof=1) / math.sqrt(runs) for one in found]
    predicted = drawn.errors(rate, times)
    deviations = [abs(np.mean(one) - value) / error for one, value, error in zip(found, predicted, errors, strict=True)]
    other = [
        abs(np.mean(one) - value) / error
        for one, value, error in zip(found, drawn.errors(1.6 * rate, times), errors, strict=True)
    ]
    assert max(deviations) < 3.5 and max(other) > 5


@pytest.mark.parametrize("ratio", [0.7, 2.0])
def test_the_posterior_mean_of_a_readout(ratio: float) -> None:
    """Ridge regression itself, on many data sets of one draw of rows; another noise variance is far away."""
    drawn, width, variance, generator = features(150, 200, 3), 200, 0.02, np.random.default_rng(11)
    among, across, of_teacher = drawn.moments
    errors = []
    for _ in range(12):
        inputs = generator.standard_normal((round(ratio * width), 150)) / math.sqrt(150)
        hidden = drawn.activation.function(inputs @ drawn.student.T)
        labels = drawn.activation.function(inputs @ drawn.teacher.T).sum(1)
        labels += math.sqrt(variance) * generator.standard_normal(len(labels))
        mean = np.linalg.solve(hidden.T @ hidden + width * variance * np.eye(width), hidden.T @ labels)
        errors.append(mean @ among @ mean - 2 * mean @ across + of_teacher)
    error = float(np.std(errors, ddof=1)) / math.sqrt(12)
    predicted = drawn.posterior_mean_error(ratio, variance)
    assert np.mean(errors) == pytest.approx(predicted, abs=3 * error + 0.01 * predicted)
    assert abs(np.mean(errors) - drawn.posterior_mean_error(ratio, 16 * variance)) > 5 * error


@pytest.mark.parametrize("ratio", [0.0, -1.0, math.inf, math.nan])
def test_ratios_that_are_none_are_refused(ratio: float) -> None:
    with pytest.raises(ValueError, match="must be finite and positive"):
        plateau(ERF, ratio)


def test_an_activation_without_a_linear_part_is_refused() -> None:
    with pytest.raises(ValueError, match="has no linear part"):
        plateau(activation("tanh2_nonlinear"), 1.0)


def test_levels_of_three_inputs_are_those_of_legendre_polynomials() -> None:
    """a_l = (2 l + 1) / 2 int kernel(t) P_l(t) dt, by adaptive quadrature; all degrees together are the kernel at 1."""
    erf = activation("erf_sqrt2")

    def projected(order: int) -> float:
        def weighed(cosine: float) -> float:
            kernel = 2 / math.pi * math.asin(cosine / 2)
            return (order + 0.5) * kernel * float(special.eval_legendre(order, cosine))

        return integrate.quad(weighed, -1, 1, epsabs=1e-13)[0]

    levels = [0.5 * (1 / 3 - sum(projected(order) for order in range(degree + 1))) for degree in range(8)]
    found = [plateau_after(erf, degree, 3) for degree in range(8)]
    np.testing.assert_allclose(found, levels, atol=1e-9)
    assert plateau_after(erf, 41, 3) < 1e-9 < plateau_after(erf, 5, 3)


def test_levels_approach_those_of_hermite_polynomials() -> None:
    """From below, by 1/d; the limits are published: 7.512e-3, 8.803e-4 and 1.342e-4 after degrees 1, 3 and 5."""
    erf = activation("erf_sqrt2")
    for degree, limit in ((1, 7.512e-3), (3, 8.803e-4), (5, 1.342e-4)):
        gaps = [1 - plateau_after(erf, degree, dim) / limit for dim in (1000, 2000)]
        assert 0 < gaps[1] < gaps[0] < 0.03 and gaps[0] / gaps[1] == pytest.approx(2, rel=0.1)
