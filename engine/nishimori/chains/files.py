"""Publishing files that are whole or absent: write a temporary name, fsync, rename, fsync the directory."""

import fcntl
import json
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class DirectoryBusy(RuntimeError):
    """Another process writes here; the message names the directory and says what to do."""


def publish(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary file beside `path`, then make it visible under its name in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{os.getpid()}.tmp.{path.name}")
    try:
        write(temporary)
        _fsync(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    _fsync(path.parent)


def publish_json(path: Path, value: Any) -> None:
    """Publish a JSON document; NaN and infinity become null."""
    text = json.dumps(without_nan(value), indent=2, allow_nan=False) + "\n"
    publish(path, lambda temporary: _write_text(temporary, text))


def without_nan(value: Any) -> Any:
    """`value` with every non-finite float replaced by None."""
    if isinstance(value, dict):
        return {key: without_nan(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def quarantine(path: Path) -> Path:
    """Rename a damaged file to a free name beside it; returns that."""
    number, free = 1, path.with_name(f"{path.name}.damaged")
    while free.exists():
        number += 1
        free = path.with_name(f"{path.name}.damaged-{number}")
    os.replace(path, free)
    _fsync(path.parent)
    return free


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def exclusive(directory: Path) -> Iterator[None]:
    """Hold `directory`/lock, or raise DirectoryBusy at once. The lock ends with the process, however it ends."""
    directory.mkdir(parents=True, exist_ok=True)
    with open(directory / "lock", "w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DirectoryBusy(f"{directory}: another process writes here; wait for it or stop it") from None
        yield
