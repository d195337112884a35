"""Progress of long work: a bar on a terminal, plain lines in a log file. It reports and never decides."""

import math
import sys
import time
from collections.abc import Callable

from tqdm import tqdm

Progress = Callable[[str, int, int, float], None]
"""Called as progress(phase, done, total, mean acceptance) after every transition; NaN where nothing is accepted."""

SECONDS_BETWEEN_LINES = 10.0


def silent(phase: str, done: int, total: int, acceptance: float) -> None:
    """Report nothing."""
    del phase, done, total, acceptance


def within(progress: Progress, part: str) -> Progress:
    """`progress` that says of which part of the work it tells."""

    def told(phase: str, done: int, total: int, acceptance: float) -> None:
        progress(f"{phase}, {part}", done, total, acceptance)

    return told


def reporter(label: str) -> Progress:
    """A tqdm bar where stderr is a terminal, else a line every ten seconds and at each phase's end."""
    return _Bars(label) if sys.stderr.isatty() else _Lines(label)


class _Bars:
    def __init__(self, label: str) -> None:
        self.label, self.phase = label, ""
        self.bar: tqdm | None = None

    def __call__(self, phase: str, done: int, total: int, acceptance: float) -> None:
        if self.bar is not None and phase != self.phase:
            self.bar.close()
            self.bar = None
        if self.bar is None:
            self.phase = phase
            self.bar = tqdm(total=total, desc=f"{self.label} {phase}", leave=False, dynamic_ncols=True)
        if not math.isnan(acceptance):
            self.bar.set_postfix(acceptance=f"{acceptance:.2f}", refresh=False)
        self.bar.update(done - self.bar.n)
        if done == total:
            self.bar.close()
            self.bar = None


class _Lines:
    def __init__(self, label: str) -> None:
        self.label = label
        self.started = self.printed = time.monotonic()

    def __call__(self, phase: str, done: int, total: int, acceptance: float) -> None:
        now = time.monotonic()
        if done == 1:
            self.started = now
        if done < total and now - self.printed < SECONDS_BETWEEN_LINES:
            return
        remaining = (now - self.started) / max(done - 1, 1) * (total - done)
        self.printed = now
        accepted = "" if math.isnan(acceptance) else f", acceptance {acceptance:.2f}"
        print(f"{self.label} {phase} {done}/{total}{accepted}, {remaining:.0f} s to go", file=sys.stderr, flush=True)
