"""MALA and pCNL: the Hastings ratio from the proposal densities themselves, and what each reduces to."""

import math

import pytest
import torch
from targets import GaussianTarget, WrappedTarget, fixed_kernel
from torch.distributions import Normal

import nishimori as nm
from nishimori.models.layout import Position
from nishimori.models.posterior import Posterior
from nishimori.models.randomness import Randomness
from nishimori.models.target import Target
from nishimori.samplers.mala import MALAKernel

STEP = 0.3


def tanh_posterior(precision: str = "fp64") -> Posterior:
    problem = nm.matched_teacher(nm.Network(6, (7, 5), "tanh"), nm.GaussianChannel(0.1), 12, 2, test_samples=1)
    return nm.Posterior(problem, precision, "cpu")


def kernel_of(target: Target, proposal: str, step_size: float, chains: int, seed: int = 0) -> MALAKernel:
    steps = torch.full((len(target.instances),), step_size)
    return nm.MALA(proposal=proposal).kernel(target, steps, 1, Randomness.of(seed, "", target.instances, range(chains)))


def test_a_langevin_step_is_one_leapfrog_step():
    """The same momenta give the same proposals, energy errors and decisions as HMC with one step."""
    target = tanh_posterior()
    mala = kernel_of(target, "langevin", STEP, 4)
    hmc = fixed_kernel(target, "leapfrog", STEP, 1, chains=4)
    state, expected = (kernel.init(target.initial_position(4, "prior", 0)) for kernel in (mala, hmc))
    accepted = []
    for step in range(20):
        state, info = mala.step(state, step)
        expected, told = hmc.step(expected, step)
        torch.testing.assert_close(info.energy_error, told.energy_error, rtol=1e-9, atol=1e-9)
        assert torch.equal(info.accepted, told.accepted)
        torch.testing.assert_close(state.position.flat, expected.position.flat, rtol=1e-10, atol=1e-10)
        accepted.append(info.accepted)
    assert 0 < torch.stack(accepted).double().mean() < 1


def mean_and_scale(proposal: str, position: torch.Tensor, gradient: torch.Tensor) -> tuple[torch.Tensor, float]:
    """Of the proposal from `position`, as the papers write them; pCNL by the gradient of Phi."""
    if proposal == "langevin":
        return position - STEP**2 / 2 * gradient, STEP
    delta = STEP**2 / 2
    mean = ((2 - delta) * position - 2 * delta * (gradient - position)) / (2 + delta)
    return mean, math.sqrt(8 * delta) / (2 + delta)


@pytest.mark.parametrize("proposal", ["langevin", "pcnl"])
def test_the_energy_error_is_the_hastings_ratio_of_the_proposal_densities(proposal):
    """log [pi(v) q(v, u) / (pi(u) q(u, v))] with both transition densities written out."""
    target, chains = tanh_posterior(), 3
    kernel = kernel_of(target, proposal, STEP, chains)
    state = kernel.init(target.initial_position(chains, "prior", 0))
    noise = kernel.randomness.fill_normals(state.position.empty_like(), kernel.streams.momentum, 5)
    proposed, error = kernel.propose(target, state, noise, kernel.step_size)
    here, there = state.position.to_edge(), proposed.position.to_edge()
    forth, scale = mean_and_scale(proposal, here, target.gradient(state.position).to_edge())
    back, _ = mean_and_scale(proposal, there, target.gradient(proposed.position).to_edge())
    torch.testing.assert_close(there, forth + scale * noise.to_edge(), rtol=1e-12, atol=1e-12)
    ratio = Normal(back, scale).log_prob(here).sum(-1) - Normal(forth, scale).log_prob(there).sum(-1)
    ratio += target.energy(state.position) - target.energy(proposed.position)
    torch.testing.assert_close(error, -ratio, rtol=1e-9, atol=1e-9)
    assert error.abs().min() > 1e-3


@pytest.mark.parametrize("step_size", [0.1, 1.0, 2.0, 5.0])
def test_pcnl_accepts_every_step_on_the_prior(step_size):
    target = GaussianTarget(torch.ones(300))
    randomness = Randomness.of(0, "", target.instances, range(5))
    kernel = nm.MALA(step_size=step_size).kernel(target, torch.tensor([step_size]), 1, randomness)
    state = kernel.init(target.initial_position(5, "prior", 0))
    for step in range(5):
        state, info = kernel.step(state, step)
        assert info.energy_error.abs().max() < 1e-10 and info.accepted.all()


def acceptance(proposal: str, prior_directions: int) -> float:
    """Four directions with data among many without, from exact draws."""
    curvatures = torch.cat([torch.tensor([2.0, 3.0, 4.0, 5.0]), torch.ones(prior_directions)])
    target, chains = GaussianTarget(curvatures), 400
    position = target.initial_position(chains, "prior", 0)
    position.flat.view(-1, len(curvatures)).div_(curvatures.sqrt())
    kernel = kernel_of(target, proposal, 0.5, chains)
    _, info = kernel.step(kernel.init(position), 0)
    return float(info.acceptance.mean())


def test_directions_without_data_cost_pcnl_nothing():
    assert abs(acceptance("pcnl", 0) - acceptance("pcnl", 3000)) < 0.05
    assert acceptance("langevin", 0) - acceptance("langevin", 3000) > 0.2


def test_the_automatic_proposal_follows_the_prior():
    prior = GaussianTarget(torch.ones(2))
    other = GaussianTarget(torch.ones(2))
    other.gaussian_prior = False
    chosen = [kernel_of(target, "auto", STEP, 1).propose.__name__ for target in (prior, other)]
    assert chosen == ["pcnl", "langevin"]


def test_a_calibrated_pcnl_step_goes_no_further_than_forgetting():
    """delta = 2 proposes an independent prior draw; a step that is given is taken as it is."""
    target = GaussianTarget(torch.ones(4))
    assert kernel_of(target, "auto", 1e6, 1).step_size.item() == 2.0
    randomness = Randomness.of(0, "", target.instances, range(1))
    assert nm.MALA(step_size=3.0).kernel(target, torch.tensor([3.0]), 1, randomness).step_size.item() == 3.0
    kernel = kernel_of(target, "auto", 2.0, 1)
    state = kernel.init(target.layout(1).from_edge(torch.full((1, 1, 4), 50.0)))
    moved, _ = kernel.step(state, 0)
    assert moved.position.flat.abs().max() < 6


@pytest.mark.parametrize("proposal", ["langevin", "pcnl"])
def test_single_precision_decides_as_double_does(proposal):
    """Energy errors agree to the rounding of float32 positions."""
    errors = []
    for precision in ("fp64", "fp32"):
        target = tanh_posterior(precision)
        kernel = kernel_of(target, proposal, STEP, 3)
        start = tanh_posterior().initial_position(3, "prior", 0)
        position = Position(start.flat.to(target.dtype), start.layout)
        _, info = kernel.step(kernel.init(position), 0)
        errors.append(info.energy_error)
    torch.testing.assert_close(errors[0], errors[1], rtol=1e-3, atol=1e-3)


def test_the_energy_of_the_proposal_counts():
    """Negative control of the Hastings ratio: a wrong energy changes the error."""
    target = tanh_posterior()
    wrong = WrappedTarget(target, energy=lambda energy: energy * 1.05)
    errors = []
    for each in (target, wrong):
        kernel = kernel_of(each, "pcnl", STEP, 3)
        _, info = kernel.step(kernel.init(target.initial_position(3, "prior", 0)), 0)
        errors.append(info.energy_error)
    assert (errors[0] - errors[1]).abs().min() > 1e-3
