"""The segments of a run: committed one after the other while it goes on, verified when it is taken up again.

A commit publishes the complete state first and then the segment, whose rename is the commit. A segment carries the
digest of the one before, so that the files of one run form a chain.
"""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from nishimori.chains.files import discard, quarantine
from nishimori.chains.headway import Headway, publish_headway
from nishimori.chains.segments import Arrays, NotRead, publish_arrays
from nishimori.chains.stop import StopRequest
from nishimori.chains.survey import Survey, kept_state, name_of, survey
from nishimori.description.errors import BadInput

LATEST_STATES, STATES_APART = 3, 20
"""Kept are the states of so many latest segments, and of every twentieth."""


@dataclass(eq=False)
class Journal:
    """Files of one run in `directory`/segments and `directory`/states, a commit every `seconds`.

    `tell` is given a sentence for whatever was found damaged, and `stop` says whether the run is to end. Files are
    written by a thread of its own: `commit` comes back before its files are there, and waits for those of the commit
    before. What goes wrong there is raised by the next `commit` or by `close`. After every commit
    progress.json says how far the run has come.
    """

    directory: Path
    seconds: float
    tell: Callable[[str], None]
    stop: StopRequest = field(default_factory=StopRequest)
    clock: Callable[[], float] = time.monotonic
    _next: int = 0
    _previous: str = ""
    _latest: float = 0.0
    _milliseconds: int = 0
    _writing: "Future[str] | None" = None
    _writer: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "journal"), repr=False)

    def survey(self) -> Survey:
        """What an earlier run committed, damaged files set aside. Raises BadInput where nothing can be read of what is
        there, or files are not of one run, and NotRead where it is not the file's fault."""
        return survey(self.directory, self.tell)

    def state_at(self, number: int) -> Arrays | None:
        """The state at the end of segment `number`, None where it was not kept or is damaged, and then set aside.
        Raises NotRead as `survey` does."""
        try:
            return kept_state(self.directory, number)
        except NotRead:
            raise
        except BadInput as refusal:
            aside = quarantine(self._state(number))
            self.tell(f"{str(refusal).partition(';')[0]}; it lies at {aside} now")
            return None

    def go_on_after(self, number: int, previous: str, milliseconds: int = 0) -> None:
        """The next commit is the one after segment `number`, whose digest is `previous`; -1 and "" for the first.
        So far it took `milliseconds`. States that an earlier run did not come to remove are removed."""
        self._next, self._previous, self._latest = number + 1, previous, self.clock()
        self._milliseconds = milliseconds
        self._prune(number)

    def due(self) -> bool:
        """Whether a commit has become due."""
        return self.clock() - self._latest >= self.seconds

    def commit(self, first: int, segment: Arrays, state: Arrays, headway: Callable[[], Headway] | None = None) -> None:
        """Of the transitions since `first`; the arrays are the journal's from now on. `headway` is called by the thread
        that writes, for progress.json, which is left as it was without it."""
        self._wait()
        now = self.clock()
        took, self._latest = round(1000 * (now - self._latest)), now
        number, self._next = self._next, self._next + 1
        self._writing = self._writer.submit(self._write, number, first, segment, state, took, headway)

    def repair(self, number: int, first: int, previous: str, segment: Arrays) -> None:
        """Publish segment `number` again, which had been lost."""
        self._publish_segment(number, first, previous, segment)

    def restore_state(self, number: int, state: Arrays) -> None:
        """Publish the state at the end of segment `number` again, which had been lost."""
        publish_arrays(self._state(number), state, {"segment": number})

    def close(self) -> None:
        """Everything that was committed is in its files."""
        try:
            self._wait()
        finally:
            self._writer.shutdown()

    def _wait(self) -> None:
        if self._writing is not None:
            writing, self._writing = self._writing, None
            self._previous = writing.result()

    def _write(
        self,
        number: int,
        first: int,
        segment: Arrays,
        state: Arrays,
        milliseconds: int,
        headway: Callable[[], Headway] | None,
    ) -> str:
        self.restore_state(number, state)
        content = self._publish_segment(number, first, self._previous, segment, milliseconds)
        self._prune(number)
        self._milliseconds += milliseconds
        if headway:
            with suppress(MemoryError):  # a run does not end because there is no memory to tell how it is doing
                publish_headway(self.directory, headway(), self._milliseconds / 1000)
        return content

    def _publish_segment(self, number: int, first: int, previous: str, segment: Arrays, milliseconds: int = 0) -> str:
        attributes = {"segment": number, "first": first, "previous": previous, "milliseconds": milliseconds}
        return publish_arrays(self.directory / "segments" / name_of(number), segment, attributes)

    def _state(self, number: int) -> Path:
        return self.directory / "states" / name_of(number)

    def _prune(self, newest: int) -> None:
        """Keep, of the states up to that of segment `newest`, those that are to be kept, and none of what followed."""
        for path in sorted((self.directory / "states").glob("[0-9]*.h5")):
            number = int(path.stem)
            kept = number > newest - LATEST_STATES or number % STATES_APART == 0
            if number > newest or not kept:
                discard(path)
