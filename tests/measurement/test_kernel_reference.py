"""Averages over teachers that need no sampling: against each other, against teachers, and exact posterior means."""

import numpy as np
import pytest
import torch

import nishimori as nm
from nishimori.exactness.linear_network_posterior import LinearNetworkPosterior
from nishimori.measurement.kernel_reference import KernelReference, further_averages
from nishimori.measurement.overlaps import effective_matrix, effective_weights
from nishimori.models.problem import Problem

NOISE = 0.2


def problem_of(widths: tuple[int, ...], activation: str, instances: int = 40, readout: str = "gaussian") -> Problem:
    network = nm.Network(5, widths, activation, readout)
    return nm.matched_teacher(network, nm.GaussianChannel(NOISE), 9, instances, seed=1, test_samples=7)


def z_of(values: np.ndarray | torch.Tensor) -> float:
    values = np.asarray(values)
    return float(values.mean() / (values.std(ddof=1) / len(values) ** 0.5))


@pytest.mark.parametrize(("activation", "readout"), [("relu", "gaussian"), ("tanh", "gaussian"), ("erf", "fixed")])
def test_drawn_hidden_layers_agree_with_the_exact_averages_of_one(activation: str, readout: str, monkeypatch):
    problem = problem_of((4,), activation, readout=readout)
    exact, drawn = KernelReference(problem), KernelReference(problem, seed=3)
    assert exact.exact
    expected, expected_error, expected_overlap = exact.information.information, exact.squared_error, exact.overlap
    monkeypatch.setattr(KernelReference, "exact", False)
    assert abs(z_of(drawn.information.information - expected)) < 3.5
    assert abs(z_of(drawn.squared_error - expected_error)) < 3.5
    assert abs(z_of(drawn.overlap - expected_overlap)) < 3.5
    np.testing.assert_array_equal(drawn.information.log_density, exact.information.log_density)


@pytest.mark.parametrize(("widths", "readout"), [((4,), "gaussian"), ((4, 3), "gaussian"), ((4, 3), "fixed")])
def test_averages_are_those_over_teachers(widths: tuple[int, ...], readout: str):
    """800 teachers: -log N(y; 0, C) of their labels, and the squared errors of the kernel's prediction and weights."""
    problem = problem_of(widths, "erf", 800, readout)
    reference = KernelReference(problem, draws=8)
    given = reference.information
    constant = 9 / 2 * np.log(2 * np.pi * np.e * NOISE)
    assert abs(z_of(-given.log_density - constant - given.information)) < 3.5
    error = (reference.wide.predictions() - problem.known_teacher().test_latent).square().mean(-1)
    assert abs(z_of(error - reference.squared_error)) < 3.5
    weights = effective_weights(problem.known_teacher().weights, problem.network).squeeze(1)
    distance = (reference.wide.effective_weights - weights).square().mean(-1)
    assert abs(z_of(1 - distance - reference.overlap)) < 3.5
    # The negative control: weights twice as large.
    distance = (2 * reference.wide.effective_weights - weights).square().mean(-1)
    assert abs(z_of(1 - distance - reference.overlap)) > 4
    # The negative control: a label of half the noise.
    assert abs(z_of(-given.log_density - constant - given.information + 9 * np.log(2) / 2)) > 10


def test_pythagoras_holds_with_the_exact_mean_of_linear_networks():
    """E (F* - <F>)^2 = E (m - F*)^2 - E (<F> - m)^2, the posterior's own variance on the left."""
    problem = problem_of((3,), "identity", 200)
    reference = KernelReference(problem)
    exact = [
        LinearNetworkPosterior.of(problem, place).prediction(problem.rows("test")[place].numpy())
        for place in range(200)
    ]
    mean, variance = (np.stack(values) for values in zip(*exact, strict=True))
    distance = ((mean - reference.wide.predictions().numpy()) ** 2).mean(-1)
    controlled = reference.squared_error.numpy() - distance
    assert abs(z_of(controlled - variance.mean(-1))) < 3.5
    assert z_of(distance) > 4
    assert controlled.std() < 0.8 * ((mean - problem.known_teacher().test_latent.numpy()) ** 2).mean(-1).std()


def test_the_readout_multiplies_the_effective_matrix():
    network = nm.Network(5, (4, 3), "tanh", bias_variance=0.3, weight_variance=1.7)
    weights = nm.matched_teacher(network, nm.GaussianChannel(NOISE), 9, 3, test_samples=1).known_teacher().weights
    vectors = effective_matrix(weights, network) @ weights.blocks[2].unsqueeze(-1)
    np.testing.assert_allclose(vectors.squeeze(-1), effective_weights(weights, network), rtol=1e-12)


def test_further_data_sets_have_the_same_averages():
    """Those that are drawn 16 at a time, and others of the same law; none of them is one of the instances."""
    problem = problem_of((4, 3), "erf", 200)
    further, own = further_averages(problem, 100, 1, ""), KernelReference(problem)
    again = further_averages(problem, 20, 1, "")
    np.testing.assert_array_equal(further.overlap[:20], again.overlap)
    for name in ("squared_error", "overlap"):
        mine, others = np.asarray(getattr(own, name)), getattr(further, name)
        spread = np.hypot(mine.std() / 200**0.5, others.std() / 100**0.5)
        assert abs(mine.mean() - others.mean()) < 3.5 * spread
        assert np.abs(mine[:100] - others).min() > 0
