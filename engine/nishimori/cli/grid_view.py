"""How a grid is doing, on a terminal or in a log: the points that end, and what is being worked on."""

import sys
import time

from tqdm import tqdm

from nishimori.chains import progress
from nishimori.comparison.tables import describe
from nishimori.description.experiment import Experiment, Point
from nishimori.executors.tasks import Outcome, Task
from nishimori.systems import SYSTEMS


class OneByOne:
    """Of an engine that does one task at a time: its bar, or its lines."""

    def __init__(self, experiment: Experiment) -> None:
        self._numbers = {point.identity: number for number, point in enumerate(experiment.points, 1)}
        self._progress: progress.Progress = progress.reporter("nishimori")

    def started(self, point: Point, task: Task) -> None:
        if not task.block:
            self._progress = progress.reporter(
                f"[{self._numbers[point.identity]}/{len(self._numbers)}] {name_of(point)}"
            )

    def told(self, task: Task, phase: str, done: int, total: int, acceptance: float) -> None:
        del task
        self._progress(phase, done, total, acceptance)

    def ended(self, point: Point, task: Task, outcome: Outcome) -> None:
        tell_of(point, outcome)

    def finished(self, point: Point) -> None:
        """Its bar is gone."""

    def close(self) -> None:
        """Nothing is left on the terminal."""


class SideBySide:
    """Of an engine that does several: a bar for the grid and one for every task that tells of itself; in a log a line
    every ten seconds."""

    def __init__(self, experiment: Experiment, done: int) -> None:
        self._points, self._done, self._running = len(experiment.points), done, 0
        self._started, self._printed = time.monotonic(), 0.0
        self._first = done
        self._bars = _Bars(self._points, done) if sys.stderr.isatty() else None

    def started(self, point: Point, task: Task) -> None:
        self._running += 1
        if self._bars:
            self._bars.open(task, name_of(point))
        self._line()

    def told(self, task: Task, phase: str, done: int, total: int, acceptance: float) -> None:
        if self._bars:
            self._bars.set(task, phase, done, total, acceptance)

    def ended(self, point: Point, task: Task, outcome: Outcome) -> None:
        self._running -= 1
        if self._bars:
            self._bars.close(task)
        tell_of(point, outcome)

    def finished(self, point: Point) -> None:
        del point
        self._done += 1
        if self._bars:
            self._bars.grid.update()
        self._line()

    def close(self) -> None:
        """Leave the terminal to others."""
        if self._bars:
            self._bars.close_all()

    def _line(self) -> None:
        now = time.monotonic()
        if self._bars or (now - self._printed < progress.SECONDS_BETWEEN_LINES and self._done < self._points):
            return
        self._printed = now
        here = self._done - self._first
        to_go = f", {(now - self._started) / here * (self._points - self._done):.0f} s to go" if here else ""
        print(
            f"{self._done} of {self._points} points done, {self._running} running{to_go}", file=sys.stderr, flush=True
        )


Shown = OneByOne | SideBySide


class _Bars:
    def __init__(self, points: int, done: int) -> None:
        self.grid = tqdm(total=points, initial=done, desc="points", position=0, dynamic_ncols=True)
        self._names: dict[Task, str] = {}
        self._open: dict[Task, tqdm] = {}

    def open(self, task: Task, name: str) -> None:
        self._names[task] = name

    def set(self, task: Task, phase: str, done: int, total: int, acceptance: float) -> None:
        bar = self._open.get(task)
        if bar is None:
            taken = {-one.pos for one in self._open.values()}
            place = next(number for number in range(1, len(taken) + 2) if number not in taken)
            bar = self._open[task] = tqdm(total=total, leave=False, position=place, dynamic_ncols=True)
        bar.set_description(f"{self._names[task]} {phase}", refresh=False)
        bar.total, bar.n = total, done
        bar.set_postfix(acceptance=f"{acceptance:.2f}")

    def close(self, task: Task) -> None:
        if task in self._open:
            self._open.pop(task).close()

    def close_all(self) -> None:
        for task in list(self._open):
            self.close(task)
        self.grid.close()


def name_of(point: Point) -> str:
    return describe(SYSTEMS[point.config.system.kind].parameters(point.config))


def tell_of(point: Point, outcome: Outcome) -> None:
    """A line for an attempt that failed."""
    if outcome.state in ("failed", "lost", "refused"):
        tell(f"{name_of(point)} ({point.identity}): {outcome.message}")


def tell(sentence: str) -> None:
    """On stderr, with our name, above the bars where there are any."""
    tqdm.write(f"nishimori: {sentence}", file=sys.stderr)
