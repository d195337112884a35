"""The network whose posterior is studied: fully connected, no biases, standard Gaussian weights.

    x^(l) = phi(W_l x^(l-1) / sqrt(d_{l-1})),  l = 1..L,        F(x) = a . x^(L) / sqrt(d_L)

with every entry of W_1..W_L and of the readout a drawn from N(0, 1) (arXiv 2505.03577, eqs. 1-5, rho = 1,
eps = 0). L counts hidden layers; L = 0 is the linear model F(x) = a . x / sqrt(d).
"""

import operator
from collections.abc import Iterable
from dataclasses import dataclass
from typing import SupportsIndex

from nishimori.description.activations import ACTIVATIONS, Activation
from nishimori.description.activations import activation as find_activation


@dataclass(frozen=True, init=False, repr=False)
class Network:
    """Architecture of teacher and student: `input_dim` = d_0 and `widths` = (d_1, ..., d_L).

    `activation` is a registered name or an Activation and is kept as an Activation; with no hidden layer it
    is unused. `readout` is "gaussian": a is drawn from N(0, 1) and sampled with the other weights.

    Raises ValueError, naming the field, when a size is not a positive integer, the activation is unknown,
    or the readout is not implemented.
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
        assign(self, "readout", _supported_readout(readout))

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
        """Shapes (d_l, d_{l-1}) of W_1, ..., W_L; the readout, of length d_L, is not among them."""
        return list(zip(self.widths, (self.input_dim, *self.widths), strict=False))

    @property
    def num_parameters(self) -> int:
        """Number of weights, readout included: sum_l d_l d_{l-1} + d_L."""
        readout_length = self.widths[-1] if self.widths else self.input_dim
        return sum(rows * columns for rows, columns in self.layer_shapes) + readout_length

    @property
    def block_names(self) -> tuple[str, ...]:
        """Names of the weight blocks in the order they are stored: ("W1", ..., "WL", "a")."""
        return (*(f"W{layer}" for layer in range(1, self.depth + 1)), "a")


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
        "wrap a function as Activation(name, function, derivative)"
    )


def _supported_readout(value: object) -> str:
    if value == "gaussian":
        return "gaussian"
    raise ValueError(f"readout {value!r} is not implemented: use readout='gaussian', weights drawn from N(0, 1)")
