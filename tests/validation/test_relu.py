"""ReLU networks, one and two hidden layers, against the linear model conjectured for them (some minutes on one core).

At every size against the infinitely wide network on the same inputs, whose own errors need no sampling, and in the
limit of three sizes, A + B/d, against the conjecture. Theory counts the bias of a teacher as known; it leaves out, at
finite n, log(1 + n K(0) / (Delta + gamma)) / 2n: the information on a normal number of variance K(0) seen n times.
"""

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

import nishimori as nm
from nishimori.comparison.finite_size import LimitFit, SizedPoints, fit_limit
from nishimori.sampling.controlled import Controlled
from nishimori.theory import Prediction
from nishimori.theory.gaussian import gaussian_prediction
from nishimori.theory.nngp import conjectured_linear_model

NOISE, RATIO, INSTANCES, SIZES = 0.1, 2.0, 16, (16, 32, 64)
BY_DEPTH = pytest.mark.parametrize("depth", [1, 2])


def network_of(depth: int, dim: int) -> nm.Network:
    return nm.Network(dim, (dim,) * depth, "relu")


def posterior_of(depth: int, dim: int) -> nm.Posterior:
    network, samples = network_of(depth, dim), round(RATIO * dim)
    problem = nm.matched_teacher(network, nm.GaussianChannel(NOISE), samples, INSTANCES, seed=dim, test_samples=500)
    return nm.Posterior(problem, "fp32", "cpu")


def predicted(depth: int) -> Prediction:
    return nm.theory.predict(network_of(depth, 1), nm.GaussianChannel(NOISE), RATIO, conjecture=True)


def bias_information(depth: int, dim: int) -> float:
    model = conjectured_linear_model(network_of(depth, 1))
    samples = RATIO * dim
    return math.log1p(samples * model.bias_variance / (NOISE + model.gamma)) / (2 * samples)


@cache
def errors_of(depth: int, dim: int) -> Controlled:
    """Against the infinitely wide network on the same inputs."""
    run = nm.sample(posterior_of(depth, dim), nm.HMC(), chains=1, warmup=60, draws=150, start="both", seed=2)
    return nm.controlled_errors(run).bayes_error


@cache
def information_of(depth: int, dim: int) -> tuple[float, float]:
    """I / n, less that of the bias, and its standard error, with half the gap of the two bounds."""
    estimate = nm.information(posterior_of(depth, dim), "collapsed", rungs=200, seed=3).best.estimate
    return estimate.value - bias_information(depth, dim), estimate.standard_error


def limit_of(points: list[tuple[float, float]]) -> LimitFit:
    values, errors = np.array(points).T
    return fit_limit(SizedPoints(np.array(SIZES, dtype=float), values, errors, [INSTANCES] * len(SIZES)))


@pytest.mark.validate
@BY_DEPTH
def test_the_bayes_error_leads_to_the_conjecture(depth: int) -> None:
    estimates = [errors_of(depth, dim).estimate for dim in SIZES]
    points = [(estimate.value, estimate.standard_error) for estimate in estimates]
    fit, expected = limit_of(points), predicted(depth).bayes_error
    z = (fit.limit - expected) / fit.standard_error
    print(f"L={depth} bayes_error {points} limit {fit.limit:.5f} ({fit.standard_error:.5f}), {expected:.5f}, z={z:.2f}")
    assert fit.standard_error < 0.03 * expected
    assert abs(z) < 3
    # The bias counted as noise, or rho = E phi' in every layer as for odd activations, would be told apart.
    model = conjectured_linear_model(network_of(depth, 1))
    wrong = [replace(model, gamma=model.gamma + model.bias_variance)]
    wrong += [replace(model, eta=0.5**depth)] if depth > 1 else []
    for other in wrong:
        assert abs(gaussian_prediction(other, NOISE, RATIO).bayes_error - fit.limit) > 3 * fit.standard_error


@pytest.mark.validate
@BY_DEPTH
def test_the_information_leads_to_the_conjecture(depth: int) -> None:
    points = [information_of(depth, dim) for dim in SIZES]
    fit, expected = limit_of(points), predicted(depth).mutual_information
    z = (fit.limit - expected) / fit.standard_error
    print(f"L={depth} I/n {points} limit {fit.limit:.5f} ({fit.standard_error:.5f}) {expected:.5f} z={z:.2f}")
    assert fit.standard_error < 0.03 * expected
    assert abs(z) < 3


@pytest.mark.validate
@BY_DEPTH
def test_at_finite_size_the_infinitely_wide_network_is_near(depth: int) -> None:
    """E (<F> - m)^2, m that network's prediction: what width costs is not negative, small, and falls with the size."""
    small, large = (errors_of(depth, dim) for dim in (SIZES[0], SIZES[-1]))
    for one in (small, large):
        print(f"L={depth} wide {one.kernel}, distance {one.distance}")
        assert one.distance.value > -3 * one.distance.standard_error
        assert one.distance.value < 0.1 * one.kernel.value
    error = math.hypot(large.distance.standard_error, small.distance.standard_error / 2)
    assert large.distance.value < small.distance.value / 2 + 3 * error
