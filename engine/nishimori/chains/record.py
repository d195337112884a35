"""What a run keeps in memory: 8 bytes for every scalar drawn, nothing that grows with the network."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nishimori.chains.loop import Schedule, Transition
from nishimori.samplers.base import Info


def to_host(values: Mapping[str, Tensor]) -> dict[str, NDArray[np.float64]]:
    """Copy named [instances, chains or pairs] tensors to the host, in one transfer for each trailing size."""
    host: dict[str, NDArray[np.float64]] = {}
    for size in {value.shape[-1] for value in values.values()}:
        names = [name for name, value in values.items() if value.shape[-1] == size]
        stacked = torch.stack([values[name].double() for name in names]).cpu().numpy()
        host.update(zip(names, stacked, strict=True))
    return {name: host[name] for name in values}


@dataclass(frozen=True, eq=False)
class Record:
    """Host arrays filled as the chains move; all float64.

    `draws[name]` [instances, chains or pairs, draws]; `warmup[name]` [instances, chains or pairs, warmup + 1], the
    start first; `statistics` per transition: `acceptance`, `accepted`, `energy_error`, `divergent` [instances,
    chains, transitions] and `num_steps` [transitions].
    """

    schedule: Schedule
    draws: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    warmup: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    statistics: dict[str, NDArray[np.float64]] = field(default_factory=dict)

    def keep_start(self, values: Mapping[str, Tensor]) -> None:
        self._keep(self.warmup, to_host(values), self.schedule.warmup + 1, 0)

    def keep(self, transition: Transition, values: Mapping[str, Tensor] | None) -> None:
        """Statistics of every transition; observables in warm-up and at draws."""
        self._keep(self.statistics, to_host(_statistics(transition.info)), self.schedule.transitions, transition.step)
        steps = self.statistics.setdefault("num_steps", np.zeros(self.schedule.transitions))
        steps[transition.step] = transition.info.num_steps
        if values is None:
            return
        if transition.draw is None:
            self._keep(self.warmup, to_host(values), self.schedule.warmup + 1, transition.step + 1)
        else:
            self._keep(self.draws, to_host(values), self.schedule.draws, transition.draw)

    @staticmethod
    def _keep(
        arrays: dict[str, NDArray[np.float64]], values: dict[str, NDArray[np.float64]], length: int, at: int
    ) -> None:
        for name, value in values.items():
            if name not in arrays:
                arrays[name] = np.full((*value.shape, length), np.nan)
            arrays[name][..., at] = value


def _statistics(info: Info) -> dict[str, Tensor]:
    return {
        "acceptance": info.acceptance,
        "accepted": info.accepted,
        "energy_error": info.energy_error,
        "divergent": info.divergent,
    }
