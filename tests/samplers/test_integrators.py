"""Integrators: closed-form trajectories, reversibility, volume, and the order of the energy error."""

import math

import numpy as np
import pytest
import torch
from targets import GaussianTarget, WrongSecondHalf
from torch import Tensor

import nishimori as nm
from nishimori.models.layout import Position, chain_dot
from nishimori.models.posterior import Posterior
from nishimori.models.target import Target
from nishimori.samplers.hmc import HMC
from nishimori.samplers.integration import integrate_
from nishimori.samplers.integrators import INTEGRATORS

NAMES = sorted(INTEGRATORS)


def tanh_posterior(precision: str = "fp64", instances: int = 2, widths=(7, 5)) -> Posterior:
    problem = nm.matched_teacher(nm.Network(6, widths, "tanh"), nm.GaussianChannel(0.1), 12, instances, test_samples=1)
    return nm.Posterior(problem, precision, "cpu")


def phase_point(target: Target, chains: int, seed: int = 3) -> tuple[Position, Position]:
    generator = torch.Generator().manual_seed(seed)
    shape = (len(target.instances), chains, target.num_parameters)
    values = [torch.randn(shape, generator=generator, dtype=torch.float64).to(target.dtype) for _ in range(2)]
    position, momentum = (target.layout(chains).from_edge(value) for value in values)
    return position, momentum


def follow(target: Target, name: str, position: Position, momentum: Position, step_size, num_steps: int) -> Tensor:
    """Move both in place; returns the energy at the end."""
    steps = torch.as_tensor(step_size, dtype=torch.float64).expand(len(target.instances))
    gradient = target.gradient(position)
    return integrate_(target, INTEGRATORS[name], position, momentum, gradient, steps, num_steps)


CUBE_ROOT = (2 * math.sqrt(326) + 36) ** (1 / 3)
LAMBDA = 1 / 2 - CUBE_ROOT / 12 + 1 / (6 * CUBE_ROOT)
"""The minimum of the leading error in closed form (Omelyan, Mryglod and Folk 2002, Phys. Rev. E 65, 056706)."""


def shears(curvature: float, h: float, fractions: list[float]) -> np.ndarray:
    """Kick, drift, kick, ... by the fractions of h, the kick first; a symmetric list reads alike from both ends."""
    step = np.eye(2)
    for number, fraction in enumerate(fractions):
        kick = np.array([[1, 0], [-curvature * fraction * h, 1]])
        drift = np.array([[1, fraction * h], [0, 1]])
        step = (drift if number % 2 else kick) @ step
    return step


def kick(strength: float) -> np.ndarray:
    return np.array([[1, 0], [-strength, 1]])


def turned(angle: float) -> np.ndarray:
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, s], [-s, c]])


def oscillator_step(name: str, curvature: float, h: float) -> np.ndarray:
    """One step on U = curvature q^2 / 2 as a matrix acting on (q, p), written out by hand."""
    if name == "leapfrog":
        w = curvature * h * h
        return np.array([[1 - w / 2, h], [-curvature * h * (1 - w / 4), 1 - w / 2]])
    if name == "minimum_norm":
        return shears(curvature, h, [LAMBDA, 1 / 2, 1 - 2 * LAMBDA, 1 / 2, LAMBDA])
    if name == "fourth_order":
        # Table of 4MN5FV in Takaishi and de Forcrand 2006, arXiv hep-lat/0505020: theta, rho, lambda, vartheta.
        outer, inner = 0.08398315262876693, 0.6822365335719091
        first, second = 0.2539785108410595, -0.03230286765269967
        half = [outer, first, inner, second, 1 / 2 - outer - inner]
        return shears(curvature, h, [*half, 1 - 2 * (first + second), *reversed(half)])
    if name == "minimum_norm_rotation":
        outer, inner, turn = (
            kick((curvature - 1) * LAMBDA * h),
            kick((curvature - 1) * (1 - 2 * LAMBDA) * h),
            turned(h / 2),
        )
        return outer @ turn @ inner @ turn @ outer
    return kick((curvature - 1) * h / 2) @ turned(h) @ kick((curvature - 1) * h / 2)


