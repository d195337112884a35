"""Tasks on a Ray cluster, one that is running or one of this machine alone. Importing this never imports ray."""

import json
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from nishimori.description.errors import BadInput
from nishimori.executors.local import THREADS, WorkerLost
from nishimori.executors.ray_connection import connected, first_sentence, handlers_kept
from nishimori.executors.tasks import Outcome, Task

PATIENCE = 90.0
"""Seconds that a point is waited for which a node that is gone still holds; longer than `lock.SILENCE`."""
FEWEST, BETWEEN_COUNTS = 4, 5.0
"""Tasks submitted at least, as nodes may be still to come; seconds between two counts of what the nodes hold."""


def unheard(sentence: str) -> None:
    """Tells nobody."""


@dataclass
class RayCluster:
    """The engine of the cluster that this process is connected to by `ray`. Nothing but JSON and paths travels: a
    task's words there, its outcome back."""

    ray: Any
    cores: int
    gpus: int
    _open: set[Any] = field(default_factory=set, init=False)
    _counted: tuple[float, int] = field(default=(0.0, FEWEST), init=False)

    @classmethod
    def connect(
        cls,
        address: str | None,
        cores: int,
        device: Literal["auto", "cpu", "cuda"],
        tell: Callable[[str], None] = unheard,
    ) -> "RayCluster":
        """Join the cluster at `address`, "auto" for the one that this machine is of, or start Ray on this machine,
        listening to it alone. A task takes so many `cores`, and a GPU where `device` is one, or "auto" and there are
        some. `tell` is told where tasks wait for a node that can hold one.

        Raises BadInput where ray is not installed, where no cluster is found, and where this machine alone never holds
        a task.
        """
        ray = connected(address)
        has_gpus = ray.cluster_resources().get("GPU", 0) >= 1
        engine = cls(ray, cores, int(device == "cuda" or (device == "auto" and has_gpus)))
        lacking = engine._lacking()
        if lacking and address is None:
            engine.close()
            raise BadInput(f"{lacking} on this machine; ask for less, or give --ray-address of a cluster")
        if lacking:
            tell(f"{lacking} on any node of the cluster yet; tasks wait for one")
        return engine

    def _lacking(self) -> str:
        """What a task takes, where no node has it all; a cluster may still get one."""
        taken = {"CPU": self.cores, "GPU": self.gpus}
        nodes = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
        if any(all(there.get(name, 0) >= count for name, count in taken.items()) for there in nodes):
            return ""
        return f"a task takes --ray-cores {self.cores}{' and a GPU' if self.gpus else ''}, which are not"

    def __post_init__(self) -> None:
        threads = dict.fromkeys(THREADS, str(self.cores))
        self._remote = self.ray.remote(
            num_cpus=self.cores, num_gpus=self.gpus, max_retries=0, runtime_env={"env_vars": threads}
        )(attempt_at)

    @property
    def slots(self) -> int:
        """Twice what the nodes hold, so that none waits for the next task."""
        counted, slots = self._counted
        if time.monotonic() - counted > BETWEEN_COUNTS:
            there = self.ray.cluster_resources()
            held = there.get("CPU", 0) // self.cores
            held = min(held, there.get("GPU", 0) // self.gpus) if self.gpus else held
            slots = max(FEWEST, 2 * int(held))
            self._counted = time.monotonic(), slots
        return slots

    def submit(self, task: Task) -> "Future[Outcome]":
        reference, outcome = self._remote.remote(task.words()), Future[Outcome]()
        self._open.add(reference)

        def ended(answer: "Future[str]") -> None:
            self._open.discard(reference)
            try:
                outcome.set_result(self._outcome(answer))
            except Exception as lost:
                outcome.set_exception(lost)

        reference.future().add_done_callback(ended)
        return outcome

    def _outcome(self, answer: "Future[str]") -> Outcome:
        try:
            return Outcome(**json.loads(answer.result()))
        except self.ray.exceptions.TaskCancelledError:
            return Outcome("stopped", "cancelled before it began")
        except self.ray.exceptions.RayTaskError as error:  # attempt_at itself raises nothing
            return Outcome(
                "failed", f"its node cannot run it: {_last_line(error)}; install nishimori there", str(error)
            )
        except Exception as error:
            raise WorkerLost(first_sentence(_lines(error)[0])) from None

    def stop(self) -> None:
        """What is running is interrupted as by Ctrl-C: it commits and answers; what has not begun is cancelled."""
        for reference in list(self._open):
            self.ray.cancel(reference, force=False)

    def close(self) -> None:
        """Leave the cluster, with what is left of tasks; end it where it was started here."""
        with handlers_kept():
            self.ray.shutdown()


def attempt_at(words: list[str]) -> str:
    """On a node: the outcome of an attempt at the task, as JSON."""
    from nishimori.chains.progress import silent
    from nishimori.chains.stop import StopRequest
    from nishimori.executors.worker import attempt

    stop = StopRequest()
    with stop.listening():
        return json.dumps(asdict(attempt(Task.of_words(words), silent, print, stop, PATIENCE)))


def _lines(error: Exception) -> list[str]:
    return [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]


def _last_line(error: Exception) -> str:
    return _lines(error)[-1].rstrip(".")
