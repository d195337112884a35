"""HMC against posteriors known in closed form, in units of Monte Carlo standard error, and planted bugs it must show.

Chains start at independent prior draws and use independent random numbers, so they are independent given the data,
and the spread of chain averages is the error. Every summary is a chain average with a known mean of 1: no bias of
estimation enters.
"""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy import stats
from targets import (
    WrongSecondHalf,
    WrongSecondHalfKernel,
    fixed_kernel,
    linear_network_prediction,
    linear_posterior,
    prior_start,
    states,
    wrong_energy,
    wrong_force,
)

import nishimori as nm
from nishimori.models.posterior import Posterior
from nishimori.samplers.base import Kernel, State
from nishimori.samplers.integrators import INTEGRATORS

NAMES = sorted(INTEGRATORS)
CHAINS, WARMUP, DRAWS = 128, 60, 240
STEP_SIZE, NUM_STEPS, JITTER = 0.15, 10, 0.4
MOST_STANDARD_ERRORS = 3.0
LARGEST_RELATIVE_ERROR = 0.01


@dataclass(frozen=True)
class Summary:
    """Mean of chain averages and its standard error; both averaged over instances."""

    value: float
    error: float

    @classmethod
    def of(cls, chain_averages: torch.Tensor) -> "Summary":
        """`chain_averages` [instances, chains]."""
        instances, chains = chain_averages.shape
        error = chain_averages.var(dim=1).div(chains).sum().sqrt() / instances
        return cls(float(chain_averages.mean()), float(error))

    @property
    def z(self) -> float:
        return (self.value - 1) / self.error


class LinearRegression:
    """Item 1: the linear network, a Gaussian posterior of the weights."""

    def __init__(self) -> None:
        problem = nm.matched_teacher(nm.Network(8, ()), nm.GaussianChannel(0.3), 10, 3, test_samples=1)
        self.posterior = nm.Posterior(problem, "fp64", "cpu")
        exact = [linear_posterior(problem, instance) for instance in range(problem.instances[-1] + 1)]
        self.mean = torch.tensor(np.stack([mean for mean, _ in exact])).unsqueeze(1)
        precision = np.linalg.inv(np.stack([covariance for _, covariance in exact]))
        self.whiten = torch.linalg.cholesky(torch.tensor(precision))  # (theta - mean) @ whiten is N(0, I)

    def observe(self, state: State) -> tuple[torch.Tensor, torch.Tensor]:
        """Projection of theta on the exact mean, and |whitened theta|^2 / d."""
        weights = state.position.blocks[0]
        projection = (weights * self.mean).sum(-1) / self.mean.square().sum(-1)
        return projection, self.whitened(state).square().mean(-1)

    def whitened(self, state: State) -> torch.Tensor:
        return (state.position.blocks[0] - self.mean) @ self.whiten


class LinearNetwork:
    """Item 2: one hidden layer, identity activation; not Gaussian, predictions known by one integral."""

    def __init__(self) -> None:
        network = nm.Network(6, (4,), "identity")
        problem = nm.matched_teacher(network, nm.GaussianChannel(0.3), 10, 3, test_samples=30)
        self.posterior = nm.Posterior(problem, "fp64", "cpu")
        exact = [linear_network_prediction(problem, instance) for instance in range(problem.instances[-1] + 1)]
        self.mean = torch.tensor(np.stack([mean for mean, _ in exact])).unsqueeze(1)
        self.variance = torch.tensor(np.stack([variance for _, variance in exact])).unsqueeze(1)

    def observe(self, state: State) -> tuple[torch.Tensor, torch.Tensor]:
        """Projection of the predictions on the exact mean, and squared deviations over exact variances."""
        latent = self.posterior.latent(state.position, "test")
        projection = (latent * self.mean).sum(-1) / self.mean.square().sum(-1)
        return projection, (latent - self.mean).square().sum(-1) / self.variance.sum(-1)


