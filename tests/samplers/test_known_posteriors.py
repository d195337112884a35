"""Every sampler against posteriors known in closed form, in units of Monte Carlo standard error, and planted bugs.

Chains start at independent prior draws and use independent random numbers, so they are independent given the data,
and the spread of chain averages is the error. Every summary is a chain average with a known mean of 1: no bias of
estimation enters.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from sampler_settings import ADJUSTED
from scipy import stats
from targets import (
    WrongSecondHalf,
    WrongSecondHalfKernel,
    linear_posterior,
    states,
    wrong_energy,
    wrong_force,
)

import nishimori as nm
from nishimori.exactness.linear_network_posterior import linear_network_prediction
from nishimori.models.posterior import Posterior
from nishimori.samplers.base import Kernel, State
from nishimori.samplers.hmc import HMCKernel
from nishimori.samplers.integrators import INTEGRATORS

MOST_STANDARD_ERRORS = 4.0
LARGEST_RELATIVE_ERROR = 0.01

ALWAYS = ("leapfrog", "rotation")
NAMES = [name if name in ALWAYS else pytest.param(name, marks=pytest.mark.validate) for name in ADJUSTED]
"""The others go through the laws of `nishimori selftest` every time, and through these with --validate."""


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


def kernel_of(posterior: Posterior, name: str, bug: str | None, size: float = 1.05) -> Kernel:
    setting = ADJUSTED[name]
    match bug:
        case "energy":
            return setting.kernel(wrong_energy(posterior, size), setting.chains)
        case "force":
            return setting.kernel(wrong_force(posterior, size), setting.chains)
        case "second half":
            right = setting.num_steps * INTEGRATORS[name].gradients_per_step // 2
            wrong = WrongSecondHalf(posterior, size, right)
            hmc = setting.kernel(wrong.wrapped, setting.chains)
            assert isinstance(hmc, HMCKernel)
            return WrongSecondHalfKernel(hmc, posterior, wrong)
        case _:
            return setting.kernel(posterior, setting.chains)


def draws_of(posterior: Posterior, name: str, bug: str | None) -> Iterator[State]:
    setting, kernel = ADJUSTED[name], kernel_of(posterior, name, bug)
    start = kernel.init(posterior.initial_position(setting.chains, "prior", 0))
    return states(kernel, start, setting.warmup, setting.draws)


def sampled_law(case: LinearRegression | LinearNetwork, name: str, bug: str | None = None) -> list[Summary]:
    """Summaries of mean and variance, both exactly 1."""
    observed = [case.observe(state) for state in draws_of(case.posterior, name, bug)]
    return [Summary.of(torch.stack(values).mean(0)) for values in zip(*observed, strict=True)]


def law_holds(summaries: list[Summary]) -> bool:
    return all(abs(summary.z) < MOST_STANDARD_ERRORS for summary in summaries)


@pytest.mark.parametrize("name", NAMES)
def test_mean_and_variance_are_exact(case, name):
    summaries = sampled_law(case, name)
    assert all(summary.error < LARGEST_RELATIVE_ERROR for summary in summaries), summaries
    assert law_holds(summaries), summaries


@pytest.mark.parametrize("name", NAMES)
def test_wrong_energies_fail_the_same_check(name):
    """Negative control at 5 %."""
    assert not law_holds(sampled_law(LinearNetwork(), name, "energy"))


@pytest.mark.parametrize("name", sorted(INTEGRATORS))
def test_a_force_wrong_on_the_second_half_fails_the_same_check(name):
    """Negative control at 5 %: the map is no longer its own inverse under a flip of the momentum."""
    assert not law_holds(sampled_law(LinearRegression(), name, "second half"))


@pytest.mark.parametrize(("bug", "passes"), [(None, True), ("force", True), ("energy", False)])
@pytest.mark.parametrize("name", NAMES)
def test_every_entry_of_the_gaussian_posterior(name, bug, passes):
    """Chi-square over all means and second moments, whitened: exactly 0 and the identity.

    With right forces and with forces 5 % too large everywhere, which cost acceptance and bias nothing.
    """
    regression, chains = LinearRegression(), ADJUSTED[name].chains
    size = regression.posterior.num_parameters
    upper = torch.triu_indices(size, size)
    first, second = [], []
    for state in draws_of(regression.posterior, name, bug):
        white = regression.whitened(state)
        first.append(white)
        second.append((white.unsqueeze(-1) * white.unsqueeze(-2))[..., upper[0], upper[1]])
    averages = torch.cat([torch.stack(first).mean(0), torch.stack(second).mean(0)], dim=-1)
    expected = torch.cat([torch.zeros(size), (upper[0] == upper[1]).double()])
    z = (averages.mean(1) - expected) / (averages.std(1) / chains**0.5)
    inflation = (chains - 1) / (chains - 3)  # mean of a squared Student t
    statistic = float(z.square().sum()) / inflation
    assert (stats.chi2.sf(statistic, z.numel()) > 1e-3) == passes, (statistic, z.numel())
