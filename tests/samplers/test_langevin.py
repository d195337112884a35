"""Underdamped Langevin: what its parts do by themselves, the flip that exactness needs, and the bias it has without a
test. Sampled laws are in `test_known_posteriors`."""

import math

import numpy as np
import pytest
import torch
from targets import GaussianTarget, fixed_kernel
from torch import Tensor

from nishimori.models.layout import Layout, Position
from nishimori.models.randomness import Randomness
from nishimori.models.target import Target
from nishimori.samplers import langevin
from nishimori.samplers.base import State, momentum_of
from nishimori.samplers.langevin import LangevinKernel, UnderdampedLangevin
from nishimori_kernels.rng.streams import Stream


def kernel_of(
    target: Target, sampler: UnderdampedLangevin, step_size: float, num_steps: int, chains: int
) -> LangevinKernel:
    steps = torch.full((len(target.instances),), step_size)
    return sampler.kernel(target, steps, num_steps, Randomness.of(0, "", target.instances, range(chains)))


def chain_means(kernel: LangevinKernel, start: Position, warmup: int, draws: int, observe) -> Tensor:
    """Averages of `observe(state)` [values, chains] over the draws."""
    state, total = kernel.init(start), torch.zeros(())
    for step in range(warmup + draws):
        state, _ = kernel.step(state, step)
        if step >= warmup:
            total = total + observe(state)
    return total / draws


def z_scores(means: Tensor, expected: Tensor) -> Tensor:
    return (means.mean(-1) - expected) / (means.std(-1) / math.sqrt(means.shape[-1]))


def exact_draws(target: GaussianTarget, chains: int) -> Position:
    position = target.initial_position(chains, "prior", 0)
    position.flat.view(-1, target.num_parameters).div_(target.curvatures.sqrt())
    return position


def squares(state: State) -> Tensor:
    """q^2 and p^2 of every oscillator, [2 * parameters, chains] for one instance."""
    return torch.cat([state.position.blocks[0][0].square(), momentum_of(state).blocks[0][0].square()], dim=-1).T


def test_a_step_that_forgets_its_momentum_is_hmc_with_one_step():
    """Inner step i of transition t draws at random step 1024 t + i, momentum and uniform."""
    target = GaussianTarget(torch.tensor([1.0, 4.0, 0.5]), instances=2)
    sampler = UnderdampedLangevin(friction=1e4)
    langevin_, hmc = kernel_of(target, sampler, 0.9, 3, 5), fixed_kernel(target, "leapfrog", 0.9, 1, chains=5)
    state = langevin_.init(target.initial_position(5, "prior", 0))
    expected = hmc.init(state.position)
    for transition in range(3):
        accepted = []
        for number in range(3):
            expected, info = hmc.step(expected, 1024 * transition + number)
            accepted.append(info.acceptance)
        state, told = langevin_.step(state, transition)
        torch.testing.assert_close(state.position.flat, expected.position.flat, rtol=0, atol=1e-12)
        torch.testing.assert_close(told.acceptance, torch.stack(accepted).mean(0))
        assert told.num_steps == 3


def test_the_start_draws_its_momentum_in_its_own_stream():
    target = GaussianTarget(torch.ones(4))
    kernel = kernel_of(target, UnderdampedLangevin(), 0.1, 2, 3)
    state = kernel.init(target.initial_position(3, "prior", 0))
    expected = kernel.randomness.fill_normals(target.layout(3).empty(torch.float64, target.device), Stream(13), 0)
    assert torch.equal(momentum_of(state).flat, expected.flat)


@pytest.mark.parametrize("adjusted", [True, False])
@pytest.mark.parametrize(("friction", "num_steps"), [(None, 1), (None, 8), (2.5, 8)])
def test_a_transition_forgets_the_momentum_at_the_rate_of_the_friction(adjusted, friction, num_steps):
    """Without forces p is an Ornstein-Uhlenbeck process: correlation exp(-friction * time), by default exp(-1)."""
    target, step_size = GaussianTarget(torch.zeros(20)), 0.1
    kernel = kernel_of(target, UnderdampedLangevin(friction=friction, adjusted=adjusted), step_size, num_steps, 4000)
    start = kernel.init(target.initial_position(4000, "prior", 0))
    end, info = kernel.step(start, 0)
    before, after = momentum_of(start).blocks[0][0], momentum_of(end).blocks[0][0]
    expected = math.exp(-1 if friction is None else -friction * step_size * num_steps)
    means = torch.stack([(before * after).mean(-1), after.square().mean(-1)])
    assert (z_scores(means, torch.tensor([expected, 1.0])).abs() < 4).all()
    assert info.accepted.all() and info.energy_error.abs().max() < 1e-12


def oscillator_z(adjusted: bool, step_size: float, momentum_variance=lambda w2: torch.ones_like(w2)) -> Tensor:
    """z of q^2 and p^2 of oscillators, against 1 / curvature and `momentum_variance((omega h)^2)`."""
    target, chains = GaussianTarget(torch.tensor([0.3, 1.0, 2.0])), 500
    kernel = kernel_of(target, UnderdampedLangevin(adjusted=adjusted), step_size, 3, chains)
    means = chain_means(kernel, exact_draws(target, chains), 10, 100, squares)
    variance = momentum_variance(target.curvatures * step_size**2)
    return z_scores(means, torch.cat([1 / target.curvatures, variance]))