CASES = {"linear regression": LinearRegression, "linear network": LinearNetwork}


@pytest.fixture(scope="module", params=CASES)
def case(request) -> LinearRegression | LinearNetwork:
    return CASES[request.param]()


def kernel_of(posterior: Posterior, integrator: str, bug: str | None, size: float = 1.05) -> Kernel:
    def kernel(target):
        return fixed_kernel(target, integrator, STEP_SIZE, NUM_STEPS, CHAINS, jitter=JITTER)

    match bug:
        case "energy":
            return kernel(wrong_energy(posterior, size))
        case "force":
            return kernel(wrong_force(posterior, size))
        case "second half":
            wrong = WrongSecondHalf(posterior, size, right=NUM_STEPS // 2)
            return WrongSecondHalfKernel(kernel(wrong.wrapped), posterior, wrong)
        case _:
            return kernel(posterior)


def start_of(posterior: Posterior, bug: str | None, size: float = 1.05) -> State:
    target = wrong_energy(posterior, size) if bug == "energy" else posterior
    position = prior_start(posterior, CHAINS).position
    return State(position, *target.energy_and_gradient(position))


def sampled_law(case: LinearRegression | LinearNetwork, integrator: str, bug: str | None = None) -> list[Summary]:
    """Summaries of mean and variance, both exactly 1."""
    kernel, start = kernel_of(case.posterior, integrator, bug), start_of(case.posterior, bug)
    observed = [case.observe(state) for state in states(kernel, start, WARMUP, DRAWS)]
    return [Summary.of(torch.stack(values).mean(0)) for values in zip(*observed, strict=True)]


def law_holds(summaries: list[Summary]) -> bool:
    return all(abs(summary.z) < MOST_STANDARD_ERRORS for summary in summaries)


@pytest.mark.parametrize("bug", [None, "force"])
@pytest.mark.parametrize("integrator", NAMES)
def test_mean_and_variance_are_exact(case, integrator, bug):
    """With right forces, and with forces 5 % too large everywhere: these cost acceptance and bias nothing."""
    summaries = sampled_law(case, integrator, bug)
    assert all(summary.error < LARGEST_RELATIVE_ERROR for summary in summaries), summaries
    assert law_holds(summaries), summaries


@pytest.mark.parametrize("bug", ["energy", "second half"])
@pytest.mark.parametrize("integrator", NAMES)
def test_planted_bugs_fail_the_same_check(case, integrator, bug):
    """Negative controls at 5 %: energies, or the force on the second half of a trajectory alone."""
    assert not law_holds(sampled_law(case, integrator, bug))


@pytest.mark.parametrize(("bug", "passes"), [(None, True), ("force", True), ("energy", False), ("second half", False)])
@pytest.mark.parametrize("integrator", NAMES)
def test_every_entry_of_the_gaussian_posterior(integrator, bug, passes):
    """Chi-square over all means and second moments, whitened: exactly 0 and the identity."""
    regression = LinearRegression()
    size = regression.posterior.num_parameters
    upper = torch.triu_indices(size, size)
    first, second = [], []
    kernel, start = kernel_of(regression.posterior, integrator, bug), start_of(regression.posterior, bug)
    for state in states(kernel, start, WARMUP, DRAWS):
        white = regression.whitened(state)
        first.append(white)
        second.append((white.unsqueeze(-1) * white.unsqueeze(-2))[..., upper[0], upper[1]])
    averages = torch.cat([torch.stack(first).mean(0), torch.stack(second).mean(0)], dim=-1)
    expected = torch.cat([torch.zeros(size), (upper[0] == upper[1]).double()])
    z = (averages.mean(1) - expected) / (averages.std(1) / CHAINS**0.5)
    inflation = (CHAINS - 1) / (CHAINS - 3)  # mean of a squared Student t
    statistic = float(z.square().sum()) / inflation
    assert (stats.chi2.sf(statistic, z.numel()) > 1e-3) == passes, (statistic, z.numel())
