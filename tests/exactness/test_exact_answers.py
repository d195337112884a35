"""What the laws take for exact, against answers of another origin."""

import math

import numpy as np
import pytest
import torch
from scipy import special, stats

import nishimori as nm
from nishimori.exactness.bias import extrapolated, power, rippled
from nishimori.exactness.funnel import SCALE, FunnelPosterior, funnel
from nishimori.exactness.gaussian import gaussian
from nishimori.exactness.laws import Comparison, Outcome, Place
from nishimori.exactness.linear_network import collapsed_linear_network, linear_network
from nishimori.exactness.linear_network_posterior import LinearNetworkPosterior, exact_draws
from nishimori.exactness.moments import compare
from nishimori.exactness.quadrature import GridLaw
from nishimori.exactness.ranks import uniformity
from nishimori.models.randomness import Randomness
from nishimori.samplers.base import State
from nishimori_kernels.rng.streams import Stream

PLACE = Place(seed=5)


def test_a_grid_law_has_the_moments_and_quantiles_of_a_gamma():
    """log x for x ~ Gamma(2.5): scipy's digamma, trigamma and quantiles."""
    points = np.linspace(-14, 5, 4001)
    law = GridLaw.of(points, 2.5 * points - np.exp(points))
    assert law.mean(points) == pytest.approx(special.digamma(2.5), rel=1e-8)
    assert law.mean(points**2) - law.mean(points) ** 2 == pytest.approx(special.polygamma(1, 2.5), rel=1e-8)
    probability = np.array([0.01, 0.2, 0.5, 0.9, 0.999])
    np.testing.assert_allclose(np.exp(law.quantile(probability)), stats.gamma(2.5).ppf(probability), rtol=1e-4)


def test_funnel_moments_agree_with_sums_over_a_grid():
    """Of two observations, summed over v and over z = exp(-v / 2) x, without the Gaussian algebra in x."""
    observed, noise = np.array([-0.4, 1.5]), 0.8
    v, z = np.linspace(-13, 11, 401)[:, None], np.linspace(-8, 8, 6401)
    x = np.exp(v / 2) * z
    weights = [np.exp(-(z**2) / 2 - (y - x) ** 2 / (2 * noise)) for y in observed]
    (zeroth, first, second), (other, *_) = ([(weight * x**k).sum(1) for k in range(3)] for weight in weights)
    prior = np.exp(-(v[:, 0] ** 2) / (2 * SCALE**2))
    total = (prior * zeroth * other).sum()
    law = FunnelPosterior.of(observed, noise)
    assert law.v_moments()[0] == pytest.approx((prior * zeroth * other * v[:, 0]).sum() / total, abs=1e-3)
    mean = (prior * first * other).sum() / total
    assert law.x_moments()[0][0] == pytest.approx(mean, rel=1e-3)
    assert law.x_moments()[1][0] == pytest.approx((prior * second * other).sum() / total - mean**2, rel=1e-3)


def test_the_linear_network_posterior_agrees_with_importance_sampling():
    """Half a million prior draws of W and a, weighed by their likelihood."""
    problem = nm.matched_teacher(nm.Network(3, (2,), "identity"), nm.GaussianChannel(1.0), 4, test_samples=3)
    prior = nm.Posterior(problem, "fp64", "cpu").initial_position(500_000, "prior", 9)
    hidden, readout = prior.blocks[0][0], prior.blocks[1][0]
    effective = (readout.unsqueeze(1) @ hidden).squeeze(1) / math.sqrt(2 * 3)
    residual = problem.labels[0] - effective @ problem.inputs[0].T
    weight = torch.softmax(-residual.square().sum(-1) / 2, dim=0)
    outputs = effective @ problem.rows("test")[0].T
    mean = weight @ outputs
    variance = weight @ (outputs - mean).square()
    error = float((weight.square() @ (outputs - mean).square()).sqrt().max())
    exact_mean, exact_variance = LinearNetworkPosterior.of(problem, 0).prediction(problem.rows("test")[0].numpy())
    assert np.abs(mean.numpy() - exact_mean).max() < 4 * error < 0.02
    np.testing.assert_allclose(variance, exact_variance, rtol=0.03)


def test_the_evidence_of_the_linear_network_agrees_with_the_mean_likelihood_over_the_prior():
    problem = nm.matched_teacher(nm.Network(3, (2,), "identity"), nm.GaussianChannel(1.0), 4, 3, test_samples=1)
    prior = nm.Posterior(problem, "fp64", "cpu").initial_position(200_000, "prior", 9)
    effective = (prior.blocks[1].unsqueeze(2) @ prior.blocks[0]).squeeze(2) / math.sqrt(2 * 3)
    residual = problem.labels.unsqueeze(1) - effective @ problem.inputs.transpose(1, 2)
    likelihood = torch.exp(-residual.square().sum(-1) / 2) / (2 * math.pi) ** 2
    error = likelihood.std(1) / math.sqrt(200_000)
    for place in range(3):
        exact = math.exp(LinearNetworkPosterior.of(problem, place).log_evidence)
        assert abs(float(likelihood[place].mean()) - exact) < 4 * float(error[place]) < 0.05 * exact


