"""Long work made of loops that follow one another, which goes on where an earlier process was stopped or killed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from nishimori.chains.checkpoint_files import UNFINISHED, CheckpointFiles
from nishimori.chains.headway import Stage
from nishimori.chains.progress import Progress
from nishimori.chains.segments import Stored
from nishimori.chains.stop import Stopped
from nishimori.samplers.checkpoint import Checkpoint, HostArrays


@dataclass(eq=False)
class Checkpoints:
    """What the loops of one piece of work consult after every step.

    `report` is told of it, and may end the work by raising Stopped: with `files`, everything that was done is kept
    first. It is kept too whenever that is due.
    """

    report: Progress
    files: CheckpointFiles | None = None
    _done: dict[str, HostArrays] = field(default_factory=dict)
    _left: dict[str, HostArrays] = field(default_factory=dict)
    _stage: Stage | None = None

    def once(self, name: str, compute: Callable[[], HostArrays]) -> HostArrays:
        """What `compute` gives, which is kept and not computed again."""
        if name not in self._done:
            self._done[name] = compute()
            self._keep()
        return self._done[name]

    def loop(self, name: str) -> Checkpoint:
        """For the loop that is reported, and kept, by this name."""
        return _Loop(self, name)

    def left(self, name: str) -> HostArrays | None:
        """What a loop had handed over when it was left; it is given away once, for it may be large."""
        return self._left.pop(name, None)

    def reached(self, stage: Stage, acceptance: float, values: Callable[[], HostArrays]) -> None:
        """One step more of the loop that `stage` names. Raises Stopped where `report` does."""
        self._stage = stage
        try:
            self.report(stage.phase, stage.done, stage.total, acceptance)
        except Stopped:
            self._keep(stage.phase, values)
            raise
        if self.files and self.files.due():
            self._keep(stage.phase, values)

    def take_up(self, stored: Stored | None) -> None:
        """What an earlier process kept, if any."""
        if stored is None:
            return
        self._done = dict(stored.arrays)
        unfinished = str(stored.attributes.get(UNFINISHED, ""))
        if unfinished in self._done:
            self._left = {unfinished: self._done.pop(unfinished)}

    def _keep(self, unfinished: str = "", values: Callable[[], HostArrays] | None = None) -> None:
        if self.files:
            now = {unfinished: values()} if values else {}
            self.files.keep({**self._done, **now}, unfinished, self._stage)


@dataclass(frozen=True, eq=False)
class _Loop:
    checkpoints: Checkpoints
    name: str

    def begun(self) -> HostArrays | None:
        return self.checkpoints.left(self.name)

    def reached(self, done: int, total: int, acceptance: float, values: Callable[[], HostArrays]) -> None:
        self.checkpoints.reached(Stage(self.name, done, total), acceptance, values)


@contextmanager
def checkpointed(report: Progress, files: CheckpointFiles | None, work: str) -> Iterator[Checkpoints]:
    """Of `work`, which names it with everything that its outcome depends on; with `files`, from where these say that it
    was left. At the end everything that was kept is in its file."""
    checkpoints = Checkpoints(report, files)
    if files is None:
        yield checkpoints
        return
    try:
        checkpoints.take_up(files.begin(work))
        yield checkpoints
    finally:
        files.close()
