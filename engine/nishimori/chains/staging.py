"""Numbers on their way to the host: those of many transitions in one copy, so that a GPU never waits to be read.

On the CPU they arrive at once. On a GPU they are gathered there, copied to pinned memory behind the work that made
them, and written to their arrays when the next ones are sent or as soon as they have come: two blocks at most are under
way.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Values = NDArray[np.float64]

MOST_TRANSITIONS, MOST_BYTES = 64, 1 << 26
"""Of a block. The first ones are shorter, so that a reader soon sees something."""


class Place(NamedTuple):
    """Where a number goes: `arrays[name][:, :, at]`, an array of `length` such entries made at first use."""

    arrays: dict[str, Values]
    name: str
    length: int
    at: int

    def write(self, value: Values) -> None:
        if self.name not in self.arrays:
            shape = (*value.shape[:2], self.length, *value.shape[2:])
            self.arrays[self.name] = np.full(shape, np.nan, value.dtype)
        self.arrays[self.name][:, :, self.at] = value


class _Sent(NamedTuple):
    """Values of one shape and format, [entries, ...], whole once their copy has arrived."""

    places: Sequence[Place]
    host: Tensor


@dataclass(eq=False)
class Staging:
    """`put` the numbers of a transition, then `pass_on`; `flush` at the end. `received` counts the transitions whose
    numbers are in their arrays."""

    received: int = 0
    _passed: int = 0
    _length: int = 1
    _bytes: int = 0
    _waiting: list[tuple[Place, Tensor]] = field(default_factory=list)
    _sent: list[_Sent] = field(default_factory=list)
    _sent_transitions: int = 0
    _arrived: torch.cuda.Event | None = None

    def put(self, place: Place, value: Tensor) -> None:
        """Scalars, [instances, chains or pairs], become float64; vectors keep their precision."""
        ready = value.double() if value.dim() == 2 or not value.is_floating_point() else value
        self._waiting.append((place, ready))
        self._bytes += ready.nbytes

    def pass_on(self) -> None:
        """One transition more is complete."""
        self._passed += 1
        if self._arrived is not None and self._arrived.query():
            self._receive()
        on_gpu = self._on_gpu()
        if not on_gpu or self._passed >= self._length or self._bytes >= MOST_BYTES:
            self._send()
            self._length = min(2 * self._length, MOST_TRANSITIONS)
        if not on_gpu:
            self._receive()

    def flush(self) -> None:
        """All that was put is in its array."""
        self._send()
        self._receive()

    def _send(self) -> None:
        """After what was sent before has been received."""
        self._receive()
        groups: dict[tuple[torch.Size, torch.dtype], list[tuple[Place, Tensor]]] = {}
        for place, value in self._waiting:
            groups.setdefault((value.shape, value.dtype), []).append((place, value))
        for entries in groups.values():
            stacked = torch.stack([value for _, value in entries])
            self._sent.append(_Sent([place for place, _ in entries], _on_its_way(stacked)))
        if self._on_gpu():
            self._arrived = torch.cuda.Event()
            self._arrived.record()
        self._sent_transitions, self._passed, self._bytes = self._passed, 0, 0
        self._waiting.clear()

    def _on_gpu(self) -> bool:
        return bool(self._waiting) and self._waiting[0][1].is_cuda

    def _receive(self) -> None:
        if self._arrived is not None:
            self._arrived.synchronize()
            self._arrived = None
        for places, host in self._sent:
            for place, value in zip(places, host.numpy(), strict=True):
                place.write(value)
        self.received += self._sent_transitions
        self._sent.clear()
        self._sent_transitions = 0


def _on_its_way(values: Tensor) -> Tensor:
    """On the host; on CUDA it is a copy to pinned memory that has only begun."""
    if not values.is_cuda:
        return values
    host = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
    return host.copy_(values, non_blocking=True)
