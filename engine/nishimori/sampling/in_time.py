"""Segments of one run, one after the other in time, as one."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nishimori.chains.record import time_axis
from nishimori.measurement.predictions import batches_of

Groups = Mapping[str, Mapping[str, NDArray[Any]]]

RECORDED = ("draws", "warmup", "statistics")
MOMENTS, COUNT = "moments", "count"
MERGED = (*RECORDED, MOMENTS)


def whole(segments: Sequence[Groups], draws: int | None = None) -> dict[str, dict[str, NDArray[Any]]]:
    """What `Moving.groups` gave segment after segment, as it would have given it at once.

    `draws` is the number of draws that the run will have, by default the number that are there.
    """
    lengths = [draws_in(segment) for segment in segments]
    found = {group: _concatenated(group, segments) for group in RECORDED}
    found[MOMENTS] = _moments(segments, lengths, sum(lengths) if draws is None else draws)
    for segment in segments:  # of anything else, the latest stands for all
        found |= {name: dict(arrays) for name, arrays in segment.items() if name not in MERGED}
    return {group: arrays for group, arrays in found.items() if arrays}


def draws_in(segment: Groups) -> int:
    """Of every chain."""
    return next((values.shape[2] for values in segment.get("draws", {}).values()), 0)


def _concatenated(group: str, segments: Sequence[Groups]) -> dict[str, NDArray[Any]]:
    parts: dict[str, list[NDArray[Any]]] = {}
    for segment in segments:
        for name, values in segment.get(group, {}).items():
            parts.setdefault(name, []).append(values)
    return {name: np.concatenate(values, axis=time_axis(group, name)) for name, values in parts.items()}


def _moments(segments: Sequence[Groups], lengths: Sequence[int], draws: int) -> dict[str, NDArray[Any]]:
    """Sums batch by batch: the latest that was written of each."""
    found: dict[str, NDArray[Any]] = {}
    for (first, last), sums in _with_moments(segments, lengths):
        place = slice(*batches_of(first, last, draws))
        for name, values in sums.items():
            if name == COUNT:
                found[name] = values
                continue
            if name not in found:
                found[name] = np.zeros((len(sums[COUNT]), *values.shape[1:]), values.dtype)
            found[name][place] = values
    return found


def _with_moments(
    segments: Sequence[Groups], lengths: Sequence[int]
) -> Iterator[tuple[tuple[int, int], Mapping[str, NDArray[Any]]]]:
    """The draws of every segment that has sums, with these."""
    done = 0
    for segment, length in zip(segments, lengths, strict=True):
        if segment.get(MOMENTS):
            yield (done, done + length), segment[MOMENTS]
        done += length
