"""The network whose posterior is studied: fully connected, Gaussian weights, with or without biases.

    x^(l) = phi_l(sqrt(s_l / d_{l-1}) W_l x^(l-1) + sqrt(b) b_l),   l = 1..L
    F(x) = sqrt(s_a / d_L) a . x^(L) + sqrt(b) b_a

with every entry of W_1..W_L, of the readout a and of the biases b_1..b_L, b_a drawn from N(0, 1); s_l are the weight
variances and b is the bias variance. By default phi is one function, s_l = 1 and b = 0 (arXiv 2505.03577, eqs. 1-5,
rho = 1, eps = 0). The readout may be fixed at a = (1, ..., 1), a committee. L counts hidden layers; L = 0 is the linear
model F(x) = sqrt(s_a / d) a . x + sqrt(b) b_a.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import SupportsIndex

from nishimori.description.activations import ACTIVATIONS, Activation
from nishimori.description.network_fields import (
    activations_of,
    bias_variance_of,
    known_readout,
    positive_integer,
    positive_integers,
    weight_variances_of,
)


@dataclass(frozen=True, init=False, repr=False)
class Network:
    """Architecture and prior of teacher and student: `input_dim` = d_0 and `widths` = (d_1, ..., d_L).

    `activation` is a registered name or an Activation, of all hidden layers, or a sequence with one a hidden layer; it
    is kept as an Activation, or as a tuple where layers differ, and with no hidden layer it is unused. `readout` is
    "gaussian" (a is drawn from N(0, 1) and sampled with the other weights) or "fixed" (every entry of a is 1 and none
    is a parameter).

    `bias_variance`, a variance, is that of the bias of every hidden unit and of the output, 0 for none. Biases are
    sampled with the weights and, like them, as standard normal numbers: the forward pass multiplies them by the
    standard deviation. `weight_variance` is that of all weights, or a sequence of L + 1 of them, of W_1, ..., W_L and
    a; that of a fixed readout is its square.

    Raises ValueError, naming the field, when a size is not a positive integer, the activation or the readout is
    unknown, activations or weight variances are not one a layer, a variance is not finite, a weight variance is not
    positive or a bias variance is negative, or a fixed readout leaves no weight to sample.
    """

    input_dim: int
    widths: tuple[int, ...]
    activation: Activation | tuple[Activation, ...]
    readout: str
    bias_variance: float
    weight_variance: float | tuple[float, ...]

    def __init__(
        self,
        input_dim: SupportsIndex,
        widths: Iterable[SupportsIndex] = (),
        activation: str | Activation | Iterable[str | Activation] = "tanh",
        readout: str = "gaussian",
        bias_variance: float = 0.0,
        weight_variance: float | Iterable[float] = 1.0,
    ) -> None:
        assign = object.__setattr__
        assign(self, "input_dim", positive_integer("input_dim", input_dim))
        assign(self, "widths", positive_integers("widths", widths))
        assign(self, "activation", activations_of(activation, self.depth))
        assign(self, "readout", known_readout(readout, self.depth))
        assign(self, "bias_variance", bias_variance_of(bias_variance))
        assign(self, "weight_variance", weight_variances_of(weight_variance, self.depth))

    def __repr__(self) -> str:
        activation = self.activation
        shown = tuple(map(_shown, activation)) if isinstance(activation, tuple) else _shown(activation)
        bias = f", bias_variance={self.bias_variance}" if self.bias_variance else ""
        weights = f", weight_variance={self.weight_variance}" if self.weight_variance != 1 else ""
        return (
            f"Network(input_dim={self.input_dim}, widths={self.widths}, activation={shown!r}, "
            f"readout={self.readout!r}{bias}{weights})"
        )

    @property
    def depth(self) -> int:
        """Number L of hidden layers."""
        return len(self.widths)

    @property
    def activations(self) -> tuple[Activation, ...]:
        """Those of the hidden layers 1, ..., L."""
        return self.activation if isinstance(self.activation, tuple) else (self.activation,) * self.depth

    @property
    def activation_names(self) -> str | list[str]:
        """The name of the activation, or one a hidden layer where layers differ."""
        activation = self.activation
        return [one.name for one in activation] if isinstance(activation, tuple) else activation.name

    @property
    def weight_variances(self) -> tuple[float, ...]:
        """(s_1, ..., s_L, s_a)."""
        variance = self.weight_variance
        return variance if isinstance(variance, tuple) else (variance,) * (self.depth + 1)

    @property
    def plain(self) -> bool:
        """Whether all hidden layers have the same activation, weights unit variance, and units no biases."""
        return not isinstance(self.activation, tuple) and self.weight_variance == 1 and not self.bias_variance

    @property
    def layer_shapes(self) -> list[tuple[int, int]]:
        """Shapes (d_l, d_{l-1}) of W_1, ..., W_L; the readout is not among them."""
        return list(zip(self.widths, (self.input_dim, *self.widths), strict=False))

    @property
    def block_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of the blocks in the order they are stored: W_1, ..., W_L, then (d_L,) unless the readout is fixed;
        where there are biases, (d_1,), ..., (d_L,) and (1,) follow."""
        readout = () if self.readout == "fixed" else ((self.widths[-1] if self.widths else self.input_dim,),)
        biases = ((width,) for width in (*self.widths, 1)) if self.bias_variance else ()
        return (*self.layer_shapes, *readout, *biases)

    @property
    def num_parameters(self) -> int:
        """Number of parameters that are sampled: sum_l d_l d_{l-1}, d_L unless the readout is fixed, and the biases."""
        return sum(math.prod(shape) for shape in self.block_shapes)

    @property
    def weight_names(self) -> tuple[str, ...]:
        """Names of the weight blocks in the order they are stored: ("W1", ..., "WL", "a"), or without "a"."""
        readout = () if self.readout == "fixed" else ("a",)
        return (*(f"W{layer}" for layer in range(1, self.depth + 1)), *readout)

    @property
    def block_names(self) -> tuple[str, ...]:
        """Names of all blocks: those of the weights, then of the biases, where there are some: "b1", ..., "bL", "b"."""
        biases = (*(f"b{layer}" for layer in range(1, self.depth + 1)), "b") if self.bias_variance else ()
        return (*self.weight_names, *biases)

    @property
    def effective_variance(self) -> float:
        """E |v|^2 / d_0 of the effective linear weights: the product of all weight variances."""
        return math.prod(self.weight_variances)


def _shown(activation: Activation) -> str | Activation:
    return activation.name if ACTIVATIONS.get(activation.name) == activation else activation
