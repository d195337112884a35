"""Chains of one sampler on one posterior, a slice at a time: what they cost, how many effective samples they gave."""

import math
from collections.abc import Iterable, Mapping
from functools import cached_property

import numpy as np
import torch
from common import timed
from torch import Tensor

import nishimori as nm
from nishimori.measurement.convergence import Convergence, convergence
from nishimori.models.layout import Layout, Position, chain_dot
from nishimori.models.randomness import Randomness
from nishimori.models.target import Target
from nishimori.samplers.base import Sampler
from nishimori.sampling import calibration_of
from nishimori_kernels.rng.streams import Stream

NetworkTarget = nm.Posterior | nm.CollapsedPosterior

CHAINS = 4
WARMUP_SHARE = 0.2
CALIBRATION_SEED, SEED = 0, 1
OBSERVABLES = ("test error", "training energy", "projection")
COMPARED = ("test error", "training energy")
"""Means of a projection may differ: signs of hidden units that a chain never changes are those of its start."""


class Counted:
    """Another target, its evaluations counted: energy, gradient, or both at once."""

    def __init__(self, target: Target) -> None:
        self._target, self.evaluations = target, 0
        self.gaussian_prior, self.num_parameters = target.gaussian_prior, target.num_parameters
        self.instances, self.dtype, self.device = target.instances, target.dtype, target.device

    def layout(self, chains: int) -> Layout:
        return self._target.layout(chains)

    def energy(self, position: Position) -> Tensor:
        self.evaluations += 1
        return self._target.energy(position)

    def gradient(self, position: Position, out: Position | None = None) -> Position:
        self.evaluations += 1
        return self._target.gradient(position, out)

    def energy_and_gradient(self, position: Position, out: Position | None = None) -> tuple[Tensor, Position]:
        self.evaluations += 1
        return self._target.energy_and_gradient(position, out)

    def initial_position(self, chains: int | tuple[int, ...], start: str, seed: int, point: str = "") -> Position:
        return self._target.initial_position(chains, start, seed, point)


