"""A problem: a network, a channel and data; `matched_teacher` draws one whose posterior is Bayes-optimal."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nishimori.description import ACTIVATIONS, GaussianChannel, Network
from nishimori.models.layout import Layout, Position, network_layout
from nishimori_kernels.energy.activations import ACTIVATION_KERNELS
from nishimori_kernels.energy.batched import BatchedNetwork
from nishimori_kernels.rng import fill_normals, random_key
from nishimori_kernels.rng.streams import Stream


@dataclass(frozen=True, eq=False)
class Teacher:
    """What generated the labels, and fresh inputs to measure errors on.

    `weights` holds one chain an instance; `latent` [instances, samples] and `test_latent` [instances, test_samples]
    are F* on the training and test inputs, `test_inputs` [instances, test_samples, input_dim]. All float64.
    """

    weights: Position
    latent: Tensor
    test_inputs: Tensor
    test_latent: Tensor


@dataclass(frozen=True, eq=False)
class Problem:
    """Data sets of some instances and the model that explains them.

    `inputs` [instances, samples, input_dim] and `labels` [instances, samples] are float64; `instances` are the
    identities that address random numbers (0, 1, ... or a choice of them).
    """

    network: Network
    channel: GaussianChannel
    inputs: Tensor
    labels: Tensor
    teacher: Teacher
    instances: tuple[int, ...]

    @property
    def samples(self) -> int:
        return self.labels.shape[-1]

    def layout(self, chains: int) -> Layout:
        return layout_of(self.network, len(self.instances), chains)


def layout_of(network: Network, instances: int, chains: int) -> Layout:
    readout = network.widths[-1] if network.widths else network.input_dim
    return network_layout(instances, chains, network.layer_shapes, readout)


def matched_teacher(
    network: Network,
    channel: GaussianChannel,
    samples: int,
    instances: int | Sequence[int] = 1,
    seed: int = 0,
    test_samples: int = 1000,
    point: str = "",
) -> Problem:
    """Draw teachers from the prior, Gaussian inputs, noisy labels and a test set.

    Law: weights, inputs iid N(0, 1); y = F*(x) + sqrt(noise_variance) N(0, 1) (arXiv 2505.03577, eqs. 1-5).
    `instances` is a count or the identities wanted; an instance depends on (seed, point, its identity) alone, and
    a larger `samples` or `test_samples` extends the rows of a smaller one.

    Raises ValueError where a size is below one or the activation cannot be sampled.
    """
    identities = tuple(range(instances)) if isinstance(instances, int) else tuple(instances)
    _require_sizes(samples=samples, instances=len(identities), test_samples=test_samples)
    if len(set(identities)) < len(identities):
        raise ValueError("instances name one teacher twice; give each identity once")
    require_samplable(network)
    draw = _Draw(random_key(seed, point), identities)
    weights = layout_of(network, len(identities), 1).empty(torch.float64, torch.device("cpu"))
    for block, first in zip(weights.blocks, weights.layout.first_elements, strict=True):
        fill_normals(block, draw.key, Stream.TEACHER, 0, identities, (0,), first_element=first)
    inputs = draw.rows(Stream.TRAIN_INPUTS, samples, network.input_dim)
    test_inputs = draw.rows(Stream.TEST_INPUTS, test_samples, network.input_dim)
    latent = _latent(network, weights, inputs)
    noise = draw.rows(Stream.TRAIN_NOISE, samples, 1).squeeze(-1)
    labels = latent + math.sqrt(channel.noise_variance) * noise
    teacher = Teacher(weights, latent, test_inputs, _latent(network, weights, test_inputs))
    return Problem(network, channel, inputs, labels, teacher, identities)


@dataclass(frozen=True)
class _Draw:
    key: int
    instances: tuple[int, ...]

    def rows(self, stream: Stream, count: int, width: int) -> Tensor:
        """[instances, count, width]; element = row * width + column."""
        out = torch.empty(len(self.instances), 1, count, width, dtype=torch.float64, device="cpu")
        return fill_normals(out, self.key, stream, 0, self.instances, (0,)).squeeze(1)


def _latent(network: Network, weights: Position, inputs: Tensor) -> Tensor:
    batched = BatchedNetwork(inputs, network.widths, network.activation.name, chains=1)
    return batched.forward(weights.blocks).squeeze(1).clone()


def _require_sizes(**sizes: int) -> None:
    for name, value in sizes.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}; ask for one or more")


def require_samplable(network: Network) -> None:
    """ValueError unless the network's activation is a registered one that has a sampling kernel."""
    name = network.activation.name
    if name not in ACTIVATION_KERNELS:
        raise ValueError(f"activation {name!r} cannot be sampled; use one of {', '.join(sorted(ACTIVATION_KERNELS))}")
    if network.activation != ACTIVATIONS[name]:
        raise ValueError(f"this activation is not the {name!r} that has a sampling kernel; give it another name")
