"""Functions between the latent output and a label with Gaussian noise, with what a likelihood needs of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Elementwise = Callable[[Array], Array]


@dataclass(frozen=True)
class OutputFunction:
    """An elementwise function f with two derivatives, each from a float64 array to a new one of the same shape.

    Declare `odd=True` when f(-x) = -f(x), and `smooth=False` unless f has bounded first and second derivatives
    everywhere: the theory of deep networks is proved for odd, smooth f alone (arXiv 2505.03577, Theorem 1).
    `kinks` are the points where a derivative jumps. Between them f should vary over lengths of order one: the
    theory's quadrature counts on it, and its residual says where it does not hold. `torch_function` and
    `torch_derivative`, the same on tensors, are what sampling on a CUDA device needs of a function of your own.

    Raises ValueError where one of the two is given.
    """

    function: Elementwise = field(repr=False)
    derivative: Elementwise = field(repr=False)
    second_derivative: Elementwise = field(repr=False)
    name: str = "custom"
    odd: bool = False
    smooth: bool = True
    kinks: tuple[float, ...] = ()
    torch_function: Callable[[Any], Any] | None = field(default=None, repr=False)
    torch_derivative: Callable[[Any], Any] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if (self.torch_function is None) != (self.torch_derivative is None):
            raise ValueError(
                f"output function {self.name!r} has one of torch_function and torch_derivative: give both or neither"
            )


def output_function(function: str | OutputFunction) -> OutputFunction:
    """The function itself, or the registered one of that name; raises ValueError if there is none."""
    if isinstance(function, OutputFunction):
        return function
    if function not in OUTPUT_FUNCTIONS:
        raise ValueError(
            f"output function {function!r} is unknown: choose one of {', '.join(OUTPUT_FUNCTIONS)}, "
            "or build an OutputFunction(function, derivative, second_derivative)"
        )
    return OUTPUT_FUNCTIONS[function]


def _identity(x: Array) -> Array:
    return np.array(x, dtype=np.float64)


def _one(x: Array) -> Array:
    return np.ones_like(x)


def _zero(x: Array) -> Array:
    return np.zeros_like(x)


def _tanh(x: Array) -> Array:
    return np.tanh(x)


def _tanh_derivative(x: Array) -> Array:
    return 1.0 - np.tanh(x) ** 2


def _tanh_second_derivative(x: Array) -> Array:
    return -2.0 * np.tanh(x) * (1.0 - np.tanh(x) ** 2)


def _relu(x: Array) -> Array:
    return np.maximum(x, 0.0)


def _relu_derivative(x: Array) -> Array:
    return np.where(x > 0, 1.0, 0.0)


OUTPUT_FUNCTIONS: Mapping[str, OutputFunction] = MappingProxyType(
    {
        entry.name: entry
        for entry in (
            OutputFunction(_identity, _one, _zero, "identity", odd=True),
            OutputFunction(_tanh, _tanh_derivative, _tanh_second_derivative, "tanh", odd=True),
            OutputFunction(_relu, _relu_derivative, _zero, "relu", smooth=False, kinks=(0.0,)),
        )
    }
)
