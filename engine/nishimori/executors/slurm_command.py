"""What a job of Slurm does, as submitit has it: run a command line, and go on after a preemption."""

import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

LONGEST_COMMIT = 90.0
"""Seconds that a child has to commit and end: less than signal_delay_s, so that the job is requeued before its end."""


@dataclass
class Command:
    """One attempt at the task of these `words`. submitit stores it, calls it on a node, and asks for a `checkpoint`
    where the job is preempted or its time is over."""

    words: list[str]
    _child: "subprocess.Popen[str] | None" = field(default=None, init=False, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        return {"words": self.words, "_child": None}

    def __call__(self) -> str:
        """The last line that the child says: the outcome as JSON. Raises RuntimeError where it ends without one."""
        command = [sys.executable, "-m", "nishimori.executors.work", *self.words]
        self._child = child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        signal.signal(signal.SIGTERM, self._pass_on)  # what a preemption sends, and submitit overhears
        assert child.stdout
        with child.stdout:
            said = child.stdout.read().splitlines()
        while child.poll() is None:  # not wait(), whose lock a signal's handler could not take again
            time.sleep(0.05)
        if not said:
            raise RuntimeError(f"exit code {child.returncode}")
        return said[-1]

    def checkpoint(self) -> Any:
        """Let the child commit and end; the job is requeued, and goes on where the files are."""
        from submitit.core.utils import DelayedSubmission

        self._pass_on(signal.SIGUSR2)
        end = time.monotonic() + LONGEST_COMMIT
        while self._child and self._child.poll() is None and time.monotonic() < end:
            time.sleep(0.05)
        return DelayedSubmission(Command(self.words))

    def _pass_on(self, number: int, frame: FrameType | None = None) -> None:
        del frame
        if self._child and self._child.poll() is None:
            self._child.send_signal(number)
