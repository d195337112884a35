"""Connecting to a Ray cluster that is running, or starting Ray on this machine. Importing this never imports ray."""

import logging
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from nishimori.description.errors import BadInput

SECONDS_TO_CONNECT, SECONDS_TO_JOIN = 10.0, 30.0
"""For a connection to the port, and for all that Ray does to join."""
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""Without it Ray takes 127.0.0.1 for this machine's address in its network, and listens there."""
STARTED_BY = (
    "start one with: ray start --head, and on other nodes: ray start --address HOST:6379; or leave out --ray-address "
    "for this machine"
)
TRIAL = """
import sys, ray
try:
    ray.init(address=sys.argv[1], log_to_driver=False, configure_logging=False)
except Exception as error:
    sys.exit(" ".join(str(error).split()))
"""


def connected(address: str | None) -> Any:
    """The module `ray`, connected to the cluster at `address`, "auto" for the one that this machine is of; or to Ray
    started here, of the cores that this process may use, whatever else runs on this machine.

    Raises BadInput where ray is not installed and, after half a minute at most, where no cluster is found.
    """
    ray = _imported(alone=address is None)
    with handlers_kept():
        _start(ray) if address is None else _join(ray, address)
    return ray


def _imported(alone: bool) -> Any:
    for name, value in {**QUIET, **(LOOPBACK if alone else {})}.items():
        os.environ.setdefault(name, value)
    try:
        import ray
        import ray.exceptions
    except ImportError:
        raise BadInput("--executor ray needs Ray; install it: pip install 'nishimori[ray]'") from None
    logging.getLogger("ray").setLevel(logging.ERROR)
    return ray


def _start(ray: Any) -> None:
    ray.init(
        address="local",
        num_cpus=len(os.sched_getaffinity(0)),
        include_dashboard=False,
        _node_ip_address="127.0.0.1",
        log_to_driver=False,
        configure_logging=False,
    )


def _join(ray: Any, address: str) -> None:
    if address != "auto":
        _require_reachable(address)
    _require_answer(address)
    try:
        ray.init(address=address, log_to_driver=False, configure_logging=False)
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise _refused(address, first_sentence(str(error))) from None


def _require_reachable(address: str) -> None:
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdigit():
        raise BadInput(f"--ray-address {address}: not HOST:PORT; give auto, or the address that ray start printed")
    try:
        socket.create_connection((host, int(port)), SECONDS_TO_CONNECT).close()
    except (OSError, OverflowError) as error:
        raise _refused(address, f"no Ray answers there ({error})") from None


def _require_answer(address: str) -> None:
    """Where none answers Ray tries for minutes, and cannot be interrupted; a process that can be ended tries first."""
    command = [sys.executable, "-c", TRIAL, address]
    try:
        tried = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS_TO_JOIN
        )
    except subprocess.TimeoutExpired:
        raise _refused(address, f"no Ray answers there within {SECONDS_TO_JOIN:.0f} seconds") from None
    if tried.returncode:
        said = tried.stderr.strip().splitlines() or [f"exit code {tried.returncode}"]
        raise _refused(address, first_sentence(said[-1]))


def _refused(address: str, why: str) -> BadInput:
    return BadInput(f"--ray-address {address}: {why}; {STARTED_BY}")


def first_sentence(text: str) -> str:
    """Ray's reasons go on with where to look for more."""
    return re.split(r"\.\s", text.strip() + " ", maxsplit=1)[0].strip()


@contextmanager
def handlers_kept() -> Iterator[None]:
    """Ray takes SIGTERM for itself."""
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        yield
    finally:
        with suppress(ValueError):  # not the main thread: then Ray had no handlers either
            for number, handler in before.items():
                signal.signal(number, handler)
