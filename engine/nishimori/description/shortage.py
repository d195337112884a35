"""Memory that ended, told from other errors: Python, torch, HDF5 and the system have words of their own for it."""

import re

from nishimori.description.units import sized

WORDS = re.compile(
    "can't allocate memory|cannot allocate memory|unable to allocate|out of memory|bad_alloc|failed to map segment|"
    "can't start new thread",
    re.IGNORECASE,
)
AMOUNT = re.compile(
    r"(?:tried to allocate|memory block of|unable to allocate) ([\d.]+) (bytes|[KMGT]iB)", re.IGNORECASE
)


def is_shortage(error: BaseException) -> bool:
    """Whether memory ended. Such errors are MemoryError, RuntimeError, OSError or ImportError."""
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError | OSError | ImportError) and WORDS.search(str(error)) is not None


def sentence(error: BaseException) -> str:
    """What was asked for when memory ended, where the error says it, and what to do."""
    found = AMOUNT.search(str(error))
    amount = "" if found is None else f" where {_shown(*found.groups())} more were asked for"
    return (
        f"memory ended{amount}; free some, or ask for fewer chains, instances, samples or draws (nishimori plan says "
        "what they take), then run again"
    )


def _shown(number: str, unit: str) -> str:
    return sized(int(number)) if unit == "bytes" else f"{number} {unit}"
