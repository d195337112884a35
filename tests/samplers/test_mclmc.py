"""Isokinetic dynamics against its differential equation, and microcanonical sampling with and without a test."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from targets import GaussianTarget
from torch import Tensor

import nishimori as nm
from nishimori.models.layout import Layout, Position, chain_dot
from nishimori.models.posterior import Posterior
from nishimori.models.randomness import Randomness
from nishimori.models.target import Target
from nishimori.samplers.base import State, momentum_of
from nishimori.samplers.isokinetic import integrate_isokinetic_, isokinetic_kick_, normalize_


def position_of(rows: Tensor, dtype: torch.dtype = torch.float64) -> Position:
    """`rows` [chains, parameters] of one instance, in two blocks."""
    chains, size = rows.shape
    return Layout(1, chains, ((2,), (size - 2,))).from_edge(rows[None].to(dtype))


def phase_point(target: Target, chains: int, seed: int = 3) -> tuple[Position, Position]:
    """A position N(0, I) and a unit velocity."""
    generator = torch.Generator().manual_seed(seed)
    shape = (len(target.instances), chains, target.num_parameters)
    position, velocity = (
        target.layout(chains).from_edge(torch.randn(shape, generator=generator).to(target.dtype)) for _ in range(2)
    )
    return position, normalize_(velocity)


def tanh_posterior(precision: str = "fp64", widths=(4, 3)) -> Posterior:
    problem = nm.matched_teacher(nm.Network(5, widths, "tanh"), nm.GaussianChannel(0.1), 8, 2, test_samples=1)
    return nm.Posterior(problem, precision, "cpu")


@pytest.mark.parametrize("force", [0.0, 1e-8, 0.3, 4.0, 60.0])
def test_a_kick_solves_its_differential_equation(force):
    """du/dt = -(1 - u u^T) g / (d - 1) and dK/dt = -u.g, integrated numerically for the time of the kick."""
    size, chains, step_size, fraction = 5, 3, 0.4, 0.5
    generator = np.random.default_rng(1)
    gradients, velocities = force * generator.normal(size=(chains, size)), generator.normal(size=(chains, size))
    velocity = normalize_(position_of(torch.from_numpy(velocities)))
    starts = velocity.to_edge()[0].numpy()
    kinetic = isokinetic_kick_(velocity, position_of(torch.from_numpy(gradients)), torch.tensor([step_size]), fraction)
    time = fraction * step_size * math.sqrt(size)
    for chain in range(chains):
        g = gradients[chain]

        def flow(_, state, g=g):
            u = state[:-1]
            return np.append(-(g - u * (u @ g)) / (size - 1), -u @ g)

        end = solve_ivp(flow, (0, time), np.append(starts[chain], 0.0), rtol=1e-11, atol=1e-12, method="DOP853").y[
            :, -1
        ]
        np.testing.assert_allclose(velocity.to_edge()[0, chain].numpy(), end[:-1], rtol=0, atol=1e-8)
        np.testing.assert_allclose(float(kinetic[0, chain]), end[-1], rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-14), (torch.float32, 1e-6)])
@pytest.mark.parametrize("force", [0.0, 1e-20, 1e-3, 1.0, 1e3, 1e12])
def test_the_velocity_stays_of_unit_length_at_every_force(force, dtype, tolerance):
    generator = torch.Generator().manual_seed(0)
    gradient = position_of(force * torch.randn(4, 300, generator=generator), dtype)
    velocity = normalize_(position_of(torch.randn(4, 300, generator=generator), dtype))
    kinetic = isokinetic_kick_(velocity, gradient, torch.tensor([0.3]), 1.0)
    assert (chain_dot(velocity, velocity) - 1).abs().max() < tolerance
    assert kinetic.isfinite().all()
    if force == 1e12:
        direction = -gradient.to_edge() / gradient.to_edge().norm(dim=-1, keepdim=True)
        torch.testing.assert_close(velocity.to_edge(), direction, rtol=0, atol=10 * tolerance)


@pytest.mark.parametrize(("precision", "tolerance"), [("fp64", 1e-12), ("fp32", 3e-4)])
def test_a_reversed_trajectory_returns_and_takes_its_energy_back(precision, tolerance):
    target = tanh_posterior(precision)
    position, velocity = phase_point(target, 3)
    start, direction = position.clone(), velocity.clone()
    steps, kinetic = torch.tensor([0.1, 0.2]), []
    for _ in range(2):
        gradient = target.gradient(position)
        kinetic.append(integrate_isokinetic_(target, position, velocity, gradient, steps, 15)[1])
        velocity.flat.neg_()
    assert (position.flat - start.flat).abs().max() < tolerance
    assert (velocity.flat - direction.flat).abs().max() < tolerance
    torch.testing.assert_close(kinetic[0], -kinetic[1], rtol=tolerance, atol=10 * tolerance)


def tangent_basis(velocity: Tensor) -> Tensor:
    """[parameters, parameters - 1], orthonormal and orthogonal to `velocity`, completing it to determinant one."""
    size = len(velocity)
    basis = torch.linalg.qr(torch.cat([velocity[:, None], torch.eye(size)[:, : size - 1]], dim=1)).Q[:, 1:]
    if torch.linalg.det(torch.cat([velocity[:, None], basis], dim=1)) < 0:
        basis[:, 0].neg_()
    return basis


def test_the_volume_changes_by_the_exponential_of_the_kinetic_energy():
    """det d(x', u') / d(x, u) on R^d times the sphere, by central differences, is exp(-change of kinetic energy)."""
    size, step_size, num_steps, shift = 4, torch.tensor([0.3]), 3, 1e-5
    target = GaussianTarget(torch.tensor([0.5, 2.0, 4.0, 1.0]))
    position, velocity = phase_point(target, 1)
    x, u = position.to_edge()[0, 0], velocity.to_edge()[0, 0]
    basis = tangent_basis(u)
    moves = (
        torch.cat([torch.eye(size), torch.zeros(size, size - 1)], dim=1),
        torch.cat([torch.zeros(size, size), basis], 1),
    )
    points = [torch.cat([rows.T, -rows.T]) * shift for rows in moves]

    def follow(positions: Tensor, velocities: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        layout = target.layout(len(positions))
        q, v = layout.from_edge(positions[None]), normalize_(layout.from_edge(velocities[None]))
        _, kinetic = integrate_isokinetic_(target, q, v, target.gradient(q), step_size, num_steps)
        return q.to_edge()[0], v.to_edge()[0], kinetic[0]

    _, end, kinetic = follow(x[None], u[None])
    positions, velocities, _ = follow(x + points[0], u + points[1])
    ends = torch.cat([positions, velocities @ tangent_basis(end[0])], dim=1)
    count = 2 * size - 1
    determinant = torch.linalg.det((ends[:count] - ends[count:]) / (2 * shift))
    assert abs(float(kinetic)) > 0.1
    assert float(determinant) == pytest.approx(math.exp(-float(kinetic)), rel=1e-6)


def energy_errors(target: Target, step_size: float, num_steps: int) -> Tensor:
    position, velocity = phase_point(target, 16)
    before = target.energy(position)
    steps = torch.full((len(target.instances),), step_size)
    energy, kinetic = integrate_isokinetic_(target, position, velocity, target.gradient(position), steps, num_steps)
    return energy + kinetic - before


def test_the_energy_error_is_of_second_order():
    target, counts = tanh_posterior(), [32, 48, 64, 96]
    errors = [float(energy_errors(target, 0.8 / count, count).square().mean().sqrt()) for count in counts]
    slope = np.polyfit(np.log(1 / np.array(counts)), np.log(errors), 1)[0]
    assert abs(slope - 2) < 0.1, slope


def test_scales_by_layer_are_a_change_of_coordinates():
    """Steps s_b h in a Gaussian are steps h in the Gaussian of x_b / s_b."""
    scales, curvatures, steps = torch.tensor([0.5, 2.0]), torch.tensor([4.0, 1.0, 0.25]), torch.tensor([0.3])
    wide, narrow = TwoBlocks(curvatures), TwoBlocks(curvatures * torch.tensor([0.5, 0.5, 2.0]).square())
    position, velocity = phase_point(wide, 3)
    whitened, same = position.clone(), velocity.clone()
    for block, scale in zip(whitened.blocks, scales, strict=True):
        block.div_(scale)
    by_block = scales[:, None, None] * steps[:, None]
    first = integrate_isokinetic_(wide, position, velocity, wide.gradient(position), by_block, 7)
    second = integrate_isokinetic_(narrow, whitened, same, narrow.gradient(whitened), steps, 7)
    for one, other in zip(first, second, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)
    for block, white, scale in zip(position.blocks, whitened.blocks, scales, strict=True):
        torch.testing.assert_close(block, scale * white, rtol=1e-12, atol=1e-12)


class TwoBlocks(GaussianTarget):
    """A Gaussian target of three parameters whose position is stored in two blocks."""

    def layout(self, chains: int) -> Layout:
        return Layout(1, chains, ((2,), (1,)))

    def gradient(self, position: Position, out: Position | None = None) -> Position:
        out = position.empty_like() if out is None else out
        for block, values, curvature in zip(out.blocks, position.blocks, self.curvatures.split([2, 1]), strict=True):
            torch.mul(values, curvature, out=block)
        return out

    def energy(self, position: Position) -> Tensor:
        return (position.to_edge().square() * self.curvatures).sum(-1) / 2


def exact_draws(target: GaussianTarget, chains: int) -> Position:
    position = target.initial_position(chains, "prior", 0)
    position.flat.view(-1, target.num_parameters).div_(target.curvatures.sqrt())
    return position


def mean_square(sampler: nm.MCLMC, step_size: Tensor, num_steps: int, draws: int) -> tuple[float, float]:
    """Of whitened parameters, exactly 1, with its standard error; thirty oscillators from exact draws."""
    target, chains = GaussianTarget(torch.linspace(0.5, 4.0, 30)), 200
    kernel = sampler.kernel(target, step_size, num_steps, Randomness.of(0, "", target.instances, range(chains)))
    state, means = kernel.init(exact_draws(target, chains)), []
    for step in range(draws + 20):
        state, _ = kernel.step(state, step)
        if step >= 20:
            means.append((target.curvatures * state.position.blocks[0][0].square()).mean(-1))
    chain_means = torch.stack(means).mean(0)
    return float(chain_means.mean()), float(chain_means.std() / math.sqrt(chains))


def test_the_bias_without_a_test_is_of_second_order_and_the_test_removes_it():
    """Halving the step divides it by four."""
    unadjusted = nm.MCLMC(adjusted=False, target_acceptance=0.98)
    (coarse, error), (fine, fine_error) = (
        mean_square(unadjusted, torch.tensor([step]), 4, draws) for step, draws in ((0.5, 100), (0.25, 300))
    )
    ratio = (coarse - 1) / (fine - 1)
    assert abs(coarse - 1) > 20 * error
    assert abs(ratio - 4) < 4 * ratio * math.hypot(error / (coarse - 1), fine_error / (fine - 1)) + 1.0, ratio
    exact, error = mean_square(nm.MCLMC(), torch.tensor([0.5]), 4, 100)
    assert abs(exact - 1) < 4 * error < 0.04


def test_steps_by_chain_are_taken():
    """[instances, chains]: the chain with a third of the step errs less."""
    steps = torch.full((1, 200), 0.3)
    steps[:, 100:] = 0.1
    target = GaussianTarget(torch.linspace(0.5, 4.0, 30))
    kernel = nm.MCLMC().kernel(target, steps, 4, Randomness.of(0, "", target.instances, range(200)))
    _, info = kernel.step(kernel.init(exact_draws(target, 200)), 0)
    assert info.energy_error[0, :100].std() > 5 * info.energy_error[0, 100:].std()


def test_a_transition_without_a_test_forgets_its_direction():
    """Without forces u.u' decays by exp(-h / L) a step in many dimensions: exp(-1) over num_steps of them."""
    target, num_steps = GaussianTarget(torch.zeros(1000)), 8
    randomness = Randomness.of(0, "", target.instances, range(200))
    kernel = nm.MCLMC(adjusted=False, target_acceptance=0.98).kernel(target, torch.tensor([0.1]), num_steps, randomness)
    start = kernel.init(target.initial_position(200, "prior", 0))
    end, info = kernel.step(start, 0)
    cosine = chain_dot(momentum_of(start), momentum_of(end))
    assert float(cosine.mean()) == pytest.approx(math.exp(-1), abs=0.01)
    assert (chain_dot(momentum_of(end), momentum_of(end)) - 1).abs().max() < 1e-13
    assert info.energy_error.abs().max() < 1e-10
    moved = end.position.flat - start.position.flat
    assert float(moved.view(200, -1).norm(dim=1).max()) < num_steps * 0.1 * math.sqrt(1000)


@pytest.mark.parametrize("adjusted", [True, False])
def test_trajectories_end_where_transitions_do(adjusted):
    """Where nothing is refreshed in between."""
    target = tanh_posterior()
    randomness = Randomness.of(0, "", target.instances, range(3))
    kernel = nm.MCLMC(adjusted=adjusted, jitter=0.0, target_acceptance=0.98).kernel(
        target, torch.tensor([0.01, 0.02]), 3, randomness
    )
    state = kernel.init(target.initial_position(3, "prior", 0))
    steps = [(State(s.position.clone(), s.energy, None), error) for s, error in kernel.trajectory(state, 4, 3)]
    assert len(steps) == 3 and steps[-1][1].abs().max() < 0.1
    if adjusted:
        end, info = kernel.step(state, 4)
        torch.testing.assert_close(info.energy_error, steps[-1][1], rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(end.position.flat, steps[-1][0].position.flat, rtol=1e-12, atol=1e-12)