def test_positions_and_momenta_obey_their_law_where_a_third_is_rejected():
    assert (oscillator_z(True, 1.2).abs() < 4).all()


def test_without_the_flip_on_rejection_the_law_is_another(monkeypatch):
    """Negative control of the test above."""

    def unflipped(accepted: Tensor, proposed: State, current: State, start: Position) -> State:
        return moved(accepted, proposed, current, Position(-start.flat, start.layout))

    moved = langevin._moved
    monkeypatch.setattr(langevin, "_moved", unflipped)
    assert (oscillator_z(True, 1.2).abs() > 4).any()


def test_baoab_is_exact_in_the_positions_of_a_gaussian_and_known_in_its_momenta():
    """<q^2> = 1 / curvature at every step, <p^2> = 1 - (omega h)^2 / 4 (Leimkuhler and Matthews 2013)."""
    assert (oscillator_z(False, 1.2, lambda w2: 1 - w2 / 4).abs() < 4).all()
    assert (oscillator_z(False, 1.2).abs() > 4).any(), "the momenta are those of the canonical law"


class Washboard:
    """U = q^2 / 2 + cos(2 q) in each of many independent coordinates."""

    gaussian_prior = True
    dtype = torch.float64
    device = torch.device("cpu")

    def __init__(self, num_parameters: int) -> None:
        self.num_parameters = num_parameters
        self.instances: tuple[int, ...] = (0,)
        self.grid = np.linspace(-12, 12, 200_001)
        self.weights = np.exp(-(self.grid**2 / 2 + np.cos(2 * self.grid)))
        self.weights /= self.weights.sum()

    @property
    def mean_cosine(self) -> Tensor:
        """<cos(2 q)> by the trapezium rule."""
        return torch.tensor(self.weights @ np.cos(2 * self.grid))

    def layout(self, chains: int) -> Layout:
        return Layout(1, chains, ((self.num_parameters,),))

    def energy(self, position: Position) -> Tensor:
        q = position.blocks[0]
        return (q.square() / 2 + torch.cos(2 * q)).sum(-1)

    def gradient(self, position: Position, out: Position | None = None) -> Position:
        out = position.empty_like() if out is None else out
        torch.sub(position.flat, torch.sin(2 * position.flat), alpha=2, out=out.flat)
        return out

    def energy_and_gradient(self, position: Position, out: Position | None = None) -> tuple[Tensor, Position]:
        return self.energy(position), self.gradient(position, out)

    def initial_position(self, chains: int | tuple[int, ...], start: str, seed: int, point: str = "") -> Position:
        """Draws from the law itself, to the spacing of the grid."""
        count = chains if isinstance(chains, int) else len(chains)
        draws = np.random.default_rng(seed).choice(self.grid, size=(1, count, self.num_parameters), p=self.weights)
        return self.layout(count).from_edge(torch.from_numpy(draws))


def washboard_bias(sampler: UnderdampedLangevin, step_size: float, draws: int) -> tuple[float, float]:
    """Bias of <cos(2 q)> and its standard error."""
    target, chains = Washboard(50), 2000
    kernel = kernel_of(target, sampler, step_size, 3, chains)
    start = target.initial_position(chains, "exact", 0)
    means = chain_means(kernel, start, 5, draws, lambda state: torch.cos(2 * state.position.blocks[0][0]).mean(-1))
    return float(means.mean() - target.mean_cosine), float(means.std()) / math.sqrt(chains)


@pytest.mark.parametrize("integrator", ["leapfrog", "rotation"])
def test_the_bias_without_a_test_is_of_second_order_and_the_test_removes_it(integrator):
    """Halving the step at one friction divides it by about four, where the law is not Gaussian."""
    unadjusted = UnderdampedLangevin(adjusted=False, integrator=integrator, friction=1.0)
    (coarse, error), (fine, fine_error) = washboard_bias(unadjusted, 0.4, 40), washboard_bias(unadjusted, 0.2, 120)
    assert abs(coarse) > 15 * error and abs(fine) > 5 * fine_error
    assert abs(math.log2(coarse / fine) - 2) < 0.6
    exact, error = washboard_bias(UnderdampedLangevin(integrator=integrator, friction=1.0), 0.4, 40)
    assert abs(exact) < 4 * error < abs(coarse) / 3


def test_trajectories_are_those_of_hmc():
    """With the momentum of the transition's first inner step."""
    target = GaussianTarget(torch.tensor([1.0, 3.0]))
    kernel, hmc = (
        kernel_of(target, UnderdampedLangevin(), 0.2, 4, 3),
        fixed_kernel(target, "leapfrog", 0.2, 4, chains=3),
    )
    state = kernel.init(target.initial_position(3, "prior", 0))
    pairs = zip(kernel.trajectory(state, 2, 5), hmc.trajectory(state, 2 * 1024, 5), strict=True)
    for (here, error), (there, expected) in pairs:
        assert torch.equal(here.position.flat, there.position.flat) and torch.equal(error, expected)
