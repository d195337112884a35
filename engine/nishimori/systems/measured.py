"""What a simulation measures of its instances, as files hold it and joined of parts. Importing this never imports
torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from nishimori.chains.segments import Arrays

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Measured:
    """`values` of an observable, [instances] or [instances, places], and what theory has for each where it depends on
    the instance; `places` on `axis`, for a curve. `line` is what a figure draws of that theory: places of its own, and
    values there [instances, places]."""

    values: Array
    predicted: Array | None = None
    axis: str = ""
    places: tuple[float, ...] = ()
    line: tuple[Array, Array] | None = None


def joined(parts: Sequence[Mapping[str, Measured]]) -> dict[str, Measured]:
    """Of the instances of all parts, in their order."""
    return {name: _joined([part[name] for part in parts]) for name in parts[0]}


def count_of(measured: Mapping[str, Measured]) -> int:
    """Instances. Raises ValueError where observables have more or fewer than others."""
    counts = {len(one.values) for one in measured.values()}
    if len(counts) != 1:
        raise ValueError(f"observables have {sorted(counts)} instances; measure all of the same")
    return counts.pop()


def arrays_of(measured: Mapping[str, Measured]) -> "Arrays":
    """A group for each observable."""
    return {name: _arrays(one) for name, one in measured.items()}


def measured_of(arrays: "Arrays") -> dict[str, Measured]:
    return {name: _measured(group) for name, group in arrays.items()}


def _joined(parts: Sequence[Measured]) -> Measured:
    first = parts[0]
    predicted = [one.predicted for one in parts if one.predicted is not None]
    lines = [one.line for one in parts if one.line is not None]
    return Measured(
        np.concatenate([one.values for one in parts]),
        np.concatenate(predicted) if len(predicted) == len(parts) else None,
        first.axis,
        first.places,
        (lines[0][0], np.concatenate([values for _, values in lines])) if len(lines) == len(parts) else None,
    )


def _arrays(one: Measured) -> dict[str, Array]:
    named = {
        "values": one.values,
        "predicted": one.predicted,
        "axis": np.frombuffer(one.axis.encode(), np.uint8) if one.axis else None,
        "places": np.array(one.places) if one.axis else None,
        "line_places": one.line and one.line[0],
        "line_values": one.line and one.line[1],
    }
    return {name: np.array(values) for name, values in named.items() if values is not None}


def _measured(group: Mapping[str, Array]) -> Measured:
    axis = group["axis"].tobytes().decode() if "axis" in group else ""
    places = tuple(group["places"].tolist()) if axis else ()
    line = (group["line_places"], group["line_values"]) if "line_places" in group else None
    return Measured(group["values"], group.get("predicted"), axis, places, line)
