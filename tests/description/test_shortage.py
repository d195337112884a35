"""Memory that ended is told from other errors by the words of those who noticed."""

import errno
import os

import pytest

from nishimori.description.errors import BadInput
from nishimori.description.shortage import is_shortage, sentence

TORCH = (
    "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate "
    "419430400 bytes. Error code 12 (Cannot allocate memory)"
)
SHORTAGES = [
    (MemoryError(), ""),
    (MemoryError("Unable to allocate 32.0 MiB for an array with shape (4194304,)"), "32.0 MiB"),
    (RuntimeError(TORCH), "0.4 GiB"),
    (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has"), "2.00 GiB"),
    (RuntimeError("std::bad_alloc"), ""),
    (RuntimeError("can't start new thread"), ""),
    (OSError("Can't synchronously write data (unable to allocate memory block of 5308416 bytes)"), "5.1 MiB"),
    (OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)), ""),
    (ImportError("/lib/tools.so: failed to map segment from shared object"), ""),
]


@pytest.mark.parametrize(("error", "amount"), SHORTAGES, ids=lambda value: str(value)[:40])
def test_a_shortage_is_known_with_what_was_asked_for(error: Exception, amount: str) -> None:
    where = f" where {amount} more were asked for" if amount else ""
    assert is_shortage(error)
    assert sentence(error).startswith(f"memory ended{where}; free some, or ask for fewer chains, ")
    assert sentence(error).endswith(", then run again")


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("shapes differ"),
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        ImportError("No module named 'xarray'"),
        BadInput("device cuda is out of memory of it"),
        KeyboardInterrupt("out of memory"),
    ],
    ids=repr,
)
def test_others_are_none(error: BaseException) -> None:
    assert not is_shortage(error)
