"""The cells of a [sweep]: every combination of its lists, and of the rows of its zip tables."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nishimori.description.errors import BadInput

Axis = list[dict[str, Any]]


def sweep_axes(sweep: Any) -> list[Axis]:
    """Each axis is a list of settings: one key alone, or the keys of a zip table together."""
    if not isinstance(sweep, dict):
        raise BadInput("[sweep] must be a table of dotted keys with lists; write it as [sweep]")
    axes = [_single_axis(key, values) for key, values in _dotted(sweep) if key != "zip"]
    zipped = sweep.get("zip", [])
    if not isinstance(zipped, list):
        raise BadInput("sweep.zip must be written as [[sweep.zip]] tables; add the second pair of brackets")
    axes += [_zip_axis(table) for table in zipped]
    _require_distinct(axes)
    return axes


def _dotted(table: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Dotted keys with their values: `data.sample_ratio = [...]` and `"data.sample_ratio" = [...]` alike."""
    for key, value in table.items():
        if isinstance(value, dict):
            yield from ((f"{key}.{inner}", values) for inner, values in value.items())
        else:
            yield key, value


def _require_distinct(axes: Sequence[Axis]) -> None:
    keys = [key for axis in axes for key in axis[0]]
    twice = [key for key in keys if keys.count(key) > 1]
    if twice:
        raise BadInput(f"sweep.{twice[0]} is swept twice; keep one of its lists")


def _single_axis(key: str, values: Any) -> Axis:
    if not isinstance(values, list) or not values:
        raise BadInput(f"sweep.{key} must be a list with at least one value; write it in brackets")
    return [{key: value} for value in values]


def _zip_axis(table: Mapping[str, Any]) -> Axis:
    if not isinstance(table, dict) or not table:
        raise BadInput("sweep.zip must hold tables with at least one key; write [[sweep.zip]] and keys below it")
    columns = dict(_dotted(table))
    lengths = {len(_single_axis(key, values)) for key, values in columns.items()}
    if len(lengths) != 1:
        raise BadInput("a [[sweep.zip]] table has lists of different lengths; make them equal")
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def cells(axes: list[Axis]) -> Iterator[dict[str, Any]]:
    for cell in itertools.product(*axes):
        merged: dict[str, Any] = {}
        for setting in cell:
            merged.update(setting)
        yield merged
