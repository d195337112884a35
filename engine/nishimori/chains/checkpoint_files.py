"""The files of long work that keeps where it stands: a new one every so often, the latest few of them.

Each is complete by itself, so that the work goes on from the newest that is whole.
"""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from nishimori.chains.files import discard, quarantine
from nishimori.chains.headway import FILE, Stage, publish_stage
from nishimori.chains.segments import Arrays, NotRead, Stored, publish_arrays, read_stored
from nishimori.chains.survey import name_of
from nishimori.description.errors import BadInput

LATEST = 2
"""Files that are kept: the newest, and the one before for where that is damaged."""
WORK, UNFINISHED = "work", "unfinished"
"""Attributes: what the file is of, and the group of the loop that was left, empty for none."""


@dataclass(eq=False)
class CheckpointFiles:
    """Of one piece of work, `directory`/000123.h5, one every `seconds`.

    `tell` is given a sentence for whatever is found damaged or of other work. Files are written by a thread of its own:
    `keep` comes back before its file is there, and waits for the one before. What goes wrong there is raised by the
    next `keep` or by `close`. Beside them progress.json says how far the work has come.
    """

    directory: Path
    seconds: float
    tell: Callable[[str], None]
    clock: Callable[[], float] = time.monotonic
    _work: str = ""
    _next: int = 0
    _latest: float = 0.0
    _writing: "Future[None] | None" = None
    _writer: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "checkpoints"), repr=False)

    def begin(self, work: str) -> Stored | None:
        """The newest whole file of this `work`, None where there is none; what is kept from now on is of it.

        A file that is damaged or of other work is set aside, and the one before is taken. Raises NotRead, a BadInput,
        where the newest may be whole.
        """
        paths = self._paths()
        self._work, self._latest = work, self.clock()
        self._next = int(paths[-1].stem) + 1 if paths else 0
        for path in reversed(paths):
            try:
                return _of_work(path, work)
            except NotRead:
                raise
            except BadInput as refusal:
                self.tell(f"{str(refusal).partition(';')[0]}; it lies at {quarantine(path)} now")
        if paths:
            self.tell(f"{self.directory} holds nothing more to go on from; the work starts anew")
        return None

    def due(self) -> bool:
        """Whether a file has become due."""
        return self.clock() - self._latest >= self.seconds

    def keep(self, arrays: Arrays, unfinished: str, stage: Stage | None) -> None:
        """All there is to go on from; the arrays belong to the writer from now on."""
        self._wait()
        self._latest = self.clock()
        number, self._next = self._next, self._next + 1
        self._writing = self._writer.submit(self._write, number, arrays, unfinished, stage)

    def close(self) -> None:
        """Everything that was kept is in its file."""
        try:
            self._wait()
        finally:
            self._writer.shutdown()

    def remove(self) -> None:
        """The work is done and published elsewhere. What was set aside stays."""
        for path in (*self._paths(), self.directory / FILE):
            discard(path)
        with suppress(OSError):
            self.directory.rmdir()

    def _wait(self) -> None:
        if self._writing is not None:
            writing, self._writing = self._writing, None
            writing.result()

    def _write(self, number: int, arrays: Arrays, unfinished: str, stage: Stage | None) -> None:
        publish_arrays(self.directory / name_of(number), arrays, {WORK: self._work, UNFINISHED: unfinished})
        for path in self._paths():
            if int(path.stem) <= number - LATEST:
                discard(path)
        if stage:
            publish_stage(self.directory, stage)

    def _paths(self) -> list[Path]:
        """By number."""
        paths = [path for path in self.directory.glob("[0-9]*.h5") if path.stem.isdecimal()]
        return sorted(paths, key=lambda path: int(path.stem))


def _of_work(path: Path, work: str) -> Stored:
    stored = read_stored(path)
    if stored.attributes.get(WORK) != work:
        raise BadInput(f"{path} is of other settings, another point or another version; remove it")
    return stored
