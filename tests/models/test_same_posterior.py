"""One posterior, four ways: plain and collapsed targets and their samplers agree with importance sampling."""

import itertools
import math
from collections.abc import Callable
from functools import cache

import pytest
import torch
from targets import fixed_kernel, states, wrong_energy
from torch import Tensor

import nishimori as nm
from nishimori.models.layout import Position
from nishimori.models.randomness import Randomness
from nishimori.models.target import Target
from nishimori.samplers.base import Kernel
from nishimori.samplers.pcn import PCN

CHAINS, WARMUP, DRAWS = 200, 60, 120
MOST_STANDARD_ERRORS = 3.0
Network = nm.Posterior | nm.CollapsedPosterior


@cache
def problem() -> nm.Problem:
    network = nm.Network(3, (6,), "erf_sqrt2")
    return nm.matched_teacher(network, nm.GaussianChannel(0.25), samples=7, instances=1, seed=5, test_samples=3)


@cache
def collapsed() -> nm.CollapsedPosterior:
    return nm.CollapsedPosterior(problem(), "fp64", "cpu")


def observed(weights: Position) -> Tensor:
    """F on three test inputs, its square on the first one, the traces of W W^T and of the kernel: [values, chains]."""
    posterior = collapsed().posterior
    test = posterior.latent(weights, "test").clone()
    hidden = posterior.network("train", weights.layout.chains).forward_hidden(weights.blocks)
    norms = [weights.blocks[0].square().mean((-1, -2)), hidden.square().mean((-1, -2))]
    return torch.stack([*test.unbind(-1), test[..., 0].square(), *norms]).squeeze(1)


@cache
def by_importance_sampling(draws: int = 200_000) -> tuple[Tensor, Tensor]:
    """Means and standard errors from prior draws of the hidden layer, weighted by exp(-nlml), with readouts drawn."""
    target = collapsed()
    position = target.initial_position(tuple(range(draws)), "prior", seed=99)
    share = torch.softmax(-target.nlml(position).squeeze(0), 0)
    assert 1 / float(share.square().sum()) > 0.05 * draws
    randomness = Randomness.of(99, "", target.instances, range(draws))
    values = observed(target.complete(position, randomness, 0))
    means = values @ share
    return means, ((values - means.unsqueeze(-1)).square() @ share.square()).sqrt()


def pcn(target: Target, step_size: float) -> Kernel:
    randomness = Randomness.of(4, "", target.instances, range(CHAINS))
    steps = torch.full((1,), step_size, dtype=torch.float64)
    return PCN(step_size).kernel(target, steps, 1, randomness)


KERNELS: dict[str, tuple[type[Network], Callable[[Target], Kernel]]] = {
    "plain leapfrog": (nm.Posterior, lambda target: fixed_kernel(target, "leapfrog", 0.2, 8, CHAINS, 1, 0.4)),
    "collapsed rotation": (
        nm.CollapsedPosterior,
        lambda target: fixed_kernel(target, "rotation", 0.5, 3, CHAINS, 2, 0.4),
    ),
    "collapsed pcn": (nm.CollapsedPosterior, lambda target: pcn(target, 0.6)),
}


def sampled(name: str, spoil: Callable[[Target], Target] = lambda target: target) -> tuple[Tensor, Tensor]:
    """Means over chains started at the prior, and standard errors from their spread."""
    kind, kernel_of = KERNELS[name]
    target = kind(problem(), "fp64", "cpu")
    kernel, randomness = kernel_of(spoil(target)), Randomness.of(3, "", target.instances, range(CHAINS))
    start = kernel.init(target.initial_position(CHAINS, "prior", seed=7))
    found = [
        observed(target.complete(state.position, randomness, step))
        for step, state in enumerate(states(kernel, start, WARMUP, DRAWS))
    ]
    averages = torch.stack(found).mean(0)
    return averages.mean(-1), averages.std(-1) / math.sqrt(CHAINS)


def largest_difference(first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor]) -> float:
    """In standard errors, over the observables."""
    z = (first[0] - second[0]) / (first[1].square() + second[1].square()).sqrt()
    return float(z.abs().max())


@pytest.fixture(scope="module")
def results() -> dict[str, tuple[Tensor, Tensor]]:
    return {"importance sampling": by_importance_sampling(), **{name: sampled(name) for name in KERNELS}}


def test_all_samplers_agree_with_each_other_and_with_importance_sampling(results):
    differences = {
        (first, second): largest_difference(results[first], results[second])
        for first, second in itertools.combinations(results, 2)
    }
    assert all(difference < MOST_STANDARD_ERRORS for difference in differences.values()), differences
    traces = results["importance sampling"][0][-2:]
    assert all(bool((error[-2:] / traces < 0.01).all()) for _, error in results.values())


@pytest.mark.parametrize("name", KERNELS)
def test_energies_ten_percent_too_large_do_not_agree(name):
    """The negative control: PCN and HMC then sample the posterior at another temperature."""
    wrong = sampled(name, lambda target: wrong_energy(target, 1.1))
    assert largest_difference(wrong, by_importance_sampling()) > 4