def test_exact_draws_of_the_linear_network_have_its_moments_and_prior_directions():
    problem = nm.matched_teacher(nm.Network(3, (2,), "identity"), nm.GaussianChannel(0.5), 4, 2, test_samples=3)
    draws = exact_draws(problem, Randomness.of(1, "draws", problem.instances, range(40_000)))
    hidden, readout = draws.blocks
    effective = (readout.unsqueeze(2) @ hidden).squeeze(2) / math.sqrt(2 * 3)
    outputs = effective @ problem.rows("test").transpose(1, 2)
    for place in range(2):
        mean, variance = LinearNetworkPosterior.of(problem, place).prediction(problem.rows("test")[place].numpy())
        error = np.sqrt(variance / 40_000)
        assert (np.abs(outputs[place].mean(0).numpy() - mean) < 4 * error).all()
        np.testing.assert_allclose(outputs[place].var(0).numpy(), variance, rtol=0.04)
    # Across the readout nothing is learnt of W: unit variance, and none shared with the readout.
    across = torch.stack([-readout[..., 1], readout[..., 0]], dim=-1) / readout.norm(dim=-1, keepdim=True)
    free = (across.unsqueeze(2) @ hidden).squeeze(2)
    assert abs(float(free.square().mean()) - 1) < 4 * math.sqrt(2 / free.numel())


@pytest.mark.parametrize("case_of", [gaussian, linear_network, collapsed_linear_network, funnel, rippled])
def test_every_quantity_is_1_at_exact_draws(case_of):
    """Before any sampler has moved them: |z| < 4, and the draws of another chain are others."""
    case = case_of(PLACE)
    randomness = Randomness.of(PLACE.seed, "start", case.target.instances, range(2000))
    position = case.start(randomness)
    momentum = randomness.fill_normals(position.empty_like(), Stream.MOMENTUM, 0)
    energy, gradient = case.target.energy_and_gradient(position)
    observed = case.observe(State(position, energy, gradient, momentum))
    assert observed.shape == (len(case.quantities), len(case.target.instances), 2000)
    for name, values in zip(case.quantities, observed, strict=True):
        assert abs(compare(name, values).z) < 4, name
    edge = position.to_edge()
    assert not torch.isclose(edge[:, 0], edge[:, 1], rtol=1e-9, atol=0).any()


def test_a_comparison_is_in_units_of_the_spread_of_chains():
    """Two instances of 3 chains: errors 1 / sqrt(3) and 2 / sqrt(3) of the two means."""
    averages = torch.tensor([[0.0, 1.0, 2.0], [0.0, 2.0, 4.0]])
    error = math.sqrt(1 / 3 + 4 / 3) / 2
    one = compare("x", averages)
    assert one.relative_error == pytest.approx(error)
    assert one.z == pytest.approx((1.5 - 1) / error)


@pytest.mark.parametrize(
    ("z", "error", "passes"), [(3.9, 0.002, True), (-4.1, 0.002, False), (0.1, 0.003, False), (math.nan, 0.0, False)]
)
def test_an_outcome_needs_every_comparison_near_and_sharp(z, error, passes):
    outcome = Outcome((Comparison("fine", 1.0, 0.001), Comparison("this", z, error)))
    assert outcome.passed == passes
    assert (outcome.worst.quantity == "this") == (abs(z) > 1 or math.isnan(z))
    assert outcome.bluntest.relative_error == max(error, 0.001)


STEPS = np.array([0.2, 0.28, 0.4, 0.5])


@pytest.mark.parametrize(("exponent", "passes"), [(2, True), (1, False), (3, False)])
def test_the_power_of_a_bias_is_found(exponent, passes):
    bias = 0.17 * STEPS**exponent * (1 + 0.3 * STEPS**2)
    one = power("x", STEPS, bias, np.full(4, 1e-4))
    assert one.passed == passes and one.relative_error < 0.1
    assert one.z * one.relative_error * 2 + 2 == pytest.approx(exponent, abs=0.02)


def test_a_bias_is_extrapolated_to_step_zero():
    bias, error = 0.17 * STEPS**2 - 0.05 * STEPS**4, np.full(4, 1e-4)
    assert abs(extrapolated("x", STEPS, bias, error).z) < 1e-6
    assert extrapolated("x", STEPS, bias + 0.001, error).z > 4


def test_uniform_ranks_pass_and_others_fail():
    """64 possible ranks in 200 replications: even ones, those of a posterior too narrow, and shifted ones."""
    even = torch.arange(200) * 64 // 200
    assert all(abs(one.z) < 4 for one in uniformity("x", even.double(), 63)[1:])
    pushed = torch.where(even < 32, even // 2, 63 - (63 - even) // 2).double()
    assert [abs(one.z) > 4 for one in uniformity("x", pushed, 63)] == [True, False, True]
    shifted = (even * 2 // 3).double()
    assert [abs(one.z) > 4 for one in uniformity("x", shifted, 63)[:2]] == [True, True]


def test_the_deviates_of_ranks_are_standard():
    """Over 4000 sets of uniform ranks: mean 0, variance 1 within four standard errors, chi-square included."""
    ranks = torch.from_numpy(np.random.default_rng(3).integers(0, 64, (4000, 200))).double()
    z = torch.tensor([[one.z for one in uniformity("x", row, 63)] for row in ranks])
    assert (z.mean(0).abs() < 4 / math.sqrt(4000) + 0.02).all()
    assert ((z.var(0) - 1).abs() < 4 * math.sqrt(2 / 4000) + 0.05).all()
