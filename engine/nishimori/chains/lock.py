"""One writer a directory: flock where hosts share it, and a heartbeat in the lock file where they do not."""

import errno
import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from nishimori.chains.progress import Progress
from nishimori.chains.storage import failure, operations, retried, storing
from nishimori.chains.temporaries import LOCK

BETWEEN_BEATS = 10.0
"""Seconds between two heartbeats that are written."""
SILENCE = 60.0
"""Seconds without a heartbeat after which a writer on another host counts as dead."""
LONGEST_SILENCE = SILENCE / 2
"""Seconds without a heartbeat after which a writer that cannot write one ends by itself."""
PATIENCE = 0.3
"""Seconds that a holder has to write its name, between taking the lock and saying so."""
LONGEST = 4096


class DirectoryBusy(RuntimeError):
    """Another process writes here; the message names directory, host and process and says what to do."""


class Holder(msgspec.Struct, frozen=True):
    """What a lock file says: who holds it; `started` and `heartbeat` in seconds of wall-clock time since 1970."""

    host: str
    pid: int
    started: float
    heartbeat: float


def holder_of(directory: Path) -> Holder | None:
    """Who the lock file of `directory` names; None after a clean end, without a lock file, or where it is illegible.

    A process that was killed stays named; its heartbeat stands still.
    """
    try:
        descriptor = os.open(directory / LOCK, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        return _read(descriptor)
    except OSError:
        return None
    finally:
        os.close(descriptor)


@dataclass
class Lock:
    """A directory's lock, held."""

    directory: Path
    descriptor: int
    holder: Holder
    _last: float = field(default_factory=time.monotonic)

    def beat(self) -> None:
        """Say that this process lives; call it as often as you like, it writes once in ten seconds.

        What cannot be written is tried again at the next call, as others do not take this process for dead at once.
        Raises StorageFailed where the last heartbeat is half a minute old by then, and DirectoryBusy where another host
        took the lock over, in a silence of more than a minute, or the lock file was removed.
        """
        silent = time.monotonic() - self._last
        if silent < BETWEEN_BEATS:
            return
        path = self.directory / LOCK
        try:
            if not self._is_mine():
                named = holder_of(self.directory)
                what = f"{_name(named)} took it over" if named else "it was removed or emptied"
                raise DirectoryBusy(
                    f"{path} is no longer this process's: {what}; let one process write, then run again"
                )
            self.holder = msgspec.structs.replace(self.holder, heartbeat=time.time())
            _write(self.descriptor, self.holder)
        except OSError as error:
            if silent >= LONGEST_SILENCE:
                raise failure(path, error) from error
            return
        self._last = time.monotonic()

    def beating(self, progress: Progress) -> Progress:
        """`progress`, and a heartbeat with every transition."""

        def told(phase: str, done: int, total: int, acceptance: float) -> None:
            self.beat()
            progress(phase, done, total, acceptance)

        return told

    def release(self) -> None:
        """Leave an empty lock file, which is nobody's. A file that cannot be emptied is told by its heartbeat."""
        with suppress(OSError):
            if self._is_mine():
                retried(os.ftruncate, self.descriptor, 0)
        with suppress(OSError):
            fcntl.flock(self.descriptor, fcntl.LOCK_UN)  # a forked child may keep the descriptor open

    def _is_mine(self) -> bool:
        named = _read(self.descriptor)
        mine = (self.holder.host, self.holder.pid, self.holder.started)
        same = named is not None and (named.host, named.pid, named.started) == mine
        return same and _is_at(self.directory / LOCK, self.descriptor)


@contextmanager
def hold(directory: Path) -> Iterator[Lock]:
    """Hold the lock of `directory`, which exists, or raise DirectoryBusy within a second with nothing changed.

    flock decides between processes of one host, and between hosts where the file system shares it: a holder that
    is named but lost its flock is dead. A free flock beside the name of another host is believed only once that host
    was silent for a minute. Raises StorageFailed where the lock file cannot be made, locked or written.
    """
    path = directory / LOCK
    with storing(path):
        descriptor = retried(operations.open, path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    try:
        with storing(path):
            _take(directory, descriptor)
        now = time.time()
        lock = Lock(directory, descriptor, Holder(socket.gethostname(), os.getpid(), now, now))
        try:
            with storing(path):
                _write(descriptor, lock.holder)
            yield lock
        finally:
            lock.release()
    finally:
        with suppress(OSError):  # nothing that anybody waits for is stored by it
            operations.close(descriptor)


def _take(directory: Path, descriptor: int) -> None:
    try:
        retried(fcntl.flock, descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise DirectoryBusy(_busy(directory, _patiently(descriptor))) from None
    if not _is_at(directory / LOCK, descriptor):
        raise DirectoryBusy(f"{directory}: {LOCK} was replaced while it was taken; run again")
    named = _read(descriptor)
    if named is None or named.host == socket.gethostname():
        return
    if time.time() - named.heartbeat < SILENCE:
        raise DirectoryBusy(_busy(directory, named))


def _busy(directory: Path, holder: Holder | None) -> str:
    return (
        f"{directory}: {_name(holder)} writes here; wait for it or stop it, then run again "
        f"(a host that no longer runs is given up after {SILENCE:.0f} s)"
    )


def _name(holder: Holder | None) -> str:
    return f"process {holder.pid} on {holder.host}" if holder else "another process"


def _patiently(descriptor: int) -> Holder | None:
    """The holder's name, which it writes right after it took the lock."""
    end = time.monotonic() + PATIENCE
    while (named := _read(descriptor)) is None and time.monotonic() < end:
        time.sleep(0.02)
    return named


def _read(descriptor: int) -> Holder | None:
    try:
        return msgspec.json.decode(retried(os.pread, descriptor, LONGEST, 0), type=Holder)
    except msgspec.DecodeError:
        return None


def _write(descriptor: int, holder: Holder) -> None:
    """In one call and over the old record, so that readers see a whole one; synced, for hosts that share no cache."""
    record = msgspec.json.encode(holder) + b"\n"
    if retried(operations.pwrite, descriptor, record, 0) < len(record):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    retried(os.ftruncate, descriptor, len(record))
    retried(operations.fsync, descriptor)


def _is_at(path: Path, descriptor: int) -> bool:
    """Whether `path` still names the file that is open, not another or none."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False
