"""System calls that store: retried where a signal interrupts them, and one named failure where they cannot."""

import errno
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOM = "free space there, then run again"
ACCESS = "make it writable, then run again"
LOCKS = "use a file system that supports flock, then run again"
REMEDIES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), ROOM),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), ACCESS),
    **dict.fromkeys((errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP), LOCKS),
}
NO_DIRECTORY_SYNC = (errno.EINVAL, errno.EOPNOTSUPP)
"""What file systems answer that cannot sync a directory; their renames last without it or not at all."""

NUMBER_OF_HDF5 = re.compile(r"errno = (\d+)")


class StorageFailed(RuntimeError):
    """A file could not be stored; the message names its final path, the reason and what to do."""


@dataclass
class Operations:
    """The system calls that storing is made of. Tests replace one to see what its failure does."""

    mkdir: Callable[..., None] = os.mkdir
    open: Callable[..., int] = os.open
    write: Callable[..., int] = os.write
    pwrite: Callable[..., int] = os.pwrite
    fsync: Callable[..., None] = os.fsync
    close: Callable[..., None] = os.close
    replace: Callable[..., None] = os.replace
    unlink: Callable[..., None] = os.unlink


operations = Operations()


def retried(operation: Callable[..., Any], *arguments: Any) -> Any:
    """`operation(*arguments)`, again as long as a signal interrupts it.

    Python retries open, write and fsync itself (PEP 475), but not mkdir, rename and unlink, which network file
    systems interrupt. Not for close: the descriptor is gone, whatever close says.
    """
    while True:
        try:
            return operation(*arguments)
        except InterruptedError:
            continue


@contextmanager
def storing(path: Path) -> Iterator[None]:
    """Turn what the system or HDF5 says of a failure inside the block into StorageFailed, which names `path`.

    HDF5 raises OSError, or RuntimeError with the number of the system's error in its text; other errors pass.
    """
    try:
        yield
    except OSError as error:
        raise failure(path, error) from error
    except RuntimeError as error:
        number = NUMBER_OF_HDF5.search(str(error))
        if number is None:
            raise
        raise failure(path, OSError(int(number[1]), os.strerror(int(number[1])))) from error


def failure(path: Path, error: OSError) -> StorageFailed:
    remedy = REMEDIES.get(error.errno or 0, "free space or make it writable, then run again")
    return StorageFailed(f"{path} cannot be written ({error.strerror or error}); {remedy}")


def make_directory(directory: Path) -> None:
    """Make `directory` and its parents where they are missing, each to last: its name is synced with its parent."""
    if directory.is_dir() or directory == directory.parent:
        return
    make_directory(directory.parent)
    try:
        retried(operations.mkdir, directory)
    except FileExistsError:
        return
    sync_directory(directory.parent)


def write_synced(path: Path, content: bytes) -> None:
    """Fill a file of that name with `content` and wait until the device has it."""
    descriptor = retried(operations.open, path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o666)
    with _closed_after(descriptor):
        rest = memoryview(content)
        while rest:
            rest = rest[retried(operations.write, descriptor, rest) :]
        retried(operations.fsync, descriptor)


def sync_file(path: Path) -> None:
    """Wait until the device has what was written to `path`."""
    with _closed_after(retried(operations.open, path, os.O_RDONLY)) as descriptor:
        retried(operations.fsync, descriptor)


def sync_directory(directory: Path) -> None:
    """Wait until the device has the names in `directory`, on file systems that can be asked to."""
    with _closed_after(retried(operations.open, directory, os.O_RDONLY | os.O_DIRECTORY)) as descriptor:
        try:
            retried(operations.fsync, descriptor)
        except OSError as error:
            if error.errno not in NO_DIRECTORY_SYNC:
                raise


@contextmanager
def _closed_after(descriptor: int) -> Iterator[int]:
    """Close `descriptor`; what close says counts, for network file systems write then, but not over another error."""
    try:
        yield descriptor
    except BaseException:
        try:
            operations.close(descriptor)
        except OSError:
            pass
        raise
    try:
        operations.close(descriptor)
    except InterruptedError:
        pass
