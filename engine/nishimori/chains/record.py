"""What a run keeps in memory: 8 bytes for every scalar drawn, nothing that grows with the network."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nishimori.chains.loop import Schedule, Transition
from nishimori.samplers.base import Info
from nishimori.samplers.replica_exchange import ReplicaInfo

Values = NDArray[np.float64]


def to_host(values: Mapping[str, Tensor]) -> dict[str, Values]:
    """Copy named [instances, chains or pairs, ...] tensors to the host, in one transfer for each shape.

    Scalars become float64; vectors keep their precision.
    """
    scalars = {name for name, value in values.items() if value.dim() == 2 or not value.is_floating_point()}
    ready = {name: value.double() if name in scalars else value for name, value in values.items()}
    host: dict[str, Values] = {}
    for shape, dtype in {(value.shape, value.dtype) for value in ready.values()}:
        names = [name for name, value in ready.items() if (value.shape, value.dtype) == (shape, dtype)]
        stacked = torch.stack([ready[name] for name in names]).cpu().numpy()
        host.update(zip(names, stacked, strict=True))
    return {name: host[name] for name in values}


@dataclass(frozen=True, eq=False)
class Record:
    """Host arrays filled as the chains move; float64 but for vectors, which keep their precision.

    `draws[name]` [instances, chains or pairs, draws], for vectors one axis more; `warmup[name]` [instances, chains or
    pairs, warmup + 1], the start first, scalars only; `statistics` per transition: `acceptance`, `accepted`,
    `energy_error`, `divergent` [instances, chains, transitions], `num_steps` [transitions], and for replica exchange
    `swap_acceptance` [instances, chains, transitions, levels - 1], NaN where a pair was not tried.
    """

    schedule: Schedule
    draws: dict[str, Values] = field(default_factory=dict)
    warmup: dict[str, Values] = field(default_factory=dict)
    statistics: dict[str, Values] = field(default_factory=dict)

    def keep_start(self, values: Mapping[str, Tensor]) -> None:
        self._keep(self.warmup, to_host(_scalars(values)), self.schedule.warmup + 1, 0)

    def keep(self, transition: Transition, values: Mapping[str, Tensor] | None) -> None:
        """Statistics of every transition; observables in warm-up and at draws."""
        self._keep(self.statistics, to_host(_statistics(transition.info)), self.schedule.transitions, transition.step)
        steps = self.statistics.setdefault("num_steps", np.zeros(self.schedule.transitions))
        steps[transition.step] = transition.info.num_steps
        if values is None:
            return
        if transition.draw is None:
            self._keep(self.warmup, to_host(_scalars(values)), self.schedule.warmup + 1, transition.step + 1)
        else:
            self._keep(self.draws, to_host(values), self.schedule.draws, transition.draw)

    @staticmethod
    def _keep(arrays: dict[str, Values], values: dict[str, Values], length: int, at: int) -> None:
        for name, value in values.items():
            if name not in arrays:
                arrays[name] = np.full((*value.shape[:2], length, *value.shape[2:]), np.nan, value.dtype)
            arrays[name][:, :, at] = value


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
