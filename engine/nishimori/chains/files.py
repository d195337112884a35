"""Publishing files that are whole or absent: write a temporary name, fsync, rename, fsync the directory."""

import json
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from nishimori.chains.lock import DirectoryBusy as DirectoryBusy
from nishimori.chains.lock import Lock, hold
from nishimori.chains.storage import (
    StorageFailed as StorageFailed,
)
from nishimori.chains.storage import (
    make_directory,
    operations,
    retried,
    storing,
    sync_directory,
    sync_file,
    write_synced,
)
from nishimori.chains.temporaries import sweep, temporary_of


def publish(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary file beside `path`, then make it visible under its name in one step.

    Raises StorageFailed where storing fails; the name then holds what it held before, or, where the very last step
    failed, the whole new content.
    """

    def fill(temporary: Path) -> None:
        write(temporary)
        sync_file(temporary)

    _publish(path, fill)


def publish_bytes(path: Path, content: bytes) -> None:
    """Publish `content` as it is. Raises StorageFailed as `publish` does."""
    _publish(path, lambda temporary: write_synced(temporary, content))


def publish_json(path: Path, value: Any) -> None:
    """Publish a JSON document; NaN and infinity become null. Raises StorageFailed as `publish` does."""
    publish_bytes(path, (json.dumps(without_nan(value), indent=2, allow_nan=False) + "\n").encode())


def without_nan(value: Any) -> Any:
    """`value` with every non-finite float replaced by None."""
    if isinstance(value, dict):
        return {key: without_nan(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def discard(path: Path) -> None:
    """Remove a file that is not needed any more. Raises StorageFailed where it is there and cannot be removed."""
    with storing(path), suppress(FileNotFoundError):
        retried(operations.unlink, path)


def quarantine(path: Path) -> Path:
    """Rename a damaged file out of the way, to the first free of <name>.damaged, <name>.damaged-2, ...; returns it.

    For the one writer of the directory. Raises StorageFailed where it cannot be renamed.
    """
    number, aside = 1, path.with_name(f"{path.name}.damaged")
    while os.path.lexists(aside):
        number += 1
        aside = path.with_name(f"{path.name}.damaged-{number}")
    with storing(aside):
        retried(operations.replace, path, aside)
        sync_directory(path.parent)
    return aside


@contextmanager
def exclusive(directory: Path) -> Iterator[Lock]:
    """Be the one writer of `directory`, made where it is missing; what dead writers left half-written is removed.

    Call `beat()` of what it yields now and then. The lock ends with the process, however it ends; the lock file stays,
    empty after a clean end. Raises DirectoryBusy within a second, with nothing changed, where another process writes,
    and StorageFailed where the directory cannot be made or locked.
    """
    with storing(directory):
        make_directory(directory)
    with hold(directory) as lock:
        sweep(directory)
        yield lock


def _publish(path: Path, fill: Callable[[Path], None]) -> None:
    temporary = temporary_of(path)
    with storing(path):
        make_directory(path.parent)
        try:
            fill(temporary)
            retried(operations.replace, temporary, path)
        except BaseException:
            with suppress(OSError):
                retried(operations.unlink, temporary)
            raise
        sync_directory(path.parent)
