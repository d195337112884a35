"""One attempt at a task, in this process. Only `attempt` imports torch."""

import time
import traceback
from collections.abc import Callable
from dataclasses import replace

from nishimori.chains.files import DirectoryBusy, StorageFailed, exclusive
from nishimori.chains.progress import Progress
from nishimori.chains.stop import Stopped, StopRequest, stopping
from nishimori.description.errors import BadInput
from nishimori.executors.tasks import Outcome, Task, config_of, is_done
from nishimori.systems import SYSTEMS

BETWEEN_TRIES = 1.0
"""Seconds between two looks at a lock that another process holds."""


def attempt(
    task: Task, progress: Progress, tell: Callable[[str], None], stop: StopRequest, patience: float = 0.0
) -> Outcome:
    """Do the task, or go on with it, under the lock of what it writes. Nothing is raised but what ends a process.

    `patience` are the seconds that another process's lock is waited for: a host that is gone is given up only after
    some silence.
    """
    try:
        _patiently(lambda: _do(task, stopping(progress, stop), tell, stop), time.monotonic() + patience, stop)
    except Stopped as reason:
        return Outcome("stopped", str(reason))
    except BadInput as refusal:
        return Outcome("refused", str(refusal))
    except DirectoryBusy as failure:
        return Outcome("busy", str(failure))
    except StorageFailed as failure:
        return Outcome("unstored", str(failure))
    except Exception as failure:
        return Outcome("failed", f"{type(failure).__name__}: {failure}", traceback.format_exc())
    return Outcome("done")


def _patiently(work: Callable[[], None], end: float, stop: StopRequest) -> None:
    while True:
        stop.obey()
        try:
            return work()
        except DirectoryBusy:
            if time.monotonic() >= end:
                raise
        time.sleep(BETWEEN_TRIES)


def _do(task: Task, progress: Progress, tell: Callable[[str], None], stop: StopRequest) -> None:
    from nishimori.chains.writers import PointWriter

    config = config_of(task)
    system, writer = SYSTEMS[config.system.kind], PointWriter(task.home, task.points, progress, tell, stop)
    if is_done(task):
        return
    system.require_runnable(config)
    if task.part == "block":
        system.run_block(config, writer, task.block)
        return
    with exclusive(task.home) as lock:
        if is_done(task):
            return
        beating = replace(writer, progress=lock.beating(progress))
        if task.part == "calibration":
            system.calibrate_point(config, beating)
        else:
            system.run_point(config, beating)
