"""A grid of twelve small points, run as its user would, and what becomes of those who work on it."""

import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from experiments import changed, write
from processes import ENVIRONMENT, nishimori

from nishimori.chains.lock import holder_of

SETTINGS: dict[str, Any] = {
    "network__input_dim": 8,
    "data__instances": 2,
    "run__warmup": 10,
    "run__draws": 200,
    "run__segment_seconds": 0.05,
    "run__device": "cpu",
}
SWEEP: dict[str, Any] = {"sweep": {"data.sample_ratio": [0.5, 1.0, 1.5, 2.0], "network.depth": [1, 2, 3]}}
POINTS = 12
FEW: dict[str, Any] = {"data.sample_ratio": [0.5, 1.0, 1.5, 2.0]}
"""A sweep of four of these points."""


def written(home: Path, **settings: Any) -> Path:
    return write(home / "e.toml", changed(**{**SETTINGS, **SWEEP, **settings}))


def run(
    home: Path, *options: str, environment: dict[str, str] = ENVIRONMENT, **settings: Any
) -> subprocess.CompletedProcess[str]:
    return nishimori("run", str(written(home, **settings)), "--out", str(home / "out"), *options, env=environment)


def resume(home: Path, *options: str, environment: dict[str, str] = ENVIRONMENT) -> subprocess.CompletedProcess[str]:
    return nishimori("resume", str(home / "out"), *options, env=environment)


def digests(home: Path) -> dict[str, str]:
    paths = home.glob("out/points/*/summary.json")
    return {path.parent.name: json.loads(path.read_text(encoding="utf-8"))["digest"] for path in paths}


def same_as_far_as(home: Path, whole: dict[str, str]) -> bool:
    """Whether FEW of the points were done, and came out as in the whole grid."""
    found = digests(home)
    return len(found) == len(FEW["data.sample_ratio"]) and found.items() <= whole.items()


@contextmanager
def killer(home: Path, whom: str = "", most: int = 100) -> Iterator[list[int]]:
    """Kill whoever works on point `whom`; or at most so many workers, each at a point that has got on since the last
    one was killed there. Yields those that were killed."""
    killed: list[int] = []
    got_on: dict[Path, int] = {}
    ended = threading.Event()

    def kill() -> None:
        while not ended.wait(0.02) and len(killed) < most:
            for lock in home.glob(f"out/points/{whom or '*'}/lock"):
                holder, segments = holder_of(lock.parent), len(list(lock.parent.glob("segments/*.h5")))
                if holder and holder.pid not in killed and (whom or segments > got_on.get(lock, 0)):
                    got_on[lock] = segments
                    killed.append(holder.pid)
                    os.kill(holder.pid, signal.SIGKILL)
                    break

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield killed
    finally:
        ended.set()
        thread.join()
