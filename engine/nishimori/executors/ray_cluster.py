"""Tasks on a Ray cluster, one that is running or one of this machine alone. Importing this never imports ray."""

import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from nishimori.description.errors import BadInput
from nishimori.executors.local import THREADS, WorkerLost
from nishimori.executors.tasks import Outcome, Task

PATIENCE = 90.0
"""Seconds that a point is waited for which a node that is gone still holds; longer than `lock.SILENCE`."""
FEWEST, BETWEEN_COUNTS = 4, 5.0
"""Tasks submitted at least, as nodes may be still to come; seconds between two counts of what the nodes hold."""
SECONDS_TO_CONNECT = 10.0
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""Without it Ray takes 127.0.0.1 for this machine's address in its network, and listens there."""
STARTED_BY = "start one with: ray start --head, and on other nodes: ray start --address HOST:6379"


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
    def connect(cls, address: str | None, cores: int, device: Literal["auto", "cpu", "cuda"]) -> "RayCluster":
        """Join the cluster at `address`, "auto" for the one that this machine is of, or start Ray on this machine,
        listening to it alone. A task takes so many `cores`, and a GPU where `device` is one, or "auto" and there are
        some.

        Raises BadInput where ray is not installed and where no cluster is found.
        """
        ray = _imported(alone=address is None)
        with _handlers_kept():
            _start(ray) if address is None else _join(ray, address)
        has_gpus = ray.cluster_resources().get("GPU", 0) >= 1
        return cls(ray, cores, int(device == "cuda" or (device == "auto" and has_gpus)))

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
            raise WorkerLost(_first_line(error)) from None

    def stop(self) -> None:
        """What is running is interrupted as by Ctrl-C: it commits and answers; what has not begun is cancelled."""
        for reference in list(self._open):
            self.ray.cancel(reference, force=False)

    def close(self) -> None:
        """Leave the cluster, with what is left of tasks; end it where it was started here."""
        with _handlers_kept():
            self.ray.shutdown()


def attempt_at(words: list[str]) -> str:
    """On a node: the outcome of an attempt at the task, as JSON."""
    from nishimori.chains.progress import silent
    from nishimori.chains.stop import StopRequest
    from nishimori.executors.worker import attempt

    stop = StopRequest()
    with stop.listening():
        return json.dumps(asdict(attempt(Task.of_words(words), silent, print, stop, PATIENCE)))


def _imported(alone: bool) -> Any:
    for name, value in {**QUIET, **(LOOPBACK if alone else {})}.items():
        os.environ.setdefault(name, value)
    try:
        import ray
        import ray.exceptions
    except ImportError:
        raise BadInput("--executor ray needs Ray; install it: pip install 'nishimori[ray]'") from None
    return ray


def _start(ray: Any) -> None:
    ray.init(include_dashboard=False, _node_ip_address="127.0.0.1", log_to_driver=False, configure_logging=False)


def _join(ray: Any, address: str) -> None:
    if address != "auto":
        _require_reachable(address)
    try:
        ray.init(address=address, log_to_driver=False, configure_logging=False)
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise BadInput(f"--ray-address {address}: {_first_line(error)}; {STARTED_BY}") from None


def _require_reachable(address: str) -> None:
    """Ray itself tries for minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise BadInput(f"--ray-address {address}: not HOST:PORT; give auto, or the address that ray start printed")
    try:
        socket.create_connection((host, int(port)), SECONDS_TO_CONNECT).close()
    except (OSError, OverflowError) as error:
        raise BadInput(f"--ray-address {address}: no Ray answers there ({error}); {STARTED_BY}") from None


@contextmanager
def _handlers_kept() -> Iterator[None]:
    """Ray takes SIGTERM for itself."""
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        yield
    finally:
        with suppress(ValueError):  # not the main thread: then Ray had no handlers either
            for number, handler in before.items():
                signal.signal(number, handler)


def _lines(error: Exception) -> list[str]:
    return [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]


def _first_line(error: Exception) -> str:
    return _lines(error)[0].rstrip(".")


def _last_line(error: Exception) -> str:
    return _lines(error)[-1].rstrip(".")
