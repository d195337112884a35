"""Annealed warm-up: each transition has the law of its temperature, and the last ones are the sampler's own."""

import torch
from targets import GaussianTarget

import nishimori as nm
from nishimori.chains.progress import silent
from nishimori.models.randomness import Randomness
from nishimori.samplers.annealing import POWER, AnnealedKernel

CHAINS, TRANSITIONS = 4000, 6


def annealed(curvatures: torch.Tensor, transitions: int = TRANSITIONS) -> AnnealedKernel:
    target = GaussianTarget(curvatures)
    randomness = Randomness.of(0, "", target.instances, range(CHAINS))
    hmc, steps = nm.HMC(jitter=0.0), torch.full((1,), 0.1)
    return AnnealedKernel(lambda target: hmc.kernel(target, steps, 8, randomness), target, transitions)


def test_each_transition_leaves_the_law_of_its_temperature():
    """Precision 1 + 24 b, here drawn exactly; with the curvature halved (the negative control) it does not stay."""
    for number in (0, 2, TRANSITIONS - 1):
        b = ((number + 1) / TRANSITIONS) ** POWER
        for curvature, stays in ((25.0, True), (12.0, False)):
            kernel = annealed(torch.full((10,), curvature))
            layout = kernel.target.layout(CHAINS)
            normal = kernel.target.initial_position(CHAINS, "prior", 1).flat
            start = layout.from_edge((normal / (1 + 24 * b) ** 0.5).view(1, CHAINS, 10))
            moved, info = kernel.step(kernel.init(start), number)
            assert float(info.acceptance.mean()) > 0.6
            variances = moved.position.blocks[0].square().mean((0, 2)) * (1 + 24 * b)
            z = float((variances.mean() - 1) / (variances.std() / CHAINS**0.5))
            assert (abs(z) < 4) == stays, (number, curvature, z)


def test_after_annealing_the_sampler_is_its_own():
    curvatures = torch.tensor([1.0, 4.0])
    kernel = annealed(curvatures)
    plain = kernel.make(kernel.target)
    state = plain.init(kernel.target.initial_position(CHAINS, "prior", 0))
    for number in (TRANSITIONS - 1, TRANSITIONS, TRANSITIONS + 7):
        expected, _ = plain.step(state, number)
        actual, _ = kernel.step(state, number)
        torch.testing.assert_close(actual.position.flat, expected.position.flat, rtol=0, atol=0)
        torch.testing.assert_close(actual.energy, expected.energy, rtol=0, atol=0)


def test_chains_from_the_prior_reach_a_posterior_that_is_steep_there():
    """Data far out in the prior's tail: without annealing the step that suits the posterior is rejected for ever."""

    class Exponential(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rate = torch.nn.Parameter(torch.zeros(3))

        def forward(self, x):
            return torch.exp(4 * self.rate) * x

    data = nm.GaussianLikelihood(torch.ones(1, 3), torch.full((1, 3), 0.02), noise_variance=1e-4)
    target = nm.ModuleTarget(Exponential(), data, precision="fp64", device="cpu")
    run = nm.sample(target, nm.HMC(), chains=24, warmup=100, draws=50, seed=2, progress=silent)
    late = run.statistics["accepted"][:, 100:].mean(axis=1)
    assert late.min() > 0.2, late
