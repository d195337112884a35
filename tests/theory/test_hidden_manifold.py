"""Online learning on structured inputs: Gaussian averages by quadrature and Monte Carlo, the equations by another
integration, and limits that are known."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.integrate import solve_ivp
from scipy.special import erf

from nishimori.description.activations import ACTIVATIONS
from nishimori.description.input_moments import InputMoments, through_layers
from nishimori.theory.hidden_manifold import (
    OnlineDescent,
    Spectrum,
    Start,
    curvature_mean,
    noise_mean,
    pair_mean,
    slope_mean,
)

Array = NDArray[np.float64]
COVARIANCE = np.array([[1.3, 0.4, -0.2, 0.5], [0.4, 0.8, 0.3, 0.1], [-0.2, 0.3, 1.0, -0.4], [0.5, 0.1, -0.4, 0.9]])


def g(u: Array) -> Array:
    return erf(u / math.sqrt(2))


def slope(u: Array) -> Array:
    return math.sqrt(2 / math.pi) * np.exp(-(u**2) / 2)


def average(covariance: Array, first: int, second: int, functions: tuple) -> float:
    """By Gauss-Hermite quadrature in two dimensions, degenerate where both are one."""
    points, weights = np.polynomial.hermite_e.hermegauss(120)
    weights = weights / weights.sum()
    own = covariance[np.ix_([first, second], [first, second])]
    deviation = math.sqrt(own[0, 0])
    along = own[0, 1] / deviation
    across = math.sqrt(max(0.0, own[1, 1] - along**2))
    a, b = deviation * points[:, None], along * points[:, None] + across * points[None]
    return float(weights @ (functions[0](a) * functions[1](b)) @ weights)


@pytest.mark.parametrize(("first", "second"), [(0, 0), (0, 1), (2, 3), (3, 1)])
def test_averages_of_pairs_are_those_of_quadrature(first: int, second: int) -> None:
    where = first, second
    assert pair_mean(COVARIANCE)[where] == pytest.approx(average(COVARIANCE, *where, (g, g)), abs=1e-9)
    assert slope_mean(COVARIANCE)[where] == pytest.approx(average(COVARIANCE, *where, (slope, slope)), abs=1e-9)
    curved = average(COVARIANCE, *where, (lambda u: -u * slope(u), g))
    assert curvature_mean(COVARIANCE)[where] == pytest.approx(curved, abs=1e-9)


def test_averages_of_four_are_those_of_sampling() -> None:
    draws = 400_000
    fields = np.random.default_rng(0).multivariate_normal(np.zeros(4), COVARIANCE, draws)
    found, outer = noise_mean(COVARIANCE, 2), slope(fields)
    for k, l, a, b in [(0, 0, 0, 0), (0, 1, 2, 3), (0, 1, 0, 1), (1, 1, 0, 3), (1, 0, 2, 2)]:  # noqa: E741
        values = outer[:, k] * outer[:, l] * g(fields[:, a]) * g(fields[:, b])
        z = (values.mean() - found[k, l, a, b]) / (values.std() / math.sqrt(draws))
        assert abs(z) < 4


def undiagonalised(moments: InputMoments, start: Start, rate: float, noise: float, times: list[float]) -> Array:
    """The same limit as equations for E w_k [N] and E w_k w_l^T [N, N], without eigenbasis and densities."""
    dim, latent, units = moments.input_dim, moments.latent_dim, len(start.readout)
    towards = moments.cross @ start.teacher_weights.T
    among_teacher = start.teacher_weights @ start.teacher_weights.T / latent
    omega, size = moments.covariance, units * dim

    def parts(state: Array) -> tuple[Array, Array, Array]:
        mean = state[:size].reshape(units, dim)
        square = state[size:-units].reshape(units, units, dim, dim)
        return mean, square, state[-units:]

    def covariance(mean: Array, square: Array) -> Array:
        inner = np.array([[np.sum(omega * square[k, l]) for l in range(units)] for k in range(units)]) / dim  # noqa: E741
        outer = mean @ towards / math.sqrt(dim * latent)
        return np.block([[inner, outer], [outer.T, among_teacher]])

    def velocity(time: float, state: Array) -> Array:
        mean, square, readout = parts(state)
        fields, signed = covariance(mean, square), np.concatenate([readout, -start.teacher_readout])
        curved, slopes, fourth = curvature_mean(fields), slope_mean(fields), noise_mean(fields, units)
        mean_rate, square_rate = np.zeros_like(mean), np.zeros_like(square)
        for k in range(units):
            own = float(curved[k] @ signed)
            taught = sum(
                slopes[k, units + n] * start.teacher_readout[n] * towards[:, n] for n in range(len(signed) - units)
            )
            taught = taught * math.sqrt(dim / latent)
            pulled = own * mean[k] + sum(slopes[k, j] * readout[j] * mean[j] for j in range(units))
            mean_rate[k] = -rate * readout[k] * (omega @ pulled - taught)
            for l in range(units):  # noqa: E741
                pulled = own * square[k, l] + sum(slopes[k, j] * readout[j] * square[j, l] for j in range(units))
                drift = -rate * readout[k] * (omega @ pulled - np.outer(taught, mean[l]))
                square_rate[k, l] += drift
                square_rate[l, k] += drift.T
                error = float(signed @ fourth[k, l] @ signed) + noise * slopes[k, l]
                square_rate[k, l] += rate**2 * readout[k] * readout[l] * error * omega
        return np.concatenate([mean_rate.ravel(), square_rate.ravel(), -rate * (pair_mean(fields)[:units] @ signed)])

    square = np.einsum("ka,lb->klab", start.weights, start.weights)
    first = np.concatenate([start.weights.ravel(), square.ravel(), start.readout])
    solved = solve_ivp(velocity, (0, times[-1]), first, "RK45", t_eval=times, rtol=1e-9, atol=1e-10)
    errors = []
    for state in solved.y.T:
        mean, square, readout = parts(state)
        signed = np.concatenate([readout, -start.teacher_readout])
        errors.append(0.5 * signed @ pair_mean(covariance(mean, square)) @ signed)
    return np.array(errors)


def layers(dims: list[int], seed: int = 0) -> list[Array]:
    drawn = [np.random.default_rng(seed).standard_normal(shape) for shape in zip(dims[1:], dims, strict=False)]
    return [one / np.linalg.norm(one, axis=1, keepdims=True) for one in drawn]


def start_of(units: int, teacher_units: int, dim: int, latent: int) -> Start:
    generator = np.random.default_rng(1)
    return Start(
        generator.standard_normal((units, dim)),
        0.7 * generator.standard_normal(units),
        generator.standard_normal((teacher_units, latent)),
        1 + 0.3 * generator.standard_normal(teacher_units),
    )


@pytest.mark.parametrize(("activation", "dims"), [("sign", [6, 14]), ("relu", [8, 12]), ("erf", [12, 24, 24])])
def test_the_equations_are_those_before_they_are_diagonalised(activation: str, dims: list[int]) -> None:
    moments, times = through_layers(layers(dims), ACTIVATIONS[activation]), [0.5, 2.0, 8.0]
    start = start_of(2, 3, dims[-1], dims[0])
    known = undiagonalised(moments, start, 0.3, 0.2, times)
    found = OnlineDescent(Spectrum(moments), start, 0.3, 0.2).errors(times)
    np.testing.assert_allclose(found, known, atol=1e-6)
    assert found[-1] < 0.95 * found[0]


def test_a_student_that_is_the_teacher_stays() -> None:
    moments = InputMoments.of_latent(20)
    weights, ones = np.random.default_rng(2).standard_normal((2, 20)), np.ones(2)
    start = Start(weights, ones, weights, ones)
    np.testing.assert_allclose(OnlineDescent(Spectrum(moments), start, 0.2).errors([0.0, 5.0]), 0, atol=1e-12)


def test_one_unit_on_independent_inputs_follows_the_classic_equations() -> None:
    """Saad and Solla 1995, readouts that start at 1: Q and R of one unit, here with its readout learnt too."""
    dim, rate = 400, 0.5
    generator = np.random.default_rng(3)
    start = Start(generator.standard_normal((1, dim)), np.ones(1), generator.standard_normal((1, dim)), np.ones(1))

    def fields(state: Array) -> Array:
        among, across, _ = state
        return np.array([[among, across], [across, taught]])

    def velocity(time: float, state: Array) -> Array:
        covariance, signed = fields(state), np.array([state[2], -1.0])
        q, r, v = state
        one_q, one_t = 1 + q, 1 + taught
        determinant = one_q * one_t - r**2
        student = v * 2 / math.pi * q / one_q / math.sqrt(1 + 2 * q)
        # E g'(a) a g(b) and E g'(a) b g(b), by hand
        own_across = 2 / math.pi * r / (one_q * math.sqrt(determinant))
        teacher_across = 2 / math.pi * (taught * one_q - r**2) / (one_q * math.sqrt(determinant))
        cross = v * 2 / math.pi * r / one_q / math.sqrt(1 + 2 * q)
        noise = float(signed @ noise_mean(covariance, 1)[0, 0] @ signed)
        grown = 2 * rate * v * (own_across - student) + rate**2 * v**2 * noise
        return np.array([grown, rate * v * (teacher_across - cross), -rate * pair_mean(covariance)[0] @ signed])

    taught = float(start.teacher_weights[0] @ start.teacher_weights[0]) / dim
    begin = np.array([np.sum(start.weights**2), np.sum(start.weights * start.teacher_weights), dim]) / dim
    solved = solve_ivp(velocity, (0, 6), begin, "RK45", t_eval=[1.0, 6.0], rtol=1e-10, atol=1e-10)
    known = [0.5 * np.array([s[2], -1]) @ pair_mean(fields(s)) @ np.array([s[2], -1]) for s in solved.y.T]
    moments = InputMoments.of_latent(dim)
    np.testing.assert_allclose(OnlineDescent(Spectrum(moments), start, rate).errors([1.0, 6.0]), known, atol=1e-7)


def test_moments_of_random_layers_have_the_published_coefficients() -> None:
    """b and c* of arXiv 2006.14709 and 1909.11500: erf(u) 2/sqrt(3 pi) and .200364, tanh .605706 and .165576, relu 1/2
    and sqrt((pi - 2) / 4 pi), sign sqrt(2/pi) and sqrt(1 - 2/pi)."""
    known = {
        "erf": (2 / math.sqrt(3 * math.pi), 0.200364),
        "tanh": (0.605706, 0.165576),
        "relu": (0.5, math.sqrt((math.pi - 2) / (4 * math.pi))),
        "sign": (math.sqrt(2 / math.pi), math.sqrt(1 - 2 / math.pi)),
    }
    (rows,) = layers([4, 7])
    for name, (slope_known, rest) in known.items():
        moments = through_layers([rows], ACTIVATIONS[name])
        np.testing.assert_allclose(moments.cross, slope_known * rows, atol=1e-6)
        linear = slope_known**2 * rows @ rows.T
        np.testing.assert_allclose(moments.covariance, linear + np.diag(np.full(7, rest**2)), atol=2e-6)
