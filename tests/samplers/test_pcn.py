"""PCN: no gradient, the prior kept exactly at every step size and precision, acceptance on the likelihood alone."""

import pytest
import torch
from targets import GaussianTarget

import nishimori as nm
from nishimori.models.layout import Layout, Position
from nishimori.models.randomness import Randomness
from nishimori.models.target import Target
from nishimori.samplers.pcn import PCNKernel


class EnergyOnly(GaussianTarget):
    """A Gaussian target whose gradient nobody may ask for."""

    def gradient(self, position: Position, out: Position | None = None) -> Position:
        raise AssertionError("PCN asked for a gradient")


def kernel_of(target: Target, step_size: float, chains: int) -> PCNKernel:
    return nm.PCN().kernel(target, torch.tensor([step_size]), 1, Randomness.of(0, "", target.instances, range(chains)))


def exact_draws(target: GaussianTarget, chains: int) -> Position:
    position = target.initial_position(chains, "prior", 0)
    position.flat.view(-1, target.num_parameters).div_(target.curvatures.sqrt())
    return position


def test_it_asks_for_no_gradient_and_keeps_none():
    target = EnergyOnly(torch.tensor([1.0, 4.0]))
    kernel = kernel_of(target, 0.5, 3)
    state = kernel.init(exact_draws(target, 3))
    for step in range(10):
        state, _ = kernel.step(state, step)
    assert state.gradient is None and state.momentum is None


@pytest.mark.parametrize("step_size", [1.0, 1.7, 1e6])
def test_a_calibrated_step_of_one_or_more_proposes_prior_draws(step_size):
    target = GaussianTarget(torch.ones(50))
    kernel = kernel_of(target, step_size, 4)
    state = kernel.init(target.layout(4).from_edge(torch.full((1, 4, 50), 9.0)))
    moved, info = kernel.step(state, 3)
    noise = kernel.randomness.fill_normals(state.position.empty_like(), kernel.streams.momentum, 3)
    torch.testing.assert_close(moved.position.flat, noise.flat, rtol=0, atol=1e-14)
    assert info.accepted.all() and info.energy_error.abs().max() < 1e-11


def test_the_energy_error_is_that_of_the_likelihood():
    """Phi = sum (curvature - 1) q^2 / 2, written out."""
    target = GaussianTarget(torch.tensor([1.0, 3.0, 0.5]))
    kernel = kernel_of(target, 0.6, 5)
    state = kernel.init(exact_draws(target, 5))
    noise = kernel.randomness.fill_normals(state.position.empty_like(), kernel.streams.momentum, 0).to_edge()
    here = state.position.to_edge()
    there = 0.8 * here + 0.6 * noise
    likelihood = (target.curvatures - 1) * (there.square() - here.square()) / 2
    _, info = kernel.step(state, 0)
    torch.testing.assert_close(info.energy_error, likelihood.sum(-1), rtol=1e-12, atol=1e-12)


def test_a_small_step_keeps_the_prior_in_single_precision():
    """The contraction 1 - sqrt(1 - b^2) = b^2 / 2: rounding the factor itself to float32 would miss it by 4 %."""
    count, step_size = 200_000, 1e-3
    target = GaussianTarget(torch.ones(count))
    target.dtype, target.curvatures = torch.float32, target.curvatures.float()
    kernel = kernel_of(target, step_size, 1)
    start = Position(torch.ones(count, dtype=torch.float32), Layout(1, 1, ((count,),)))
    moved, _ = kernel.step(kernel.init(start), 0)
    noise = kernel.randomness.fill_normals(start.empty_like(), kernel.streams.momentum, 0)
    loss = 1 - (moved.position.flat.double() - step_size * noise.flat.double())
    assert float(loss.mean()) == pytest.approx(step_size**2 / 2, rel=0.01)


def test_acceptance_does_not_depend_on_directions_without_data():
    accepted = []
    for count in (0, 5000):
        target = GaussianTarget(torch.cat([torch.tensor([2.0, 5.0, 10.0]), torch.ones(count)]))
        kernel = kernel_of(target, 0.5, 400)
        _, info = kernel.step(kernel.init(exact_draws(target, 400)), 0)
        accepted.append(float(info.acceptance.mean()))
    assert abs(accepted[0] - accepted[1]) < 0.05 and 0.3 < accepted[0] < 0.9


def over_relaxed(target: Target, step_size: float, chains: int) -> PCNKernel:
    sampler, randomness = nm.PCN(step_size, over_relaxed=True), Randomness.of(0, "", target.instances, range(chains))
    return sampler.kernel(target, torch.tensor([step_size]), 1, randomness)


@pytest.mark.parametrize(("step_size", "spoilt", "stays"), [(0.9, 1.0, True), (0.5, 1.0, True), (0.9, 1.05, False)])
def test_over_relaxation_keeps_a_gaussian_posterior(step_size, spoilt, stays):
    """Variances 1 / curvature after 30 transitions from exact draws; curvatures 5 % off are the control."""
    chains, curvatures = 20_000, torch.tensor([1.0, 1.5, 4.0])
    start = exact_draws(GaussianTarget(curvatures), chains)
    kernel = over_relaxed(GaussianTarget(curvatures * spoilt), step_size, chains)
    state, accepted = kernel.init(start), 0.0
    for step in range(30):
        state, info = kernel.step(state, step)
        accepted += float(info.acceptance.mean()) / 30
    assert 0.2 < accepted < 0.95
    squares = (state.position.blocks[0].square() * curvatures)[0]
    z = (squares.mean(0) - 1) / (squares.std(0) / chains**0.5)
    assert bool((z.abs() < 4).all()) == stays, z


def test_over_relaxation_turns_back_on_the_prior():
    """Neighbouring states have correlation -sqrt(1 - b^2), the prior's law kept."""
    chains, target = 20_000, GaussianTarget(torch.ones(3))
    kernel = over_relaxed(target, 0.6, chains)
    first = kernel.init(exact_draws(target, chains))
    second, _ = kernel.step(first, 0)
    products = (first.position.blocks[0] * second.position.blocks[0]).flatten()
    z = (products.mean() + 0.8) / (products.std() / len(products) ** 0.5)
    assert abs(float(z)) < 4


def test_over_relaxation_needs_a_step_size():
    with pytest.raises(ValueError, match="give step_size, try 0.9"):
        nm.PCN(over_relaxed=True)
