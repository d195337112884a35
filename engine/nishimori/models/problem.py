"""A problem: a network, a channel and data; `matched_teacher` draws one whose posterior is Bayes-optimal."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from nishimori.description import Channel, Network
from nishimori.models.forward import batched_network, require_samplable_network
from nishimori.models.inputs import InputGenerator
from nishimori.models.label_laws import label_law, require_labels
from nishimori.models.layout import Layout, Position
from nishimori.models.own_data import fresh_inputs_of, labels_of, rows_of
from nishimori_kernels.rng import fill_normals, random_key
from nishimori_kernels.rng.streams import Stream

CPU = torch.device("cpu")
ROWS = 256
"""Rows that go through a teacher together."""


@dataclass(frozen=True, eq=False)
class Teacher:
    """What generated the labels, and fresh inputs to measure errors on.

    `weights` holds one chain an instance; `latent` [instances, samples] and `test_latent` [instances, test_samples]
    are F* on the training and test inputs, `test_inputs` [instances, test_samples, input_dim]. All float64. `network`
    and `channel` are None where they are the student's: see `mismatched_teacher`.
    """

    weights: Position
    latent: Tensor
    test_inputs: Tensor
    test_latent: Tensor
    network: Network | None = None
    channel: Channel | None = None


@dataclass(frozen=True, eq=False, init=False)
class Problem:
    """Data sets of some instances and the model that explains them.

    Data of one's own: `inputs` [samples, input_dim] or [instances, samples, input_dim], `labels` [samples] or
    [instances, samples], `test_inputs` [rows, input_dim] (the same for all instances), [instances, rows, input_dim] or
    None, as numpy arrays or tensors; kept as float64 copies on the CPU, with the axis of instances. `instances` are
    the identities that address random numbers (default 0, 1, ...). `teacher` is None unless one drew the labels.

    Raises ValueError, naming the argument, for other shapes, values that are not finite numbers, identities that are
    not one an instance, labels other than -1 and 1 of a channel of classes, or an activation or a channel that cannot
    be sampled.
    """

    network: Network
    channel: Channel
    inputs: Tensor
    labels: Tensor
    test_inputs: Tensor | None
    teacher: Teacher | None
    instances: tuple[int, ...]

    def __init__(
        self,
        network: Network,
        channel: Channel,
        inputs: ArrayLike | Tensor,
        labels: ArrayLike | Tensor,
        *,
        test_inputs: ArrayLike | Tensor | None = None,
        teacher: Teacher | None = None,
        instances: Sequence[int] | None = None,
    ) -> None:
        require_samplable_network(network)
        rows = rows_of("inputs", inputs, network.input_dim)
        assign = object.__setattr__
        assign(self, "network", network)
        assign(self, "channel", channel)
        assign(self, "inputs", rows)
        assign(self, "labels", labels_of(labels, rows))
        require_labels(channel, self.labels)
        assign(self, "test_inputs", fresh_inputs_of(test_inputs, rows))
        assign(self, "teacher", teacher)
        assign(self, "instances", _identities(instances, len(rows)))

    @property
    def samples(self) -> int:
        return self.labels.shape[-1]

    def layout(self, chains: int) -> Layout:
        return layout_of(self.network, len(self.instances), chains)

    @property
    def mismatch(self) -> tuple[str, ...]:
        """What the teacher has otherwise than the student, by the names of fields; nothing where both are matched, or
        there is no teacher."""
        if self.teacher is None:
            return ()
        pairs = (self.network, self.teacher.network), (self.channel, self.teacher.channel)
        return tuple(
            field.name
            for own, theirs in pairs
            if theirs is not None
            for field in fields(own)
            if getattr(own, field.name) != getattr(theirs, field.name)
        )

    def known_teacher(self) -> Teacher:
        """The teacher, a sample of the posterior; ValueError where the problem has none, or one unlike its student."""
        if self.teacher is None:
            raise ValueError("this problem has data and no teacher; start='prior', or draw it with matched_teacher")
        if self.mismatch:
            raise ValueError(
                f"teacher and student differ in {', '.join(self.mismatch)}: the teacher is no sample of the posterior, "
                "to start at or to measure information with; start='prior', or draw the problem with matched_teacher"
            )
        return self.teacher

    def rows(self, name: str) -> Tensor:
        """The "train" or "test" inputs, [instances, rows, input_dim]; ValueError where there are none."""
        if name not in ("train", "test"):
            raise ValueError(f'there are no {name!r} inputs; ask for "train" or "test"')
        found = self.inputs if name == "train" else self.test_inputs
        if found is None:
            raise ValueError("this problem has no test inputs; give them as Problem(..., test_inputs=...)")
        return found


def layout_of(network: Network, instances: int, chains: int) -> Layout:
    return Layout(instances, chains, network.block_shapes)


def matched_teacher(
    network: Network,
    channel: Channel,
    samples: int,
    instances: int | Sequence[int] = 1,
    seed: int = 0,
    test_samples: int = 1000,
    point: str = "",
    *,
    inputs: InputGenerator | None = None,
) -> Problem:
    """Draw teachers from the prior, Gaussian inputs, noisy labels and a test set.

    Law: weights, biases and inputs iid N(0, 1), scaled in the forward pass, or inputs of a generator `inputs`; y drawn
    by the channel given F*(x), for the Gaussian one y = F*(x) + sqrt(noise_variance) N(0, 1) (arXiv 2505.03577, eqs.
    1-5), all channels from the same normal numbers; a fixed readout is 1. `instances` is a count or the identities
    wanted; an instance depends on (seed, point, its identity) alone, and a larger `samples` or `test_samples` extends
    the rows of a smaller one.

    Raises ValueError where a size is below one, the activation or the channel cannot be sampled, or the generator's
    inputs have another dimension.
    """
    identities = tuple(range(instances)) if isinstance(instances, int) else tuple(instances)
    _require_sizes(samples=samples, instances=len(identities), test_samples=test_samples)
    require_samplable_network(network)
    law = label_law(channel, CPU)
    if inputs is not None and inputs.input_dim != network.input_dim:
        raise ValueError(
            f"inputs have dimension {inputs.input_dim}, the network's input_dim is {network.input_dim}; make them equal"
        )
    draw = _Draw(random_key(seed, point), _identities(identities, len(identities)))
    weights = layout_of(network, len(identities), 1).empty(torch.float64, CPU)
    for block, first in zip(weights.blocks, weights.layout.first_elements, strict=True):
        fill_normals(block, draw.key, Stream.TEACHER, 0, identities, (0,), first_element=first)
    rows = draw.inputs(Stream.TRAIN_INPUTS, samples, network.input_dim, inputs)
    test_inputs = draw.inputs(Stream.TEST_INPUTS, test_samples, network.input_dim, inputs)
    latent = _latent(network, weights, rows)
    noise = draw.rows(Stream.TRAIN_NOISE, samples, 1).squeeze(-1)
    labels = law.draw(latent, noise)
    teacher = Teacher(weights, latent, test_inputs, _latent(network, weights, test_inputs))
    return Problem(network, channel, rows, labels, test_inputs=test_inputs, teacher=teacher, instances=identities)


@dataclass(frozen=True)
class _Draw:
    key: int
    instances: tuple[int, ...]

    def rows(self, stream: Stream, count: int, width: int) -> Tensor:
        """[instances, count, width]; element = row * width + column."""
        out = torch.empty(len(self.instances), 1, count, width, dtype=torch.float64, device="cpu")
        return fill_normals(out, self.key, stream, 0, self.instances, (0,)).squeeze(1)

    def inputs(self, stream: Stream, count: int, input_dim: int, generator: InputGenerator | None) -> Tensor:
        """[instances, count, input_dim], normal numbers through the generator, where there is one."""
        if generator is None:
            return self.rows(stream, count, input_dim)
        normals = _filled(self.rows(stream, count, generator.numbers))
        made = [torch.cat([generator(part) for part in one.split(ROWS)]) for one in normals]
        return torch.stack(made)[:, :count].clone()


def _latent(network: Network, weights: Position, inputs: Tensor) -> Tensor:
    """F*, always of as many rows at a time: how that of a row is rounded does not depend on how many there are."""
    samples, blocks = inputs.shape[1], _filled(inputs).split(ROWS, dim=1)
    latent = [batched_network(network, rows, chains=1).forward(weights.blocks).squeeze(1) for rows in blocks]
    return torch.cat(latent, dim=1)[:, :samples].clone()


def _filled(rows: Tensor) -> Tensor:
    """With the last row again, up to whole blocks of ROWS."""
    return torch.cat([rows, rows[:, -1:].expand(-1, -rows.shape[1] % ROWS, -1)], dim=1)


def _require_sizes(**sizes: int) -> None:
    for name, value in sizes.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}; ask for one or more")


def _identities(instances: Sequence[int] | None, count: int) -> tuple[int, ...]:
    identities = tuple(range(count)) if instances is None else tuple(instances)
    if len(identities) != count:
        raise ValueError(f"instances name {len(identities)} for {count} data sets; give one identity each")
    if len(set(identities)) < count:
        raise ValueError("instances name one teacher twice; give each identity once")
    return identities
