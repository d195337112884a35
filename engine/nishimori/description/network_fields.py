"""The fields of a network, checked one by one: each function returns the value as it is kept, or raises ValueError with
a sentence that names the field and ends in what to do."""

import math
import operator
from collections.abc import Iterable
from typing import SupportsFloat, SupportsIndex, TypeVar

from nishimori.description.activations import Activation
from nishimori.description.activations import activation as find_activation

READOUTS = ("gaussian", "fixed")
Value = TypeVar("Value")


def positive_integer(field: str, value: object) -> int:
    if isinstance(value, SupportsIndex) and not isinstance(value, bool):
        integer = operator.index(value)
        if integer >= 1:
            return integer
    raise ValueError(f"{field} must be a positive integer, got {value!r}: give a whole number of at least 1")


def positive_integers(field: str, values: object) -> tuple[int, ...]:
    if not isinstance(values, Iterable) or isinstance(values, (str, bytes)):
        raise ValueError(
            f"{field} must hold one positive integer for each hidden layer, got {values!r}: "
            f"write {field}=(200,) for one layer of 200 units, or () for the linear model"
        )
    return tuple(positive_integer(f"{field}[{index}]", value) for index, value in enumerate(values))


def activations_of(value: object, depth: int) -> Activation | tuple[Activation, ...]:
    """One where all hidden layers have the same."""
    if not isinstance(value, Iterable) or isinstance(value, (str, bytes)):
        return _as_activation(value)
    each = tuple(_as_activation(entry) for entry in value)
    if len(each) != depth or not each:
        raise ValueError(
            f"activation has {len(each)} entries for {depth} hidden layers: give one a hidden layer, or a single one"
        )
    return one_or_each(each)


def one_or_each(values: tuple[Value, ...]) -> Value | tuple[Value, ...]:
    """The value that all have, or the tuple."""
    return values[0] if all(value == values[0] for value in values) else values


def known_readout(value: object, depth: int) -> str:
    if value not in READOUTS:
        raise ValueError(f"readout {value!r} is unknown: choose one of {', '.join(READOUTS)}")
    if value == "fixed" and depth == 0:
        raise ValueError("readout 'fixed' leaves a network without hidden layers no weights: use readout='gaussian'")
    return str(value)


def bias_variance_of(value: object) -> float:
    variance = _number(value)
    if not (math.isfinite(variance) and variance >= 0):
        raise ValueError(f"bias_variance must be a finite variance of at least 0, got {value!r}: give 0 for no biases")
    return variance


def weight_variances_of(value: object, depth: int) -> float | tuple[float, ...]:
    """One where all layers have the same."""
    if not isinstance(value, Iterable) or isinstance(value, (str, bytes)):
        return _positive_variance("weight_variance", value)
    each = tuple(_positive_variance(f"weight_variance[{index}]", entry) for index, entry in enumerate(value))
    if len(each) != depth + 1:
        raise ValueError(
            f"weight_variance has {len(each)} entries for {depth} hidden layers: give {depth + 1}, one a hidden layer "
            "and one of the readout, or a single one"
        )
    return one_or_each(each)


def _positive_variance(field: str, value: object) -> float:
    variance = _number(value)
    if not (math.isfinite(variance) and variance > 0):
        raise ValueError(f"{field} must be a finite variance greater than 0, got {value!r}: give a positive number")
    return variance


def _number(value: object) -> float:
    """NaN for what is no number."""
    return float(value) if isinstance(value, SupportsFloat) and not isinstance(value, bool) else math.nan


def _as_activation(value: object) -> Activation:
    if isinstance(value, Activation):
        return value
    if isinstance(value, str):
        return find_activation(value)
    raise ValueError(
        f"activation must be a name or an Activation, got {value!r}: "
        "wrap a function as Activation(function, derivative)"
    )
