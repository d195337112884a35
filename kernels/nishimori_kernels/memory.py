"""Memory that the C library has freed stays with the process, where the next allocation finds it."""

import ctypes
import sys
from functools import cache

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
_NEVER = 2**31 - 1


@cache
def keep_freed_memory() -> bool:
    """Tell glibc's malloc to keep what is freed, for the rest of the process; False where there is no glibc.

    By default every temporary above some hundred kilobytes may be a fresh mapping, whose pages the kernel clears one
    by one: on a CPU that doubles the time of elementwise work on a few megabytes. What the process holds then is its
    largest use so far.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_MMAP_MAX, 0) and mallopt(_TRIM_THRESHOLD, _NEVER))