@pytest.mark.parametrize("num_steps", [1, 2, 37])
@pytest.mark.parametrize("name", NAMES)
def test_harmonic_oscillator_follows_its_closed_form(name, num_steps):
    """z_n = cos(n a) z_0 + sin(n a) / sin(a) (M - cos a) z_0, cos a = tr M / 2, for a step matrix M of det 1."""
    curvatures, steps = [1.0, 0.2, 5.0, 30.0], [0.05, 0.2, 0.31]
    target = GaussianTarget(torch.tensor(curvatures), instances=len(steps))
    position, momentum = phase_point(target, chains=2)
    q, p = position.to_edge().numpy(), momentum.to_edge().numpy()
    energy = follow(target, name, position, momentum, torch.tensor(steps), num_steps)
    for instance, h in enumerate(steps):
        for element, curvature in enumerate(curvatures):
            matrix = oscillator_step(name, curvature, h)
            cosine = np.trace(matrix) / 2
            if name == "leapfrog":
                assert math.isclose(cosine, 1 - curvature * h * h / 2)
            angle = math.acos(cosine)
            power = math.cos(num_steps * angle) * np.eye(2)
            power += math.sin(num_steps * angle) / math.sin(angle) * (matrix - cosine * np.eye(2))
            expected = power @ np.stack([q[instance, :, element], p[instance, :, element]])
            actual = np.stack([m.to_edge().numpy()[instance, :, element] for m in (position, momentum)])
            np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-11)
    end = (target.curvatures * position.blocks[0].square()).sum(-1) / 2
    torch.testing.assert_close(energy, end)


def test_rotation_is_exact_on_the_prior():
    """Whatever the step: (q, p) turns by the path length and H does not change."""
    target = GaussianTarget(torch.ones(5), instances=3)
    position, momentum = phase_point(target, chains=2)
    q, p = position.flat.clone(), momentum.flat.clone()
    before = (chain_dot(position, position) + chain_dot(momentum, momentum)) / 2
    steps = torch.tensor([0.01, 0.7, 2.3])
    energy = follow(target, "rotation", position, momentum, steps, 11)
    angle = (11 * steps).repeat_interleave(2 * 5)
    torch.testing.assert_close(position.flat, angle.cos() * q + angle.sin() * p, rtol=0, atol=1e-13)
    torch.testing.assert_close(momentum.flat, angle.cos() * p - angle.sin() * q, rtol=0, atol=1e-13)
    torch.testing.assert_close(energy + chain_dot(momentum, momentum) / 2, before, rtol=1e-13, atol=0)


def test_rotation_refuses_a_target_without_a_gaussian_prior():
    target = GaussianTarget(torch.ones(2))
    target.gaussian_prior = False
    with pytest.raises(ValueError, match="use leapfrog"):
        HMC("rotation").kernel(target, torch.ones(1), 1, None)  # pyright: ignore[reportArgumentType]


def return_error(
    target: Target, clean: Target, name: str, step_size: float, num_steps: int, begin=lambda: None
) -> float:
    """Largest distance from the start after going forth, flipping the momentum and coming back."""
    position, momentum = phase_point(clean, chains=3)
    start = position.clone(), momentum.clone()
    steps = torch.full((len(clean.instances),), step_size)
    for _ in range(2):
        gradient = clean.gradient(position)
        begin()
        integrate_(target, INTEGRATORS[name], position, momentum, gradient, steps, num_steps)
        momentum.flat.neg_()
    return max(float((a.flat - b.flat).abs().max()) for a, b in zip((position, momentum), start, strict=True))


@pytest.mark.parametrize(("precision", "tolerance"), [("fp64", 1e-12), ("fp32", 3e-4)])
@pytest.mark.parametrize("name", NAMES)
def test_a_flipped_trajectory_returns_to_round_off(name, precision, tolerance):
    target = tanh_posterior(precision)
    assert return_error(target, target, name, 0.1, 20) < tolerance


@pytest.mark.parametrize("name", NAMES)
def test_a_force_wrong_on_the_second_half_does_not_return(name):
    """Negative control: 5 % on the second half of each trajectory."""
    clean = tanh_posterior()
    bug = WrongSecondHalf(clean, 1.05, right=10 * INTEGRATORS[name].gradients_per_step)
    assert return_error(bug.wrapped, clean, name, 0.1, 20, bug.begin) > 1e-2


def jacobian_determinants(move, target: Target) -> np.ndarray:
    """Central differences, two chains for each coordinate of phase space, for every instance."""
    size = target.num_parameters
    chains = 4 * size
    position, momentum = phase_point(target, chains=1)
    centre = torch.cat([position.to_edge(), momentum.to_edge()], dim=-1)
    shift = 1e-4 * torch.cat([torch.eye(2 * size), -torch.eye(2 * size)])
    points = centre + shift
    position, momentum = (target.layout(chains).from_edge(half) for half in points.split(size, dim=-1))
    move(position, momentum)
    ends = torch.cat([position.to_edge(), momentum.to_edge()], dim=-1)
    return torch.linalg.det((ends[:, : 2 * size] - ends[:, 2 * size :]) / 2e-4).numpy()


