"""Overlaps layer by layer: of weights and of features modulo permutation and sign of hidden units, and of kernels.

With A a reference network (the teacher, or a replica) and B another one, in layer l, hidden units of B matched to those
of A (see `matching`):

weight_overlap_l   <W_l^A, W_l^B> / (d_l d_{l-1}); of the readout, l = L + 1, a^A . a^B / d_L; biases have none, and
                   units are matched by their weights
feature_overlap_l  mean over test inputs x and units i of h_{l,i}^A(x) h_{l,i}^B(x)
kernel_overlap_l   mean over pairs of test inputs of K_l^A K_l^B, with K_l(x, x') = h_l(x) . h_l(x') / d_l; no matching

`replica_<name>` is that between two independent replicas, equal in law to that with the teacher (N2), and
`prior_<name>` that of the teacher with networks of the prior that have seen no data: chance. All three are divided by
the same disorder mean at A = B = teacher, so that a copy of the teacher has overlap 1.
"""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nishimori.measurement.matching import Alignment, align, aligned, free_signs
from nishimori.models.forward import batched_network, weights_of
from nishimori.models.layout import Position
from nishimori.models.posterior import Posterior
from nishimori.models.randomness import Randomness
from nishimori_kernels.rng.streams import Stream

Values = NDArray[np.float64]

KINDS = ("weights", "features", "kernels")
MOST_ROWS = 100
"""Test inputs on which features and kernels are compared."""
PRIOR_NETWORKS = 4
"""Of every instance, whose mean overlap with the teacher is chance."""


class LayerOverlaps:
    """Of every chain with its teacher, and between the chains of every pair; `kinds` are some of "weights", "features"
    and "kernels".

    Matching runs on the CPU: some linear assignments a hidden layer, a chain and a draw.
    """

    def __init__(self, posterior: Posterior, kinds: Sequence[str], pairs: Sequence[tuple[int, int]]) -> None:
        self.posterior, self.kinds, self.pairs = posterior, tuple(dict.fromkeys(kinds)), list(pairs)
        network = posterior.problem.network
        self.flips = free_signs([one.odd for one in network.activations], network.readout == "fixed")
        inputs = posterior.rows("test")[:, :MOST_ROWS]
        self._inputs = inputs.contiguous()
        self.teacher = self._seen(posterior.initial_position(1, "teacher", 0))

    @cached_property
    def norms(self) -> dict[str, Values]:
        """What overlaps are divided by: those of the teacher with itself, [instances]."""
        return {name: values[:, 0] for name, values in self._overlaps(self.teacher, self.teacher, [(0, 0)]).items()}

    @property
    def names(self) -> tuple[str, ...]:
        """Of the overlaps with the teacher."""
        return tuple(self.norms)

    def __call__(self, weights: Position) -> dict[str, Tensor]:
        """[instances, chains] with the teacher and [instances, pairs] between replicas, float64."""
        seen = self._seen(weights)
        chains = [(0, chain) for chain in range(weights.layout.chains)]
        values = self._overlaps(self.teacher, seen, chains)
        if self.pairs:
            between = self._overlaps(seen, seen, self.pairs)
            values |= {f"replica_{name}": overlaps for name, overlaps in between.items()}
        return {name: torch.as_tensor(overlaps, device=self.posterior.device) for name, overlaps in values.items()}

    def at_prior(self, randomness: Randomness) -> dict[str, Values]:
        """`prior_<name>` of each instance, [instances], means over networks drawn from the prior."""
        chains = range(PRIOR_NETWORKS)
        drawn = self.posterior.layout(PRIOR_NETWORKS).empty(self.posterior.dtype, self.posterior.device)
        own = Randomness(randomness.key, randomness.instances, tuple(chains))
        seen = self._seen(own.fill_normals(drawn, Stream.REFERENCE_PRIOR, 0))
        overlaps = self._overlaps(self.teacher, seen, [(0, chain) for chain in chains])
        return {f"prior_{name}": values.mean(axis=1) for name, values in overlaps.items()}

    def _seen(self, weights: Position) -> "_Seen":
        network = self.posterior.problem.network
        blocks = [block.double().cpu().numpy() for block in weights_of(network, weights)]
        if self.kinds == ("weights",) or not self.flips:
            return _Seen(blocks, [])
        batched = batched_network(network, self._inputs, weights.layout.chains, self.posterior.kernels)
        batched.forward_hidden(weights.blocks)
        return _Seen(blocks, [hidden.double().cpu().numpy() for hidden in batched.hidden])

    def _overlaps(self, first: "_Seen", second: "_Seen", pairs: Sequence[tuple[int, int]]) -> dict[str, Values]:
        """[instances, pairs] by name."""
        found: dict[str, Values] = {}
        for instance in range(len(first.blocks[0])):
            for number, (a, b) in enumerate(pairs):
                for name, value in self._of_two(first.network(instance, a), second.network(instance, b)).items():
                    values = found.setdefault(name, np.empty((len(first.blocks[0]), len(pairs))))
                    values[instance, number] = value
        return found

    def _of_two(self, first: "_Network", second: "_Network") -> dict[str, float]:
        values: dict[str, float] = {}
        if self.kinds != ("kernels",):
            alignments = aligned(first.weights, second.weights, self.flips)
            if "weights" in self.kinds:
                values |= weight_overlaps(first.weights, align(second.weights, alignments))
            if "features" in self.kinds:
                values |= feature_overlaps(first.features, second.features, alignments)
        if "kernels" in self.kinds:
            values |= kernel_overlaps(first.features, second.features)
        return values


def weight_overlaps(first: Sequence[Values], second: Sequence[Values]) -> dict[str, float]:
    """Mean products of the weights of each layer, units as they stand."""
    pairs = enumerate(zip(first, second, strict=True), start=1)
    return {f"weight_overlap_{layer}": float((a * b).mean()) for layer, (a, b) in pairs}


def feature_overlaps(
    first: Sequence[Values], second: Sequence[Values], alignments: Sequence[Alignment]
) -> dict[str, float]:
    """Mean products of features [width, rows] of each hidden layer, units of the second network aligned."""
    layers = enumerate(zip(first, second, alignments, strict=True), start=1)
    return {f"feature_overlap_{layer}": float((a * how.rows(b)).mean()) for layer, (a, b, how) in layers}


def kernel_overlaps(first: Sequence[Values], second: Sequence[Values]) -> dict[str, float]:
    """Mean products of the kernels of each hidden layer from features [width, rows]: |h^A h^B^T|^2 / (width rows)^2."""
    pairs = enumerate(zip(first, second, strict=True), start=1)
    return {f"kernel_overlap_{layer}": float(np.square(a @ b.T).sum()) / a.size**2 for layer, (a, b) in pairs}


class _Network:
    """One network: its weights, and features [width, rows] of each hidden layer where they are looked at."""

    def __init__(self, weights: list[Values], features: list[Values]) -> None:
        self.weights, self.features = weights, features


class _Seen:
    """Networks of all chains of all instances on the host: `blocks` and `features`, each [instances, chains, ...]."""

    def __init__(self, blocks: list[Values], features: list[Values]) -> None:
        self.blocks, self.features = blocks, features

    def network(self, instance: int, chain: int) -> _Network:
        return _Network(
            [block[instance, chain] for block in self.blocks], [hidden[instance, chain] for hidden in self.features]
        )
