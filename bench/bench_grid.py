"""A grid of tiny points by an engine: what each task costs beside its own work, what the driver's memory does, and how
long `nishimori status` then takes.

The driver is this process. Figures are of all but the first tenth of the points that end, in which processes start and
code is loaded. Overhead is the time a point, times tasks at a time, less what points say that they took; growth that of
the driver's resident memory.
"""

import os
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from common import Row, append, parser_of, print_rows, row_of

from nishimori.chains.stop import StopRequest
from nishimori.cli.grid_view import tell
from nishimori.description.experiment import Experiment, Point, expand
from nishimori.executors.directory import claim
from nishimori.executors.grid import Engine
from nishimori.executors.points import run_points
from nishimori.executors.tasks import Outcome, Task

TINY: Mapping[str, Any] = {
    "network": {"input_dim": 2, "depth": 1, "activation": "tanh"},
    "channel": {"noise_variance": 0.1},
    "data": {"samples": 2, "instances": 2, "test_samples": 2},
    "sampler": {"kind": "hmc", "chains": 1, "step_size": 0.1, "num_steps": 1},
    "run": {"warmup": 0, "draws": 4, "device": "cpu"},
}


@dataclass
class Watch:
    """Notes which points end, when, and what memory the driver has then."""

    order: list[str] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)

    def started(self, point: Point, task: Task) -> None:
        pass

    def ended(self, point: Point, task: Task, outcome: Outcome) -> None:
        if outcome.state != "done":
            tell(outcome.message)

    def finished(self, point: Point) -> None:
        self.order.append(point.identity)
        self.ends.append(time.perf_counter())
        self.memory.append(_resident())


def _resident() -> float:
    """Bytes."""
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return 4096.0 * pages


def engine_named(options: Namespace) -> tuple[Engine, int]:
    """And how many tasks it does at a time."""
    if options.executor == "ray":
        from nishimori.executors.ray_cluster import RayCluster

        return RayCluster.connect(None, 1, "cpu"), len(os.sched_getaffinity(0))
    from nishimori.executors.local import Pool, environments_of

    pool = Pool(environments_of(options.workers, 0), lambda *told: None, tell)
    return pool, options.workers


def measured(options: Namespace, out: Path) -> list[Row]:
    experiment = expand({**TINY, "sweep": {"data.seed": list(range(options.points))}})
    claim(out, experiment, dict)
    watch = Watch()
    engine, at_a_time = engine_named(options)
    with closing(engine):
        ended = run_points(engine, experiment, out, watch, StopRequest())
    if len(ended.summaries) < options.points:
        raise SystemExit(f"{len(ended.aside)} points were set aside: {ended.aside[0][1].message}")
    first = options.points // 10
    took = {summary["id"]: summary["seconds"] for summary in ended.summaries}
    own = mean(took[name] for name in watch.order[first + 1 :])
    spent = at_a_time * (watch.ends[-1] - watch.ends[first]) / (options.points - first - 1)
    numbers = {
        "time a point": (1e3 * own, "ms"),
        "overhead a task": (1e3 * (spent - own), "ms"),
        "growth of the driver": ((watch.memory[-1] - watch.memory[first]) / 1e6, "MB"),
        "time of status": (_seconds_of_status(out, experiment), "s"),
    }
    case, provider = f"points={options.points} workers={at_a_time}", f"nishimori, {options.executor}"
    cpu = torch.device("cpu")
    return [row_of("grid", provider, case, name, unit, value, cpu) for name, (value, unit) in numbers.items()]


def _seconds_of_status(out: Path, experiment: Experiment) -> float:
    started = time.perf_counter()
    order = [sys.executable, "-m", "nishimori.cli", "status", str(out)]
    told = subprocess.run(order, stdout=subprocess.PIPE, text=True, check=True).stdout
    assert f"{len(experiment.points)} done" in told
    return time.perf_counter() - started


def main() -> None:
    parser = parser_of(__doc__, devices=("cpu",))
    parser.add_argument("--executor", choices=("local", "ray"), default="local")
    parser.add_argument("--points", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2, help="processes of the local engine")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        rows = measured(options, Path(home) / "out")
    print_rows(rows)
    if not options.dry_run:
        append(rows, options.results)


if __name__ == "__main__":
    main()
