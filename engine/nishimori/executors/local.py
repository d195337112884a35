"""Tasks on this machine: in this process, or in processes of their own, one a GPU or a share of the cores."""

import itertools
import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from queue import SimpleQueue
from typing import Any

from nishimori.chains.progress import Progress
from nishimori.chains.stop import StopRequest
from nishimori.executors.tasks import Outcome, Task
from nishimori.executors.worker import attempt

Report = Callable[[Task, str, int, int, float], None]
"""As `Progress`, of a task."""
PATIENCE = 5.0
"""Seconds that a point is waited for which the processes of an earlier driver, that was killed, still hold."""
BETWEEN_REPORTS = 0.5
"""Seconds; what happens in less is not told."""
SPAWN = multiprocessing.get_context("spawn")


class Here:
    """One task after the other, in this process."""

    slots = 1

    def __init__(self, report: Report, tell: Callable[[str], None], stop: StopRequest) -> None:
        self._report, self._tell, self._stop = report, tell, stop

    def submit(self, task: Task) -> "Future[Outcome]":
        def progress(phase: str, done: int, total: int, acceptance: float) -> None:
            self._report(task, phase, done, total, acceptance)

        ended: Future[Outcome] = Future()
        ended.set_result(attempt(task, progress, self._tell, self._stop))
        return ended

    def stop(self) -> None:
        """The attempt looks for itself."""

    def close(self) -> None:
        """Nothing is left."""


class WorkerLost(RuntimeError):
    """A process ended without a word."""


@dataclass
class _Worker:
    process: BaseProcess
    connection: Connection


@dataclass
class Pool:
    """A process for each of `environments`, begun when it is needed, and begun again where it died."""

    environments: Sequence[dict[str, str]]
    report: Report
    tell: Callable[[str], None]
    _workers: dict[int, _Worker] = field(default_factory=dict, init=False)
    _free: "SimpleQueue[int]" = field(default_factory=SimpleQueue, init=False)

    def __post_init__(self) -> None:
        self._threads = ThreadPoolExecutor(self.slots, "worker")
        for slot in range(self.slots):
            self._free.put(slot)

    @property
    def slots(self) -> int:
        return len(self.environments)

    def submit(self, task: Task) -> "Future[Outcome]":
        return self._threads.submit(self._done, task)

    def stop(self) -> None:
        for worker in self._workers.values():
            worker.process.terminate()

    def close(self) -> None:
        """End all processes at once."""
        for worker in self._workers.values():
            worker.connection.close()
            worker.process.kill()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _done(self, task: Task) -> Outcome:
        slot = self._free.get()
        try:
            worker = self._worker(slot)
            try:
                worker.connection.send_bytes(json.dumps(task.words()).encode())
                return self._heard(worker, task)
            except (EOFError, OSError):
                worker.process.join()
                raise WorkerLost(f"exit code {worker.process.exitcode}") from None
        finally:
            self._free.put(slot)

    def _worker(self, slot: int) -> _Worker:
        worker = self._workers.get(slot)
        if worker is None or not worker.process.is_alive():
            ours, theirs = SPAWN.Pipe()
            process = SPAWN.Process(target=serve, args=(theirs, self.environments[slot]), daemon=True)
            process.start()
            theirs.close()
            worker = self._workers[slot] = _Worker(process, ours)
        return worker

    def _heard(self, worker: _Worker, task: Task) -> Outcome:
        while True:
            kind, *content = json.loads(worker.connection.recv_bytes())
            if kind == "ended":
                outcome = Outcome(**content[0])
                if outcome.state == "stopped":
                    worker.process.join()
                return outcome
            if kind == "told":
                self.tell(content[0])
            else:
                self.report(task, *content)


def serve(connection: Connection, environment: dict[str, str]) -> None:
    """Do the tasks that come, in a process of its own, until one is stopped or nobody asks any more.

    What a terminal's Ctrl-C means is decided by the process that asks.
    """
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    stop = StopRequest()
    with suppress(EOFError, OSError), stop.listening(signals=("SIGTERM", "SIGUSR2")):
        while True:
            task = Task.of_words(json.loads(connection.recv_bytes()))

            def send(*content: Any) -> None:
                connection.send_bytes(json.dumps(content).encode())

            outcome = attempt(task, _seldom(send), lambda sentence: send("told", sentence), stop, PATIENCE)
            send("ended", asdict(outcome))
            if outcome.state == "stopped":
                return


def _seldom(send: Callable[..., None]) -> Progress:
    """What `send` is told of progress: beginnings and ends of phases, and in between not more often than anyone
    reads."""
    last = -BETWEEN_REPORTS

    def progress(phase: str, done: int, total: int, acceptance: float) -> None:
        nonlocal last
        now = time.monotonic()
        if done in (1, total) or now - last >= BETWEEN_REPORTS:
            last = now
            send("progress", phase, done, total, acceptance)

    return progress


THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def environments_of(workers: int, gpus: int) -> list[dict[str, str]]:
    """Of so many processes: each with a share of this process's cores, unless a number of threads is set already, and
    one of its `gpus`."""
    share = str(max(1, len(os.sched_getaffinity(0)) // workers))
    threads = {name: share for name in THREADS if name not in os.environ}
    seen = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = seen.split(",")[:gpus] if seen else [str(number) for number in range(gpus)]
    turns = itertools.cycle([{"CUDA_VISIBLE_DEVICES": name} for name in names] or [{}])
    return [threads | gpu for gpu in itertools.islice(turns, workers)]
