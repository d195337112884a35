"""What a run keeps in memory: 8 bytes for every scalar drawn, nothing that grows with the network."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from nishimori.chains.loop import Schedule, Transition
from nishimori.chains.staging import Place, Staging, Values
from nishimori.samplers.base import Info
from nishimori.samplers.replica_exchange import ReplicaInfo


@dataclass(frozen=True, eq=False)
class Record:
    """Host arrays filled as the chains move; float64 but for vectors, which keep their precision.

    `draws[name]` [instances, chains or pairs, draws], for vectors one axis more; `warmup[name]` [instances, chains or
    pairs, warmup + 1], the start first, scalars only; `statistics` per transition: `acceptance`, `accepted`,
    `energy_error`, `divergent` [instances, chains, transitions], `num_steps` [transitions], and for replica exchange
    `swap_acceptance` [instances, chains, transitions, levels - 1], NaN where a pair was not tried. On a GPU numbers
    arrive some transitions late (see `staging`), all of them with the last one.
    """

    schedule: Schedule
    draws: dict[str, Values] = field(default_factory=dict)
    warmup: dict[str, Values] = field(default_factory=dict)
    statistics: dict[str, Values] = field(default_factory=dict)
    _staging: Staging = field(default_factory=Staging, repr=False)

    def keep_start(self, values: Mapping[str, Tensor]) -> None:
        self._keep(self.warmup, _scalars(values), self.schedule.warmup + 1, 0)

    def keep(self, transition: Transition, values: Mapping[str, Tensor] | None) -> None:
        """Statistics of every transition; observables in warm-up and at draws."""
        self._keep(self.statistics, _statistics(transition.info), self.schedule.transitions, transition.step)
        steps = self.statistics.setdefault("num_steps", np.full(self.schedule.transitions, np.nan))
        steps[transition.step] = transition.info.num_steps
        if values is not None and transition.draw is None:
            self._keep(self.warmup, _scalars(values), self.schedule.warmup + 1, transition.step + 1)
        elif values is not None and transition.draw is not None:
            self._keep(self.draws, values, self.schedule.draws, transition.draw)
        self._staging.pass_on()
        if transition.step + 1 == self.schedule.transitions:
            self._staging.flush()

    def between(self, first: int, last: int) -> dict[str, dict[str, Values]]:
        """What transitions `first` to `last` (not included) left, copied; the start belongs to the first one."""
        self._staging.flush()
        return {
            group: {name: values[_times(group, name, *place)].copy() for name, values in arrays.items()}
            for group, arrays, place in self._parts(first, last)
            if place[0] < place[1]
        }

    def put_back(self, groups: Mapping[str, Mapping[str, Values]]) -> None:
        """What `between` gave for the first transitions, before any is kept here."""
        for group, arrays, _ in self._parts(0, 0):
            for name, values in groups.get(group, {}).items():
                axis, length = time_axis(group, name), self._length(group)
                whole = np.full((*values.shape[:axis], length, *values.shape[axis + 1 :]), np.nan, values.dtype)
                whole[_times(group, name, 0, values.shape[axis])] = values
                arrays[name] = whole

    def _parts(self, first: int, last: int) -> list[tuple[str, dict[str, Values], tuple[int, int]]]:
        """Groups with their places in time."""
        schedule = self.schedule
        begun, ended = (min(step, schedule.warmup) + 1 for step in (first, last))
        return [
            ("draws", self.draws, (schedule.draws_by(first), schedule.draws_by(last))),
            ("warmup", self.warmup, (begun if first else 0, ended)),
            ("statistics", self.statistics, (first, last)),
        ]

    def _length(self, group: str) -> int:
        schedule = self.schedule
        return {"draws": schedule.draws, "warmup": schedule.warmup + 1, "statistics": schedule.transitions}[group]

    @property
    def latest_acceptance(self) -> float:
        """The mean over all chains, of the latest transition that has arrived; NaN before the first."""
        last = self._staging.received - 1
        return float(self.statistics["acceptance"][:, :, last].mean()) if last >= 0 else math.nan

    def _keep(self, arrays: dict[str, Values], values: Mapping[str, Tensor], length: int, at: int) -> None:
        for name, value in values.items():
            self._staging.put(Place(arrays, name, length, at), value)


def time_axis(group: str, name: str) -> int:
    """The axis of draws or transitions of an array of a record."""
    return 0 if (group, name) == ("statistics", "num_steps") else 2


def _times(group: str, name: str, first: int, last: int) -> tuple[slice, ...]:
    return (slice(None),) * time_axis(group, name) + (slice(first, last),)


def _scalars(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in values.items() if value.dim() == 2}


def _statistics(info: Info) -> dict[str, Tensor]:
    statistics = {
        "acceptance": info.acceptance,
        "accepted": info.accepted,
        "energy_error": info.energy_error,
        "divergent": info.divergent,
    }
    if isinstance(info, ReplicaInfo):
        statistics["swap_acceptance"] = info.swap_acceptance
    return statistics
