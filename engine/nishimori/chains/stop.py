"""Ending long work on request: by signal, or when its time is over.

A request is noted and looked at after every transition, so that what was done is committed before the process ends.
"""

import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

from nishimori.chains.progress import Progress

SIGNALS = ("SIGINT", "SIGTERM", "SIGUSR2")
"""SIGUSR2 is what batch systems are asked to send before a job's time ends; SIGUSR1 is NCCL's."""


class Stopped(Exception):
    """Work ended on request, and is whole as far as it got; the message says why."""


@dataclass(eq=False)
class StopRequest:
    """Whether this process was asked to end, and why."""

    _signal: str = field(default="", init=False)
    _deadline: float = field(default=float("inf"), init=False)

    @property
    def reason(self) -> str:
        """Empty as long as nothing was asked for."""
        if self._signal:
            return self._signal
        return "the wall time is over" if time.monotonic() >= self._deadline else ""

    def obey(self) -> None:
        """Raises Stopped where it was asked for."""
        if self.reason:
            raise Stopped(self.reason)

    @contextmanager
    def listening(self, wall_time: float | None = None, signals: Sequence[str] = SIGNALS) -> Iterator[None]:
        """Note `signals`, and the end of `wall_time` seconds. A second SIGINT raises KeyboardInterrupt at once."""
        self._signal, self._deadline = "", float("inf") if wall_time is None else time.monotonic() + wall_time
        numbers = [getattr(signal, name) for name in signals if hasattr(signal, name)]
        before = {number: signal.signal(number, self._note) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            self._signal, self._deadline = "", float("inf")

    def _note(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self._signal and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._signal = f"{signal.Signals(number).name} came"


def stopping(progress: Progress, stop: StopRequest, committed: Sequence[str] = ("sampling",)) -> Progress:
    """`progress` that ends work on request with Stopped, but in the phases that commit before they end; what follows a
    comma in the name of a phase does not count."""

    def told(phase: str, done: int, total: int, acceptance: float) -> None:
        progress(phase, done, total, acceptance)
        if phase.partition(", ")[0] not in committed:
            stop.obey()

    return told
