"""A coarse force biases nothing, whatever its precision; coarse energies and a step without its test are caught.

The posterior is that of a linear network, Gaussian with known mean and covariance. Chains start at exact draws and are
independent, so the spread of their averages is the error; that error is a third of the bias which is looked for.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from targets import WrappedTarget, fixed_kernel, linear_posterior

import nishimori as nm
from nishimori.models.layout import Position, chain_dot
from nishimori.samplers.base import State
from nishimori_kernels.energy import dispatch
from nishimori_kernels.energy.emulated import PRODUCTS

LARGEST_BIAS = 0.002
CHAINS, DRAWS, STEP_SIZE, NUM_STEPS, NOISE = 4000, 160, 0.013, 2, 0.001
"""Noise so small that a bfloat16 energy errs by a few percent of it."""


@dataclass
class Averages:
    """Of a projection on the exact mean of the whitened weights and of their square: both 1 if the law is right."""

    whiten: torch.Tensor
    mean: torch.Tensor
    seen: list[torch.Tensor] = field(default_factory=list)

    def add(self, state: State) -> None:
        white = (state.position.blocks[0].double() - self.mean) @ self.whiten
        self.seen.append(torch.stack([1 + white.mean(-1), white.square().mean(-1)]))

    def biases(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Deviations from 1, and their standard errors."""
        chains = torch.stack(self.seen).mean(0)
        errors = (chains.var(-1) / chains.shape[-1]).sum(-1).sqrt() / chains.shape[1]
        return chains.mean((1, 2)) - 1, errors


@pytest.fixture(scope="module")
def problem() -> nm.Problem:
    return nm.matched_teacher(nm.Network(8, ()), nm.GaussianChannel(NOISE), 40, 3, test_samples=1)


def sampled(target: nm.Posterior | WrappedTarget, problem: nm.Problem, tested: bool = True) -> Averages:
    exact = [linear_posterior(problem, place) for place in range(3)]
    mean = torch.tensor(np.stack([each for each, _ in exact])).unsqueeze(1)
    root = torch.linalg.cholesky(torch.tensor(np.linalg.inv(np.stack([each for _, each in exact]))))
    averages = Averages(root.to(target.device), mean.to(target.device))
    position = target.layout(CHAINS).empty(torch.float32, target.device)
    white = torch.randn(3, CHAINS, 8, generator=torch.Generator().manual_seed(1))
    position.blocks[0].copy_(mean + torch.linalg.solve_triangular(root, white, upper=False, left=False))
    kernel = fixed_kernel(target, "leapfrog", STEP_SIZE, NUM_STEPS, CHAINS, jitter=0.5)
    state = kernel.init(position)
    for step in range(DRAWS):
        if tested:
            state, _ = kernel.step(state, step)
        else:
            *_, (moved, _) = kernel.trajectory(state, step, NUM_STEPS)
            state = State(moved.position.clone(), moved.energy, moved.gradient.clone() if moved.gradient else None)
        averages.add(state)
    return averages


def require_no_bias(averages: Averages) -> None:
    biases, errors = averages.biases()
    assert bool((errors < LARGEST_BIAS / 2.5).all()), errors
    assert bool((biases.abs() < LARGEST_BIAS).all()), (biases, errors)


def require_bias(averages: Averages) -> None:
    """Beyond the limit, and beyond doubt."""
    biases, errors = averages.biases()
    assert bool(((biases.abs() > LARGEST_BIAS) & (biases.abs() > 5 * errors)).any()), (biases, errors)


FORCES: dict[str, Callable[[nm.Problem], nm.Posterior]] = {
    "fp32": lambda problem: nm.Posterior(problem, "fp32", "cpu"),
    **{
        f"{name}, emulated": lambda problem, name=name: nm.Posterior(problem, name, "cpu", "emulated")
        for name in PRODUCTS
    },
}


@pytest.mark.parametrize("force", FORCES)
def test_no_force_biases_a_gaussian_posterior(problem, force):
    require_no_bias(sampled(FORCES[force](problem), problem))


@pytest.mark.parametrize("precision", dispatch.FORCES)
def test_nor_does_that_of_this_machine(problem, precision):
    if precision not in nm.Posterior(problem, "fp32", "cpu").precisions():
        pytest.skip(f"this CPU has no instructions for {precision}")
    require_no_bias(sampled(nm.Posterior(problem, precision, "cpu"), problem))


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "tf32", "fp16", "bf16"])
def test_nor_does_that_of_a_gpu(problem, precision):
    require_no_bias(sampled(nm.Posterior(problem, precision, "cuda"), problem))


class CoarseEnergy(WrappedTarget):
    """Energies from products of bfloat16 numbers, rounded to bfloat16 themselves: what must not be done."""

    def __init__(self, posterior: nm.Posterior) -> None:
        super().__init__(posterior)
        self.posterior = posterior

    def energy(self, position: Position) -> torch.Tensor:
        problem = self.posterior.problem
        inputs = problem.inputs.float().transpose(1, 2)
        latent = PRODUCTS["bf16"](position.blocks[0], inputs).bfloat16().double() / 8**0.5
        misfit = (latent - problem.labels.unsqueeze(1)).square().sum(-1)
        return misfit / (2 * NOISE) + chain_dot(position, position) / 2

    def energy_and_gradient(self, position: Position, out: Position | None = None) -> tuple[torch.Tensor, Position]:
        return self.energy(position), self.gradient(position, out)


def test_coarse_energies_are_caught(problem):
    require_bias(sampled(CoarseEnergy(nm.Posterior(problem, "fp32", "cpu")), problem))


def test_a_step_without_its_test_is_caught(problem):
    require_bias(sampled(nm.Posterior(problem, "fp32", "cpu"), problem, tested=False))
