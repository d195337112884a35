"""The joint test of Geweke 2004 (J. Amer. Statist. Assoc. 99, 799): weights given data by the sampler, data given
weights by the model, in turn. Weights and data then keep their joint law, whose moments the prior knows.

It sees data and model at once: a likelihood, forward pass or readout draw that does not fit how labels are made moves
the weights off their prior. Every instance has a chain of its own, with inputs of its own, from an exact draw: the
teacher and its data.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nishimori.description import GaussianChannel, Network
from nishimori.exactness.laws import LARGEST_RELATIVE_ERROR, Outcome, Place
from nishimori.exactness.moments import compare, fixed_kernel
from nishimori.models.collapsed import CollapsedPosterior
from nishimori.models.layout import Position
from nishimori.models.posterior import Posterior
from nishimori.models.problem import Problem, matched_teacher
from nishimori.models.randomness import Randomness
from nishimori.models.wide_network import variance_of
from nishimori.samplers.base import Sampler
from nishimori.samplers.hmc import HMC
from nishimori_kernels.rng import fill_normals
from nishimori_kernels.rng.streams import Stream

NOISE_VARIANCE, SAMPLES = 0.5, 6
BLOCKS = {"W1": "hidden weights", "a": "readout", "b1": "hidden biases", "b": "output bias"}
LIMITS = {"squared output": 0.01, "squared output bias": 0.01}
"""Of the relative errors, where they are larger: the output, a product of two layers, has heavy tails, and its bias is
one number."""

NetworkTarget = Posterior | CollapsedPosterior


@dataclass(frozen=True)
class JointLaw:
    """A network of one hidden layer; `rounds` of `transitions` transitions and one draw of new labels.

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
        output_variance = torch.stack([variance_of(self.network, rows) for rows in problem.inputs])
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
        named = [*(BLOCKS[block] for block in self.network.block_names), "residual", "output"]
        compared = [compare(f"squared {name}", values) for name, values in zip(named, averages, strict=True)]
        limits = [LIMITS.get(one.quantity, LARGEST_RELATIVE_ERROR) for one in compared]
        limited = zip(compared, limits, strict=True)
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


def _quantities(weights: Position, latent: Tensor, labels: Tensor, output_variance: Tensor) -> Tensor:
    """[quantities, instances], each of mean 1 under the joint law."""
    blocks = (block.double().square().flatten(1).mean(-1).cpu() for block in weights.blocks)
    output = (latent.square() / output_variance).mean(-1)
    residual = (labels - latent).square().mean(-1) / NOISE_VARIANCE
    return torch.stack([*blocks, residual, output])


def joint_laws() -> tuple[JointLaw, ...]:
    plain, wide = Network(3, (4,), "tanh"), Network(3, (9,), "tanh")
    general = Network(3, (4,), "relu", bias_variance=0.4, weight_variance=(1.5, 0.7))
    kinds = {
        plain: "a tanh network",
        wide: "a tanh network",
        general: "a relu network with biases and weight variances",
    }
    return tuple(
        JointLaw(
            name,
            f"keeps the joint law of weights and data of {kinds[network]}",
            target,
            network,
            sampler,
            instances,
            rounds=50,
            transitions=2,
        )
        for name, target, network, sampler, instances in (
            ("geweke/hmc-leapfrog", Posterior, plain, HMC("leapfrog", 0.3, 5), 4500),
            ("geweke/hmc-rotation", Posterior, plain, HMC("rotation", 0.3, 5), 4500),
            ("geweke-biased/hmc-leapfrog", Posterior, general, HMC("leapfrog", 0.3, 5), 7000),
            ("geweke-collapsed/hmc-leapfrog", CollapsedPosterior, wide, HMC("leapfrog", 0.4, 4), 2000),
            ("geweke-collapsed/hmc-rotation", CollapsedPosterior, wide, HMC("rotation", 0.4, 4), 2000),
        )
    )
