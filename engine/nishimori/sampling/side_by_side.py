"""Instances and chains that were sampled apart, as one run would have held them."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nishimori.description.blocks import Block
from nishimori.sampling.in_time import MOMENTS
from nishimori.sampling.states import REPLICAS

Groups = Mapping[str, Mapping[str, NDArray[Any]]]
Values = NDArray[Any]

SHARED = ("num_steps", "count")
"""Arrays without an axis of instances."""
OVER_CHAINS = {"least": np.minimum, "largest": np.maximum}
"""Of predictive intervals: extremes over the chains that there are."""
INTERVALS = "intervals"


def joined_blocks(blocks: Sequence[Block], parts: Sequence[Groups]) -> Groups:
    """What `parts` hold of `blocks`, as of all chains of all instances."""
    pairs = zip(blocks, parts, strict=True)
    by_instances = [list(some) for _, some in groupby(pairs, key=lambda pair: pair[0].instances)]
    return joined_instances(
        [_joined_chains([block.chains for block, _ in some], [part for _, part in some]) for some in by_instances]
    )


def joined_instances(parts: Sequence[Groups]) -> Groups:
    """The instances of all, in order; what is the same for all is that of the first."""
    if len(parts) == 1:
        return parts[0]
    return {
        group: {
            name: values if name in SHARED else np.concatenate([part[group][name] for part in parts], _axis(group))
            for name, values in arrays.items()
        }
        for group, arrays in parts[0].items()
    }


def _axis(group: str) -> int:
    """Of instances; in moments, batches of draws come first. That of chains follows it."""
    return 1 if group == MOMENTS else 0


def _joined_chains(chains: Sequence[tuple[int, ...]], parts: Sequence[Groups]) -> Groups:
    """The `chains` of each part, in the order of their identities."""
    if len(parts) == 1:
        return parts[0]
    names = {group: dict.fromkeys(name for part in parts for name in part.get(group, {})) for group in _groups(parts)}
    return {
        group: {
            name: _beside(group, name, chains, [part[group][name] for part in parts if name in part.get(group, {})])
            for name in inside
        }
        for group, inside in names.items()
    }


def _groups(parts: Sequence[Groups]) -> list[str]:
    return list(dict.fromkeys(group for part in parts for group in part))


def _beside(group: str, name: str, chains: Sequence[tuple[int, ...]], arrays: Sequence[Values]) -> Values:
    if name in SHARED or (group == INTERVALS and name not in OVER_CHAINS):
        return arrays[0]
    if group == INTERVALS:
        return OVER_CHAINS[name].reduce(arrays)
    axis = _axis(group) + 1
    if not name.startswith(REPLICAS):
        return _ordered(chains, arrays, axis)
    levels = arrays[0].shape[axis] // len(chains[0])
    apart = [values.reshape(values.shape[0], -1, levels, *values.shape[2:]) for values in arrays]
    ordered = _ordered(chains, apart, axis)
    return ordered.reshape(ordered.shape[0], -1, *ordered.shape[3:])


def _ordered(chains: Sequence[tuple[int, ...]], arrays: Sequence[Values], axis: int) -> Values:
    """By chain; pairs of chains, of which there are fewer, follow one another."""
    values = np.concatenate(arrays, axis)
    identities = [chain for own in chains for chain in own]
    return values.take(np.argsort(identities), axis) if values.shape[axis] == len(identities) else values
