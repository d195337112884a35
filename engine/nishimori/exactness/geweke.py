"""The joint test of Geweke 2004 (J. Amer. Statist. Assoc. 99, 799): weights given data by the sampler, data given
weights by the model, in turn. Weights and data then keep their joint law, whose moments the prior knows.

It sees data and model at once: a likelihood, forward pass or readout draw that does not fit how labels are made moves
the weights off their prior. Every instance has a chain of its own, with inputs of its own, from an exact draw: the
teacher and its data.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from nishimori.description import GaussianChannel, Network
from nishimori.exactness.laws import LARGEST_RELATIVE_ERROR, Outcome, Place
from nishimori.exactness.moments import compare, fixed_kernel
from nishimori.exactness.quadrature import GridLaw
from nishimori.models.collapsed import CollapsedPosterior
from nishimori.models.layout import Position
from nishimori.models.posterior import Posterior
from nishimori.models.problem import Problem, matched_teacher
from nishimori.models.randomness import Randomness
from nishimori.samplers.base import Sampler
from nishimori.samplers.hmc import HMC
from nishimori_kernels.rng import fill_normals
from nishimori_kernels.rng.streams import Stream

NOISE_VARIANCE, SAMPLES = 0.5, 6
QUANTITIES = ("squared hidden weights", "squared readout", "squared residual", "squared output")
LIMITS = (*[LARGEST_RELATIVE_ERROR] * 3, 0.01)
"""Of the relative errors; the output, a product of two layers, has heavy tails."""

NetworkTarget = Posterior | CollapsedPosterior


@dataclass(frozen=True)
class JointLaw:
    """A tanh network of one hidden layer; `rounds` of `transitions` transitions and one draw of new labels.

    Every quantity is seen after the transitions, before the labels are drawn. `sampler` may keep nothing but the
    position from one transition to the next: its state is made anew for new labels.
    """

    name: str
    statement: str
    target: Callable[[Problem, str, str], NetworkTarget]
    network: Network
    sampler: Sampler
    instances: int
    rounds: int
    transitions: int

    def check(self, place: Place) -> Outcome:
        channel = GaussianChannel(NOISE_VARIANCE)
        problem = matched_teacher(self.network, channel, SAMPLES, self.instances, place.seed, 1, self.name)
        randomness = Randomness.of(place.seed, self.name, problem.instances, (0,))
        output_variance = _output_variance(problem)
        position, total = None, torch.zeros((), dtype=torch.float64, device="cpu")
        for number in range(self.rounds):
            target = self.target(problem, place.precision, place.device)
            start = target.initial_position(1, "teacher", place.seed) if position is None else position
            position = self._moved(target, start, randomness, number)
            weights = target.complete(position, randomness, number)
            latent = target.posterior.latent(weights).squeeze(1).double().cpu()
            total = total + _quantities(weights, latent, problem.labels, output_variance)
            problem = replace(problem, labels=latent + _noise(randomness, number))
        averages = (total / self.rounds).unsqueeze(1)
        compared = (compare(name, values) for name, values in zip(QUANTITIES, averages, strict=True))
        limited = zip(compared, LIMITS, strict=True)
        return Outcome(tuple(replace(one, largest_relative_error=limit) for one, limit in limited))

    def _moved(self, target: NetworkTarget, position: Position, randomness: Randomness, number: int) -> Position:
        kernel = fixed_kernel(target, self.sampler, randomness)
        state = kernel.init(position)
        for transition in range(self.transitions):
            state, _ = kernel.step(state, number * self.transitions + transition)
        return state.position


def _noise(randomness: Randomness, number: int) -> Tensor:
    """Fresh label noise, [instances, samples]; step 0 of the stream made the labels of the teacher."""
    noise = torch.empty((len(randomness.instances), 1, SAMPLES), dtype=torch.float64, device="cpu")
    fill_normals(noise, randomness.key, Stream.TRAIN_NOISE, number + 1, randomness.instances, randomness.chains)
    return math.sqrt(NOISE_VARIANCE) * noise.squeeze(1)


def _output_variance(problem: Problem) -> Tensor:
    """E F^2 under the prior at every training input, E tanh(|x| z / sqrt(input_dim))^2 over z ~ N(0, 1); [instances,
    samples]."""
    z = np.linspace(-10, 10, 401)
    deviation = (problem.inputs.square().sum(-1) / problem.network.input_dim).sqrt().numpy()
    return torch.from_numpy(GridLaw.of(z, -(z**2) / 2).mean(np.tanh(z[:, None, None] * deviation) ** 2))


def _quantities(weights: Position, latent: Tensor, labels: Tensor, output_variance: Tensor) -> Tensor:
    """[quantities, instances], each of mean 1 under the joint law."""
    hidden, readout = (block.double().square().flatten(1).mean(-1).cpu() for block in weights.blocks)
    output = (latent.square() / output_variance).mean(-1)
    residual = (labels - latent).square().mean(-1) / NOISE_VARIANCE
    return torch.stack([hidden, readout, residual, output])


def joint_laws() -> tuple[JointLaw, ...]:
    statement = "keeps the joint law of weights and data of a tanh network"
    plain, wide = Network(3, (4,), "tanh"), Network(3, (9,), "tanh")
    return tuple(
        JointLaw(name, statement, target, network, sampler, instances, rounds=50, transitions=2)
        for name, target, network, sampler, instances in (
            ("geweke/hmc-leapfrog", Posterior, plain, HMC("leapfrog", 0.3, 5), 4500),
            ("geweke/hmc-rotation", Posterior, plain, HMC("rotation", 0.3, 5), 4500),
            ("geweke-collapsed/hmc-leapfrog", CollapsedPosterior, wide, HMC("leapfrog", 0.4, 4), 2000),
            ("geweke-collapsed/hmc-rotation", CollapsedPosterior, wide, HMC("rotation", 0.4, 4), 2000),
        )
    )
