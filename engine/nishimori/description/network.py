"""The network whose posterior is studied: fully connected, no biases, standard Gaussian weights.

    x^(l) = phi(W_l x^(l-1) / sqrt(d_{l-1})),  l = 1..L,        F(x) = a . x^(L) / sqrt(d_L)

with every entry of W_1..W_L and of the readout a drawn from N(0, 1) (arXiv 2505.03577, eqs. 1-5, rho = 1,
eps = 0), or with the readout fixed at a = (1, ..., 1), a committee. L counts hidden layers; L = 0 is the linear
model F(x) = a . x / sqrt(d).
"""

import math
import operator
from collections.abc import Iterable
from dataclasses import dataclass
from typing import SupportsIndex

from nishimori.description.activations import ACTIVATIONS, Activation
from nishimori.description.activations import activation as find_activation

READOUTS = ("gaussian", "fixed")


@dataclass(frozen=True, init=False, repr=False)
class Network:
    """Architecture of teacher and student: `input_dim` = d_0 and `widths` = (d_1, ..., d_L).

    `activation` is a registered name or an Activation and is kept as an Activation; with no hidden layer it
    is unused. `readout` is "gaussian" (a is drawn from N(0, 1) and sampled with the other weights) or "fixed"
    (every entry of a is 1 and none is a parameter).

    Raises ValueError, naming the field, when a size is not a positive integer, the activation or the readout is
    unknown, or a fixed readout leaves no weight to sample.
    """

    input_dim: int
    widths: tuple[int, ...]
    activation: Activation
    readout: str

    def __init__(
        self,
        input_dim: SupportsIndex,
        widths: Iterable[SupportsIndex] = (),
        activation: str | Activation = "tanh",
        readout: str = "gaussian",
    ) -> None:
        assign = object.__setattr__
        assign(self, "input_dim", _positive_integer("input_dim", input_dim))
        assign(self, "widths", _positive_integers("widths", widths))
        assign(self, "activation", _as_activation(activation))
        assign(self, "readout", _known_readout(readout, self.depth))

    def __repr__(self) -> str:
        known = ACTIVATIONS.get(self.activation.name) == self.activation
        shown = self.activation.name if known else self.activation
        return (
            f"Network(input_dim={self.input_dim}, widths={self.widths}, activation={shown!r}, readout={self.readout!r})"
        )

    @property
    def depth(self) -> int:
        """Number L of hidden layers."""
        return len(self.widths)

    @property
    def layer_shapes(self) -> list[tuple[int, int]]:
        """Shapes (d_l, d_{l-1}) of W_1, ..., W_L; the readout is not among them."""
        return list(zip(self.widths, (self.input_dim, *self.widths), strict=False))

    @property
    def block_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of the weight blocks in the order they are stored: W_1, ..., W_L, then (d_L,) unless it is fixed."""
        readout = () if self.readout == "fixed" else ((self.widths[-1] if self.widths else self.input_dim,),)
        return (*self.layer_shapes, *readout)

    @property
    def num_parameters(self) -> int:
        """Number of weights that are sampled: sum_l d_l d_{l-1}, and d_L unless the readout is fixed."""
        return sum(math.prod(shape) for shape in self.block_shapes)

    @property
    def block_names(self) -> tuple[str, ...]:
        """Names of the weight blocks in the order they are stored: ("W1", ..., "WL", "a"), or without "a"."""
        readout = () if self.readout == "fixed" else ("a",)
        return (*(f"W{layer}" for layer in range(1, self.depth + 1)), *readout)


def _positive_integer(field: str, value: object) -> int:
    if isinstance(value, SupportsIndex) and not isinstance(value, bool):
        integer = operator.index(value)
        if integer >= 1:
            return integer
    raise ValueError(f"{field} must be a positive integer, got {value!r}: give a whole number of at least 1")


def _positive_integers(field: str, values: object) -> tuple[int, ...]:
    if not isinstance(values, Iterable) or isinstance(values, (str, bytes)):
        raise ValueError(
            f"{field} must hold one positive integer for each hidden layer, got {values!r}: "
            f"write {field}=(200,) for one layer of 200 units, or () for the linear model"
        )
    return tuple(_positive_integer(f"{field}[{index}]", value) for index, value in enumerate(values))


def _as_activation(value: object) -> Activation:
    if isinstance(value, Activation):
        return value
    if isinstance(value, str):
        return find_activation(value)
    raise ValueError(
        f"activation must be a name or an Activation, got {value!r}: "
        "wrap a function as Activation(function, derivative)"
    )


def _known_readout(value: object, depth: int) -> str:
    if value not in READOUTS:
        raise ValueError(f"readout {value!r} is unknown: choose one of {', '.join(READOUTS)}")
    if value == "fixed" and depth == 0:
        raise ValueError("readout 'fixed' leaves a network without hidden layers no weights: use readout='gaussian'")
    return str(value)
