"""One attempt at a task, in this process. Only `attempt` imports torch."""

import traceback
from collections.abc import Callable
from dataclasses import replace

from nishimori.chains.files import DirectoryBusy, StorageFailed, exclusive
from nishimori.chains.progress import Progress
from nishimori.chains.stop import Stopped, StopRequest, stopping
from nishimori.description.errors import BadInput
from nishimori.executors.tasks import Outcome, Task, config_of, is_done
from nishimori.systems import SYSTEMS


def attempt(task: Task, progress: Progress, tell: Callable[[str], None], stop: StopRequest) -> Outcome:
    """Do the task, or go on with it, under the lock of what it writes. Nothing is raised but what ends a process."""
    try:
        stop.obey()
        _do(task, stopping(progress, stop), tell, stop)
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