def explicit_euler_(target: Target, position: Position, momentum: Position, step_size: float, num_steps: int) -> None:
    for _ in range(num_steps):
        gradient = target.gradient(position)
        position.flat.add_(momentum.flat, alpha=step_size)
        momentum.flat.sub_(gradient.flat, alpha=step_size)


def symplectic_euler_(target: Target, position: Position, momentum: Position, step_size: float, num_steps: int) -> None:
    """Kick, then drift: volume-preserving, first order."""
    for _ in range(num_steps):
        momentum.flat.sub_(target.gradient(position).flat, alpha=step_size)
        position.flat.add_(momentum.flat, alpha=step_size)


@pytest.mark.parametrize("name", NAMES)
def test_volume_is_preserved(name):
    target = tanh_posterior(instances=3, widths=(2,))
    determinants = jacobian_determinants(lambda q, p: follow(target, name, q, p, 0.15, 4), target)
    np.testing.assert_allclose(determinants, 1, rtol=0, atol=1e-5)


def test_explicit_euler_does_not_preserve_volume():
    """Negative control of the test above."""
    target = tanh_posterior(instances=3, widths=(2,))
    determinants = jacobian_determinants(lambda q, p: explicit_euler_(target, q, p, 0.15, 4), target)
    assert np.abs(determinants - 1).min() > 0.1


def energy_error_slope(target: Posterior, move, coarser: int = 1) -> float:
    """d log RMS(H_end - H_start) / d log step at path length 0.8, points drawn at the teacher."""
    chains, path, counts = 16, 0.8, [count // coarser for count in (32, 48, 64, 96, 128)]
    errors = []
    for count in counts:
        position = target.initial_position(chains, "teacher", 0)
        _, momentum = phase_point(target, chains)
        before = target.energy(position) + chain_dot(momentum, momentum) / 2
        move(position, momentum, path / count, count)
        after = target.energy(position) + chain_dot(momentum, momentum) / 2
        errors.append(float((after - before).square().mean().sqrt()))
    return float(np.polyfit(np.log(path / np.array(counts)), np.log(errors), 1)[0])


@pytest.mark.parametrize("name", NAMES)
def test_the_energy_error_is_of_the_order_it_claims(name):
    target, order = tanh_posterior(instances=8), INTEGRATORS[name].order
    assert order == (4 if name == "fourth_order" else 2)
    slope = energy_error_slope(target, lambda q, p, h, n: follow(target, name, q, p, h, n), coarser=order // 2)
    assert abs(slope - order) < 0.1, slope


def test_the_costlier_integrators_err_less_for_the_same_gradients():
    """What they are for: forty gradients a unit of path, one, two or five of them a step."""
    target, errors = tanh_posterior(instances=8), {}
    for name in ("leapfrog", "minimum_norm", "fourth_order"):
        count = 40 // INTEGRATORS[name].gradients_per_step
        position = target.initial_position(16, "teacher", 0)
        _, momentum = phase_point(target, 16)
        before = target.energy(position) + chain_dot(momentum, momentum) / 2
        energy = follow(target, name, position, momentum, 1 / count, count)
        errors[name] = float((energy + chain_dot(momentum, momentum) / 2 - before).square().mean().sqrt())
    assert 2 * errors["minimum_norm"] < errors["leapfrog"]
    assert 2 * errors["fourth_order"] < errors["minimum_norm"]


def test_a_first_order_integrator_fails_the_order_check():
    """Negative control: symplectic Euler."""
    target = tanh_posterior(instances=8)
    slope = energy_error_slope(target, lambda q, p, h, n: symplectic_euler_(target, q, p, h, n))
    assert abs(slope - 1) < 0.1, slope


@pytest.mark.parametrize("name", NAMES)
def test_one_trajectory_is_the_composition_of_its_steps(name):
    """Merging neighbouring half-kicks changes round-off only."""
    target = tanh_posterior()
    ends = []
    for pieces in ([6], [1] * 6):
        position, momentum = phase_point(target, chains=2)
        energies = [follow(target, name, position, momentum, 0.1, count) for count in pieces]
        ends.append((position.flat, momentum.flat, energies[-1]))
    for together, apart in zip(*ends, strict=True):
        torch.testing.assert_close(together, apart, rtol=1e-12, atol=1e-12)