class MixingChains:
    """CHAINS chains an instance, from the teacher, with the step size and number of steps that calibration chooses.

    `run` goes on for a while; the results are those of all draws but the first fifth. Where the target draws several
    readouts for every draw of the hidden layers, observables are averaged over them.
    """

    def __init__(self, target: NetworkTarget, sampler: Sampler) -> None:
        self.calibration = calibration_of(target, sampler, CALIBRATION_SEED, progress=lambda *_: None)
        self.target, self.counted = target, Counted(target)
        self.randomness = Randomness.of(SEED, "", target.instances, range(CHAINS))
        self.kernel = sampler.kernel(
            self.counted,
            self.calibration.step_size_of(target.instances),
            self.calibration.num_steps,
            self.randomness,
        )
        self.draws: list[Tensor] = []
        self.variances: list[Tensor] = []
        self.state = self.kernel.init(target.initial_position(CHAINS, "teacher", SEED))
        self.networks: list[Position] = []
        self.acceptances: list[float] = []
        self.evaluations = [self.counted.evaluations]
        self.rates: list[float] = []

    def run(self, seconds: float) -> None:
        """A slice of transitions that take `seconds`, readouts drawn included and observables not."""
        before, spent = self.counted.evaluations, 0.0
        while spent < seconds:
            spent += timed(self._transition, self.target.device)
            seen = torch.stack([self._observe(weights) for weights in self.networks])
            self.draws.append(seen.mean(0))
            self.variances.append(seen.var(0, correction=0))
            self.evaluations.append(self.counted.evaluations)
        self.rates.append((self.counted.evaluations - before) * self.all_chains / spent)

    def _transition(self) -> None:
        self.state, info = self.kernel.step(self.state, len(self.draws))
        self.networks = list(self._completions())
        self.acceptances.append(float(info.acceptance.mean()))

    def _completions(self) -> Iterable[Position]:
        position, step = self.state.position, len(self.draws)
        if isinstance(self.target, nm.CollapsedPosterior):
            return self.target.completions(position, self.randomness, step, self.target.readouts)
        return [position]

    def _observe(self, weights: Position) -> Tensor:
        """[observables, instances, chains]."""
        posterior, problem = self.target.posterior, self.target.problem
        test = posterior.latent(weights, "test").double() - self._place(problem.known_teacher().test_latent)
        train = posterior.latent(weights, "train").double() - self._place(problem.labels)
        return torch.stack([test.square().mean(-1), train.square().mean(-1), chain_dot(weights, self.direction)]).cpu()

    def _place(self, values: Tensor) -> Tensor:
        return values.to(self.target.device).unsqueeze(1)

    @cached_property
    def direction(self) -> Position:
        """The same for all chains of an instance, and for all samplers."""
        layout = self.target.posterior.layout(1)
        normals = layout.empty(torch.float64, self.target.device)
        Randomness.of(SEED, "direction", self.target.instances, (0,)).fill_normals(normals, Stream.PRIOR_START, 0)
        wide = self.target.posterior.layout(CHAINS).empty(torch.float64, self.target.device)
        for block, own in zip(wide.blocks, normals.blocks, strict=True):
            block.copy_(own.expand_as(block))
        return wide

    @property
    def all_chains(self) -> int:
        return CHAINS * len(self.target.instances)

    @property
    def warmup(self) -> int:
        return int(WARMUP_SHARE * len(self.draws))

    def convergences(self) -> dict[str, Convergence]:
        kept = torch.stack(self.draws[self.warmup :], dim=-1).numpy()
        return {name: convergence(draws) for name, draws in zip(OBSERVABLES, kept, strict=True)}

    def effective_samples(self) -> dict[str, float]:
        """How many independent networks would leave the Monte Carlo error there is: the variance of an observable of
        one network over that of its mean, summed over instances."""
        means, within = (torch.stack(kept[self.warmup :], dim=-1) for kept in (self.draws, self.variances))
        of_one_network = means.flatten(2).var(-1) + within.flatten(2).mean(-1)
        return {
            name: float((variance / torch.from_numpy(found.monte_carlo_variance)).sum())
            for variance, (name, found) in zip(of_one_network, self.convergences().items(), strict=True)
        }

    def per_gradient(self) -> dict[str, float]:
        """Effective samples a gradient of one chain, by observable."""
        gradients = (self.evaluations[-1] - self.evaluations[self.warmup]) * self.all_chains
        return {name: size / gradients for name, size in self.effective_samples().items()}

    def gradients_per_second(self) -> tuple[float, float, float]:
        """Of all chains together: median and 20/80 quantiles over slices."""
        low, middle, high = np.quantile(self.rates, [0.2, 0.5, 0.8])
        return float(middle), float(low), float(high)

    def acceptance(self) -> float:
        return float(np.mean(self.acceptances[self.warmup :]))


def largest_disagreement(methods: Mapping[str, MixingChains]) -> tuple[float, str]:
    """Over methods and compared observables: |z| of a method's mean against the weighted mean of the others."""
    found = [(0.0, "nothing to compare")]
    for name in COMPARED:
        means, variances = zip(*(_mean_of(chains, name) for chains in methods.values()), strict=True)
        mean, weight = np.array(means), 1 / np.array(variances)
        for place, method in enumerate(methods):
            others = np.arange(len(mean)) != place
            if not others.any():
                continue
            expected = float((weight[others] * mean[others]).sum() / weight[others].sum())
            error = math.sqrt(1 / weight[place] + 1 / weight[others].sum())
            found.append((abs(mean[place] - expected) / error, f"{name} of {method}"))
    return max(found)


def _mean_of(chains: MixingChains, observable: str) -> tuple[float, float]:
    """Mean over instances, and its Monte Carlo variance."""
    kept = torch.stack(chains.draws[chains.warmup :], dim=-1)[OBSERVABLES.index(observable)]
    variance = chains.convergences()[observable].monte_carlo_variance
    return float(kept.mean()), float(variance.sum()) / len(variance) ** 2
