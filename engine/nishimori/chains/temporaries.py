"""Names of files that are being written, and the removal of those whose writers died."""

import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from nishimori.chains.storage import operations, retried

LOCK = "lock"
NAME = re.compile(r"\.(?:(?P<host>.+)@)?(?P<pid>\d+)\.tmp\..+")
ABANDONED = 3600.0
"""Seconds without a change after which a temporary file of another host is nobody's: publishing takes seconds."""


def temporary_of(path: Path) -> Path:
    """The hidden name beside `path` under which this process writes it: host and process are part of it."""
    return path.with_name(f".{socket.gethostname()}@{os.getpid()}.tmp.{path.name}")


def sweep(directory: Path) -> list[Path]:
    """Remove temporary files of dead writers from `directory` and its folders; returns what was removed.

    Folders with a lock of their own are left to whoever holds it. A temporary file of this host is kept as long as
    a process of its number lives, one of another host for an hour after its last change. What cannot be removed stays.
    """
    removed = []
    for path in _temporaries(directory):
        if _is_abandoned(path):
            with suppress(OSError):
                retried(operations.unlink, path)
                removed.append(path)
    return removed


def _temporaries(directory: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(directory):
        if folder != os.fspath(directory) and LOCK in files:
            folders.clear()
            continue
        yield from (Path(folder, name) for name in files if NAME.fullmatch(name))


def _is_abandoned(path: Path) -> bool:
    name = NAME.fullmatch(path.name)
    if name is None:
        return False
    if name["host"] in (None, socket.gethostname()):
        return not is_alive(int(name["pid"]))
    with suppress(OSError):
        return time.time() - path.stat().st_mtime > ABANDONED
    return False


def is_left_behind(name: str) -> bool:
    """Whether a file of this name may be all that a writer leaves that was killed before its first file appeared."""
    return name == LOCK or NAME.fullmatch(name) is not None


def is_alive(pid: int) -> bool:
    """Whether this host has a process of that number; one of another user counts."""
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
