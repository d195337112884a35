"""`nishimori`, killed by itself at a given system call that stores: killed_run.py NUMBER ARGUMENTS..."""

import os
import signal
import sys
from typing import Any

from nishimori.chains.storage import operations
from nishimori.cli import main


def kill_at(number: int) -> None:
    """SIGKILL before call `number` of all that storing is made of."""
    calls = iter(range(1, number))

    def counted(operation: Any) -> Any:
        def call(*arguments: Any) -> Any:
            if next(calls, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)
            return operation(*arguments)

        return call

    for name in ("open", "write", "fsync", "close", "replace"):
        setattr(operations, name, counted(getattr(operations, name)))


if __name__ == "__main__":
    kill_at(int(sys.argv[1]))
    sys.exit(main(sys.argv[2:]))
