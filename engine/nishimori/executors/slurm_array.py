"""Tasks as job arrays of Slurm, by submitit. Importing this never imports submitit."""

import getpass
import json
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nishimori.description.errors import BadInput
from nishimori.executors.local import WorkerLost
from nishimori.executors.slurm_command import Command
from nishimori.executors.slurm_script import MOST, imported
from nishimori.executors.tasks import Outcome, Task, is_done

BETWEEN_LOOKS, BETWEEN_TRIES, BETWEEN_STATES = 1.0, 60.0, 60
"""Seconds between two looks at the job folder, until a job that was one too many is submitted again, and, at most,
between two questions to Slurm's accounting."""
PAUSE, LONGEST = 0.5, 10.0
"""Seconds without another task, after which those that came are one array, and how long the first of them waits."""
MANY = 1_000_000
"""Times that a job may be requeued when its time is over."""


@dataclass
class SlurmArray:
    """The engine that gives tasks to submitit's `executor`, those that come together as one array.

    Jobs go on without this process: where it is asked to stop it leaves them, and waits for those of an earlier process
    before it submits any.
    """

    executor: Any
    name: str
    directory: Path
    tell: Callable[[str], None]
    slots: int = MOST
    _pending: "list[tuple[Task, Future[Outcome]]]" = field(default_factory=list, init=False)
    _came: tuple[float, float] = field(default=(0.0, 0.0), init=False)
    _jobs: "dict[Future[Outcome], Any]" = field(default_factory=dict, init=False)
    _most: int = field(default=MOST, init=False)
    _asked: float = field(default=0.0, init=False)
    _missing: set[str] = field(default_factory=set, init=False)
    _not_before: float = field(default=float("-inf"), init=False)
    _broken: WorkerLost | None = field(default=None, init=False)
    _lock: Any = field(default_factory=threading.Lock, init=False)
    _ended: threading.Event = field(default_factory=threading.Event, init=False)

    @classmethod
    def connect(cls, folder: Path, directory: Path, asked: dict[str, Any], tell: Callable[[str], None]) -> "SlurmArray":
        """For the run in `directory`, with job files and logs in `folder`; `asked` is of `slurm_script.parameters`.

        Raises BadInput where submitit is not installed, there is no Slurm, or what is asked for makes no sense.
        """
        submitit = imported()
        if not all(map(shutil.which, ("sbatch", "srun"))):
            raise BadInput(
                "--executor slurm: sbatch and srun are not found; run this where jobs are submitted, or leave out "
                "--executor for this machine"
            )
        submitit.SlurmJob.watcher = type(submitit.SlurmJob.watcher)(delay_s=BETWEEN_STATES)
        executor = submitit.SlurmExecutor(folder=folder, max_num_timeout=MANY)
        executor.update_parameters(**asked)
        return cls(executor, asked["job_name"], directory, tell)

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._work, name="slurm", daemon=True)
        self._thread.start()

    def submit(self, task: Task) -> "Future[Outcome]":
        outcome: Future[Outcome] = Future()
        with self._lock:
            if self._broken:
                outcome.set_exception(self._broken)
            else:
                now = time.monotonic()
                self._came = (self._came[0] if self._pending else now), now
                self._pending.append((task, outcome))
        return outcome

    def stop(self) -> None:
        """Jobs go on; what they come to is read from their files later."""
        self.close()
        if self._jobs:
            self.tell(
                f"{len(self._jobs)} jobs go on: nishimori status {self.directory} shows them, nishimori resume "
                f"{self.directory} --executor slurm waits for them, scancel --name {self.name} ends them"
            )
        for outcome in self._let_go():
            outcome.set_result(Outcome("stopped"))

    def close(self) -> None:
        """Look after no job any more."""
        self._ended.set()
        self._thread.join()

    def _let_go(self) -> "list[Future[Outcome]]":
        """What is looked after no more."""
        with self._lock:
            left = [outcome for _, outcome in self._pending] + list(self._jobs)
            self._pending.clear()
            self._jobs.clear()
        return left

    def _work(self) -> None:
        """In a thread of its own; whoever waits for it is told where it breaks."""
        try:
            self._look_after()
        except Exception as error:
            self._broken = WorkerLost(f"nobody looks after the jobs any more: {type(error).__name__}: {error}")
            for outcome in self._let_go():
                outcome.set_exception(self._broken)

    def _look_after(self) -> None:
        self._wait_for_others()
        while not self._ended.wait(BETWEEN_LOOKS):
            self._send()
            gone = self._gone()
            for outcome, job in list(self._jobs.items()):
                if _is_done(job):
                    del self._jobs[outcome]
                    _pass_on(job, outcome)
                elif job.job_id in gone:
                    del self._jobs[outcome]
                    lost = f"job {job.job_id}: not in Slurm's queue any more; its log is {job.paths.stderr}"
                    outcome.set_exception(WorkerLost(lost))

    def _gone(self) -> set[str]:
        """Jobs that two questions in turn did not find in the queue: accounting may be off, or take one that was
        preempted for good for one that waits."""
        now = time.monotonic()
        if now - self._asked < BETWEEN_STATES:
            return set()
        self._asked, there = now, queued(self.name)
        missing = set() if there is None else {job.job_id for job in self._jobs.values()} - there
        before, self._missing = self._missing, missing
        return missing & before

    def _wait_for_others(self) -> None:
        told = False
        while not self._ended.is_set() and (there := queued(self.name)):
            if not told:
                self.tell(f"{len(there)} jobs of this run are in Slurm's queue already; waiting for them")
            told = True
            self._ended.wait(10 * BETWEEN_LOOKS)

    def _send(self) -> None:
        now, (first, last) = time.monotonic(), self._came
        if now < self._not_before or now < min(first + LONGEST, last + PAUSE):
            return
        with self._lock:
            pending, self._pending = self._pending[: self._most], self._pending[self._most :]
        sent = [(task, outcome) for task, outcome in pending if not _found_done(task, outcome)]
        if not sent:
            return
        try:
            with self.executor.batch():
                jobs = [self.executor.submit(Command(task.words())) for task, _ in sent]
        except Exception as error:
            self._refused(sent, _last_line(error))
            return
        self._jobs.update(zip((outcome for _, outcome in sent), jobs, strict=True))

    def _refused(self, sent: "list[tuple[Task, Future[Outcome]]]", why: str) -> None:
        """More jobs than Slurm takes are submitted by halves, later; what it takes none of is set aside."""
        if not re.search("limit|array", why, re.IGNORECASE):
            for _, outcome in sent:
                outcome.set_result(Outcome("refused", f"sbatch: {why}; see --slurm"))
            return
        self._most = max(1, len(sent) // 2)
        self._not_before = time.monotonic() + (BETWEEN_LOOKS if len(sent) > 1 else BETWEEN_TRIES)
        self.tell(f"sbatch: {why}; trying again with {self._most} at a time")
        with self._lock:
            self._pending = sent + self._pending


def queued(name: str) -> set[str] | None:
    """Jobs of this name that Slurm has of this user, waiting or running; None where it cannot be asked."""
    command = ["squeue", "--noheader", "--array", "--name", name, "--user", getpass.getuser(), "--format", "%i"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return None if answer.returncode else set(answer.stdout.split())


def _found_done(task: Task, outcome: "Future[Outcome]") -> bool:
    """Whether the jobs of an earlier process have done it; the outcome is then told."""
    if found := is_done(task):
        outcome.set_result(Outcome("done"))
    return found


def _is_done(job: Any) -> bool:
    """Not, as long as nobody can tell: Slurm's accounting may be away for a while."""
    try:
        return job.done()
    except (OSError, subprocess.SubprocessError):
        return False


def _pass_on(job: Any, outcome: "Future[Outcome]") -> None:
    try:
        error = job.exception()
        if error is None:
            outcome.set_result(Outcome(**json.loads(job.result())))
            return
        what = f"{job.state}, {_last_line(error)}"
    except Exception as unreadable:
        what = _last_line(unreadable)
    outcome.set_exception(WorkerLost(f"job {job.job_id}: {what}; its log is {job.paths.stderr}"))


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
