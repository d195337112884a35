"""Which hidden unit of one network is which of another: the best permutations and signs of hidden units.

A network computes the same function when the units of a hidden layer are permuted, rows of W_l and columns of W_{l+1}
together, and, for an odd activation, when a unit's incoming and outgoing weights (and its bias) change sign together.
Overlaps of weights mean something only modulo these. The matching maximises sum_l <W_l, P_l W'_l P_{l-1}^T> over signed
permutations P_l, layer by layer (each step a linear assignment, exact given its neighbours) until nothing changes: the
sum grows at every step. With one hidden layer it is the global maximum; with more, a local one reached from the inputs
upwards (as in weight matching; Ainsworth, Hayase and Srinivasa 2023, arXiv 2209.04836).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

Values = NDArray[np.float64]

MOST_SWEEPS = 50


def aligned(reference: Sequence[Values], other: Sequence[Values], flips: Sequence[bool]) -> list["Alignment"]:
    """For every hidden layer, how the units of `other` are to be permuted and signed to match those of `reference`.

    Weights are W_1 [d_1, d_0], ..., W_L [d_L, d_{L-1}] and, where it is sampled, a [d_L]. `flips[l]` says whether units
    of that hidden layer may change sign: see `free_signs`.
    """
    layers, own = _matrices(reference), _matrices(other)
    found = [Alignment.identity(layer.shape[0]) for layer in layers[: len(flips)]]
    for number, flip in enumerate(flips):
        found[number] = _assign(_incoming(layers, own, found, number), flip)
    for _ in range(MOST_SWEEPS if len(flips) > 1 else 1):
        before = list(found)
        for number, flip in enumerate(flips):
            gain = _incoming(layers, own, found, number) + _outgoing(layers, own, found, number)
            found[number] = _assign(gain, flip)
        if all(new.same_as(old) for new, old in zip(found, before, strict=True)):
            break
    return found


class Alignment:
    """Unit i of the aligned layer is unit `order[i]` of the other network times `signs[i]`; both [width]."""

    def __init__(self, order: NDArray[np.int64], signs: Values) -> None:
        self.order, self.signs = order, signs

    @classmethod
    def identity(cls, width: int) -> "Alignment":
        return cls(np.arange(width), np.ones(width))

    def same_as(self, other: "Alignment") -> bool:
        return bool((self.order == other.order).all() and (self.signs == other.signs).all())

    def rows(self, values: Values) -> Values:
        """Of `values` [width, ...]."""
        return values[self.order] * self.signs.reshape(-1, *[1] * (values.ndim - 1))

    def columns(self, values: Values) -> Values:
        """Of `values` [..., width]."""
        return values[..., self.order] * self.signs


def align(other: Sequence[Values], alignments: Sequence[Alignment]) -> list[Values]:
    """The weights of `other` with its hidden units as `alignments` say: the same function."""
    moved = []
    for number, weights in enumerate(other):
        values = alignments[number].rows(weights) if number < len(alignments) else weights
        moved.append(alignments[number - 1].columns(values) if number > 0 else values)
    return moved


def free_signs(odd: Sequence[bool], fixed_readout: bool) -> list[bool]:
    """By hidden layer, whether a unit's sign is free: where the layer's activation is `odd`, but under a fixed readout
    not at the top."""
    return [free and not (fixed_readout and layer == len(odd) - 1) for layer, free in enumerate(odd)]


def _matrices(weights: Sequence[Values]) -> list[Values]:
    return [values if values.ndim == 2 else values[None, :] for values in weights]


def _incoming(layers: Sequence[Values], own: Sequence[Values], found: Sequence[Alignment], number: int) -> Values:
    """Inner products of incoming weights, [units of the reference, units of the other]."""
    below = found[number - 1].columns(own[number]) if number > 0 else own[number]
    return layers[number] @ below.T


def _outgoing(layers: Sequence[Values], own: Sequence[Values], found: Sequence[Alignment], number: int) -> Values:
    """Inner products of outgoing weights; zero where they are fixed."""
    if number + 1 == len(layers):
        return np.zeros((layers[number].shape[0], own[number].shape[0]))
    above = found[number + 1].rows(own[number + 1]) if number + 1 < len(found) else own[number + 1]
    return layers[number + 1].T @ above


def _assign(gain: Values, flip: bool) -> Alignment:
    _, order = linear_sum_assignment(np.abs(gain) if flip else gain, maximize=True)
    chosen = gain[np.arange(len(order)), order]
    return Alignment(order.astype(np.int64), np.where(flip & (chosen < 0), -1.0, 1.0))
