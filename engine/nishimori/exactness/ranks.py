"""Simulation-based calibration (Talts et al. 2018, arXiv 1804.06788): the rank of the teacher among draws from its
posterior is uniform.

Every instance is a replication: a teacher from the prior, data from it, and chains that start at the prior and know
nothing of the teacher. The ranks of functions of the weights, of predictions and of the likelihood (the most telling:
Modrak et al. 2023, arXiv 2211.02383) are compared with the uniform law.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from scipy import special
from torch import Tensor

from nishimori.chains.loop import Schedule, chain_loop
from nishimori.description import (
    Channel,
    GaussianChannel,
    LogisticChannel,
    Network,
    OutputChannel,
    ProbitChannel,
)
from nishimori.exactness.laws import Comparison, Outcome, Place
from nishimori.exactness.moments import fixed_kernel
from nishimori.models.collapsed import CollapsedPosterior
from nishimori.models.layout import Position
from nishimori.models.posterior import Posterior
from nishimori.models.problem import Problem, matched_teacher
from nishimori.models.randomness import Randomness
from nishimori.samplers.base import Sampler
from nishimori.samplers.hmc import HMC

CHANNEL, SAMPLES = GaussianChannel(0.3), 8
FUNCTIONS = ("squared hidden weights", "squared readout", "prediction", "squared prediction", "log likelihood")
BINS = 8

NetworkTarget = Posterior | CollapsedPosterior


@dataclass(frozen=True)
class RankLaw:
    """A tanh network of one hidden layer; `chains` chains of `draws` draws, `thin` transitions apart, an instance.

    chains * draws + 1, the number of possible ranks, is a multiple of 8, the number of bins of the chi-square test. Its
    p-value, and mean and spread of the ranks, are told as standard normal deviates.
    """

    name: str
    statement: str
    target: Callable[[Problem, str, str], NetworkTarget]
    sampler: Sampler
    instances: int
    chains: int
    warmup: int
    draws: int
    thin: int
    channel: Channel = CHANNEL

    def check(self, place: Place) -> Outcome:
        network = Network(3, (5,), "tanh")
        problem = matched_teacher(network, self.channel, SAMPLES, self.instances, place.seed, 1, self.name)
        target = self.target(problem, place.precision, place.device)
        truth = _functions(target, target.posterior.initial_position(1, "teacher", place.seed))
        randomness = Randomness.of(place.seed, self.name, problem.instances, range(self.chains))
        kernel = fixed_kernel(target, self.sampler, randomness)
        state = kernel.init(target.initial_position(self.chains, "prior", place.seed, self.name))
        ranks = torch.zeros(truth.shape[:2], dtype=torch.float64, device=truth.device)
        for transition in chain_loop(kernel, state, Schedule(self.warmup, self.draws, self.thin)):
            if transition.draw is not None:
                weights = target.complete(transition.state.position, randomness, transition.step)
                ranks += (_functions(target, weights) < truth).sum(-1)
        named = zip(FUNCTIONS, ranks.cpu(), strict=True)
        count = self.chains * self.draws
        return Outcome(tuple(one for name, values in named for one in uniformity(name, values, count)))


def _functions(target: NetworkTarget, weights: Position) -> Tensor:
    """[functions, instances, chains] of all weights of the network."""
    posterior = target.posterior
    hidden, readout = (block.double().square().flatten(2).sum(-1) for block in weights.blocks)
    prediction = posterior.latent(weights, "test")[..., 0].double().clone()
    labels = posterior.problem.labels.to(posterior.device).unsqueeze(1)
    likelihood = posterior.law.log_likelihood(labels, posterior.latent(weights).double()).sum(-1)
    return torch.stack([hidden, readout, prediction, prediction.square(), likelihood])


def uniformity(name: str, ranks: Tensor, most: int) -> tuple[Comparison, Comparison, Comparison]:
    """Of `ranks` [replications], each 0, 1, ... `most`: chi-square over bins, mean, and mean square deviation."""
    replications, values = len(ranks), most + 1
    counts = torch.bincount((ranks * BINS / values).long(), minlength=BINS).double()
    expected = replications / BINS
    statistic = float((counts - expected).square().sum()) / expected
    z = -float(special.ndtri(special.chdtrc(BINS - 1, statistic)))
    variance = (values**2 - 1) / 12
    mean = float((ranks - most / 2).mean()) / math.sqrt(variance / replications)
    square = (ranks - most / 2).square()
    # The fourth central moment of the discrete uniform law is variance (3 values^2 - 7) / 20.
    spread = math.sqrt((variance * (3 * values**2 - 7) / 20 - variance**2) / replications)
    return (
        Comparison(f"ranks of {name}, chi-square", z),
        Comparison(f"ranks of {name}, mean", mean),
        Comparison(f"ranks of {name}, spread", (float(square.mean()) - variance) / spread),
    )


def rank_laws(instances: int = 200) -> tuple[RankLaw, ...]:
    """With `instances` replications."""
    statement = f"ranks the teacher uniformly among its draws, {instances} tanh networks"
    leapfrog, rotation = HMC("leapfrog", 0.15, 8), HMC("rotation", 0.15, 8)
    return tuple(
        RankLaw(name, statement, target, sampler, instances, chains=9, warmup=60, draws=7, thin=10, channel=channel)
        for name, target, sampler, channel in (
            ("ranks/hmc-leapfrog", Posterior, leapfrog, CHANNEL),
            ("ranks/hmc-rotation", Posterior, rotation, CHANNEL),
            ("ranks-collapsed/hmc-leapfrog", CollapsedPosterior, HMC("leapfrog", 0.25, 5), CHANNEL),
            ("ranks-collapsed/hmc-rotation", CollapsedPosterior, HMC("rotation", 0.25, 5), CHANNEL),
            ("ranks-probit/hmc-leapfrog", Posterior, leapfrog, ProbitChannel(0.1)),
            ("ranks-logistic/hmc-leapfrog", Posterior, leapfrog, LogisticChannel(0.2)),
            ("ranks-tanh-output/hmc-leapfrog", Posterior, leapfrog, OutputChannel("tanh", 0.1)),
            ("ranks-relu-output/hmc-rotation", Posterior, rotation, OutputChannel("relu", 0.1)),
        )
    )
