"""States as arrays, and states of them again, to the bit."""

from collections.abc import Mapping
from typing import Any

import torch
from numpy.typing import NDArray

from nishimori.models.layout import Position
from nishimori.models.target import Target
from nishimori.samplers.base import State
from nishimori.samplers.replica_exchange import ReplicaState

Groups = Mapping[str, Mapping[str, NDArray[Any]]]

STATE, CACHE = "state", "cache"
"""Groups: what a state is, [instances, chains, ...], and what could be computed from it, but not always to the bit."""
REPLICAS = "replicas_"
PARTS = {"position": STATE, "momentum": STATE, "energy": STATE, "gradient": CACHE}


def arrays_of(state: State) -> dict[str, dict[str, NDArray[Any]]]:
    """Of `state`, and of all levels of replica exchange, as host arrays of their own."""
    found: dict[str, dict[str, NDArray[Any]]] = {STATE: {}, CACHE: {}}
    for prefix, one in _levels(state):
        for name, group in PARTS.items():
            value = getattr(one, name)
            if value is not None:
                found[group][prefix + name] = _host(value)
    return {group: arrays for group, arrays in found.items() if arrays}


def state_of(target: Target, chains: int, groups: Groups) -> State:
    """The state that `arrays_of` wrote, of `chains` chains of every instance of `target`."""
    arrays = {**groups[STATE], **groups.get(CACHE, {})}
    own = _plain(target, chains, arrays, "")
    if REPLICAS + "position" not in arrays:
        return own
    levels = arrays[REPLICAS + "energy"].shape[1] // chains
    replicas = _plain(target, chains * levels, arrays, REPLICAS)
    return ReplicaState(own.position, own.energy, own.gradient, own.momentum, replicas=replicas)


def _levels(state: State) -> list[tuple[str, State]]:
    return [("", state), *([(REPLICAS, state.replicas)] if isinstance(state, ReplicaState) else [])]


def _host(value: Position | torch.Tensor) -> NDArray[Any]:
    values = value.to_edge() if isinstance(value, Position) else value.clone()
    return values.cpu().numpy()


def _plain(target: Target, chains: int, arrays: Mapping[str, NDArray[Any]], prefix: str) -> State:
    layout = target.layout(chains)

    def position(name: str) -> Position | None:
        if prefix + name not in arrays:
            return None
        return layout.from_edge(torch.tensor(arrays[prefix + name], dtype=target.dtype, device=target.device))

    place = position("position")
    assert place is not None
    energy = torch.tensor(arrays[prefix + "energy"], dtype=torch.float64, device=target.device)
    return State(place, energy, position("gradient"), position("momentum"))
