"""Where Triton keeps what it compiled: on the node itself, as caches on shared disks crash or mix builds."""

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

VARIABLE = "TRITON_CACHE_DIR"


def keep_compiled_kernels_here() -> None:
    """Unless the environment says where, kernels that are compiled from now on are kept below the temporary directory
    (TMPDIR), in a folder that nobody else can write to."""
    if VARIABLE not in os.environ:
        os.environ[VARIABLE] = str(_own_folder())


def _own_folder() -> Path:
    """Named after the user, so that the next process finds it; another one where that name is taken."""
    user = os.getuid()
    folder = Path(tempfile.gettempdir()) / f"nishimori-triton-{user}"
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    private = stat.S_ISDIR(found.st_mode) and found.st_uid == user and not found.st_mode & 0o077
    return folder if private else Path(tempfile.mkdtemp(prefix=f"nishimori-triton-{user}-"))
