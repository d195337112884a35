"""All points of an experiment, task by task, by whatever engine does tasks.

A task that failed is tried again a few times, and its point then set aside; the others go on. One whose worker was lost
goes on where its files say that it was, again and again as long as it gets on.
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from nishimori.chains.files import DirectoryBusy, StorageFailed
from nishimori.chains.places import INSTANCES
from nishimori.chains.stop import Stopped, StopRequest
from nishimori.description.experiment import Experiment, Point
from nishimori.executors.failures import Failure, forget_failure, publish_failure
from nishimori.executors.tasks import Outcome, State, Task, publish_config, stages_of

ATTEMPTS, LOSSES = 3, 6
"""At a task that fails, or whose worker is lost before it committed anything, before its point is set aside."""
ENDS: dict[State, type[Exception]] = {"busy": DirectoryBusy, "unstored": StorageFailed}
"""What the grid ends with where an attempt says so."""
BETWEEN_LOOKS = 0.2
"""Seconds until a request to stop is noticed."""


class Engine(Protocol):
    """Does up to `slots` tasks at a time. `submit` gives the outcome of an attempt, or an exception where the worker
    was lost; `stop` asks all attempts to commit and end, `close` ends what is left at once."""

    @property
    def slots(self) -> int: ...

    def submit(self, task: Task) -> "Future[Outcome]": ...

    def stop(self) -> None: ...

    def close(self) -> None: ...


class View(Protocol):
    """Is told how the grid is doing."""

    def started(self, point: Point, task: Task) -> None: ...

    def ended(self, point: Point, task: Task, outcome: Outcome) -> None: ...

    def finished(self, point: Point) -> None: ...


@dataclass
class _Progress:
    """Of a point: the stages that are left, tasks of the one begun that are not done, attempts at a task with the files
    that were there after the last one, and whether it was set aside."""

    point: Point
    stages: deque[list[Task]]
    open: set[Task] = field(default_factory=set)
    attempts: dict[Task, tuple[int, int]] = field(default_factory=dict)
    is_aside: bool = False

    def count(self, task: Task) -> int:
        """One attempt more, that was in vain; those before do not count where files have come since."""
        attempts, before = self.attempts.get(task, (0, 0))
        there = _files_of(task.home)
        self.attempts[task] = (1 if there > before else attempts + 1), there
        return self.attempts[task][0]


def _files_of(home: Path) -> int:
    """That a point has had: of its instances the latest are kept, under numbers that grow."""
    instances = sum(int(path.stem) + 1 for path in home.rglob(f"{INSTANCES}/[0-9]*.h5") if path.stem.isdecimal())
    return sum(1 for _ in home.rglob("segments/*.h5")) + instances + (home / "calibration.json").exists()


@dataclass
class Grid:
    """The points of `experiment` in `directory` that have no summary yet."""

    engine: Engine
    experiment: Experiment
    directory: Path
    view: View
    stop: StopRequest
    _ready: deque[tuple[_Progress, Task]] = field(default_factory=deque, init=False)
    _running: "dict[Future[Outcome], tuple[_Progress, Task]]" = field(default_factory=dict, init=False)
    _broken: Outcome | None = field(default=None, init=False)
    _aside: list[Point] = field(default_factory=list, init=False)

    def run(self) -> list[Point]:
        """To the end; returns the points that were set aside.

        Raises Stopped where a stop was asked for before the end, DirectoryBusy where another process works on a point,
        and StorageFailed where files cannot be written; all attempts have committed then what they had.
        """
        waiting = self._points()
        while not (self.stop.reason or self._broken):
            self._fill(waiting)
            if not self._running:
                return self._aside
            self._look()
        self.engine.stop()
        while self._running:
            self._look()
        if self._broken:
            raise ENDS[self._broken.state](self._broken.message)
        if self._ready or any(True for _ in waiting):
            raise Stopped(self.stop.reason)
        return self._aside

    def _points(self) -> Iterator[_Progress]:
        """One after the other, so that what is not begun yet takes no memory."""
        count = len(self.experiment.points)
        for point in self.experiment.points:
            home = self.directory / "points" / point.identity
            if not (home / "summary.json").exists():
                yield _Progress(point, deque(stages_of(self.directory, point, count)))

    def _fill(self, waiting: Iterator[_Progress]) -> None:
        while len(self._running) < self.engine.slots:
            if not self._ready:
                begun = next(waiting, None)
                if begun is None:
                    return
                forget_failure(self.directory / "points" / begun.point.identity)
                self._begin(begun)
            progress, task = self._ready.popleft()
            publish_config(task, progress.point.config)
            self.view.started(progress.point, task)
            self._running[self.engine.submit(task)] = progress, task

    def _begin(self, progress: _Progress) -> None:
        stage = progress.stages.popleft()
        progress.open = set(stage)
        self._ready.extend((progress, task) for task in stage)

    def _look(self) -> None:
        ended, _ = wait(self._running, timeout=BETWEEN_LOOKS, return_when=FIRST_COMPLETED)
        for future in ended:
            progress, task = self._running.pop(future)
            outcome = _outcome(future)
            self.view.ended(progress.point, task, outcome)
            self._take(progress, task, outcome)

    def _take(self, progress: _Progress, task: Task, outcome: Outcome) -> None:
        if outcome.state in ENDS:
            self._broken = self._broken or outcome
        if progress.is_aside or outcome.state in ENDS:
            return
        if outcome.state == "done":
            progress.open.discard(task)
            if progress.open:
                return
            if progress.stages:
                self._begin(progress)
            else:
                self.view.finished(progress.point)
        elif outcome.state == "stopped":  # a worker that was asked to end; or all of them
            self._ready.append((progress, task))
        else:
            self._failed(progress, task, outcome)

    def _failed(self, progress: _Progress, task: Task, outcome: Outcome) -> None:
        attempts, alone = progress.count(task), len(self.experiment.points) == 1
        if attempts < {"failed": 1 if alone else ATTEMPTS, "lost": LOSSES}.get(outcome.state, 0):
            self._ready.append((progress, task))
            return
        progress.is_aside = True
        self._ready = deque(one for one in self._ready if one[0] is not progress)
        self._aside.append(progress.point)
        publish_failure(task.home, Failure(attempts, outcome.message, outcome.details))


def _outcome(future: "Future[Outcome]") -> Outcome:
    try:
        return future.result()
    except Exception as lost:
        return Outcome("lost", f"its worker was lost ({lost})")
