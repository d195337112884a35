"""`nishimori`, which may have a given number of bytes more than it holds when sampling begins: limited_run.py BYTES
ARGUMENTS..."""

import os
import resource
import sys
from pathlib import Path
from typing import Any

from nishimori.cli import main
from nishimori.sampling import memory


def limit(more: int) -> None:
    """No memory beyond what is held now and so many bytes."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (pages * os.sysconf("SC_PAGE_SIZE") + more, hard))


def limited_from_sampling_on(more: int) -> None:
    original = memory.chains_that_fit

    def chains_that_fit(*arguments: Any) -> Any:
        limit(more)
        return original(*arguments)

    memory.chains_that_fit = chains_that_fit


if __name__ == "__main__":
    limited_from_sampling_on(int(sys.argv[1]))
    sys.exit(main(sys.argv[2:]))
