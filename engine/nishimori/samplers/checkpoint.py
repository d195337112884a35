"""Long loops that can be left after any step and taken up again: what they are given, and what they hand over."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

HostArrays = Mapping[str, NDArray[Any]]
"""Host arrays of real numbers by name."""
Report = Callable[[int, int, float], None]
"""Called with the transitions done, their total and the mean acceptance of the latest."""


class Checkpoint(Protocol):
    """Of one loop. `begun` is what it had handed over when it was left, None where it starts.

    `reached` is told of every step, as a `Report` is; `values()` is all that the loop needs to go on from there to the
    bit, copied where the loop overwrites it. It is called at once or not at all.
    """

    def begun(self) -> HostArrays | None: ...

    def reached(self, done: int, total: int, acceptance: float, values: Callable[[], HostArrays]) -> None: ...


@dataclass(frozen=True)
class Unkept:
    """Of a loop that starts and keeps nothing."""

    report: Report

    def begun(self) -> HostArrays | None:
        return None

    def reached(self, done: int, total: int, acceptance: float, values: Callable[[], HostArrays]) -> None:
        del values
        self.report(done, total, acceptance)
