"""Normal numbers of independent instances, by their addresses."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nishimori_kernels.rng import fill_normals, random_key
from nishimori_kernels.rng.streams import Stream


@dataclass(frozen=True)
class Draws:
    """Of `instances` under one key; float64 on `device`."""

    key: int
    instances: tuple[int, ...]
    device: torch.device

    @classmethod
    def of(cls, seed: int, point: str, instances: Sequence[int], device: torch.device | str = "cpu") -> "Draws":
        return cls(random_key(seed, point), tuple(instances), torch.device(device))

    def rows(self, stream: Stream, count: int, dim: int, first: int = 0, step: int = 0) -> Tensor:
        """Rows `first` and after it, [instances, count, dim], element = row * dim + column; a longer draw extends a
        shorter one."""
        out = torch.empty(len(self.instances), 1, count * dim, dtype=torch.float64, device=self.device)
        filled = fill_normals(out, self.key, stream, step, self.instances, (0,), first_element=first * dim)
        return filled.view(len(self.instances), count, dim)
