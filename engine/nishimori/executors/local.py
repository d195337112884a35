"""Points one after the other, in this process. A finished point is never run again."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from nishimori.chains.files import exclusive
from nishimori.chains.progress import Progress
from nishimori.chains.stop import StopRequest, stopping
from nishimori.chains.writers import PointWriter
from nishimori.comparison.summaries import read_summary
from nishimori.description.experiment import Experiment, Point
from nishimori.systems.base import System


def run_points(
    system: System,
    experiment: Experiment,
    directory: Path,
    progress: Callable[[int, Point], Progress],
    tell: Callable[[str], None],
    stop: StopRequest,
) -> list[dict[str, Any]]:
    """Run every point that has no summary yet; returns the summaries of all, in the order of the grid.

    `tell` is given a sentence for whatever was found damaged. Raises Stopped where `stop` asks for it, with everything
    committed that was done.
    """
    summaries = []
    for number, point in enumerate(experiment.points):
        home = directory / "points" / point.identity
        finished = home / "summary.json"
        if not finished.exists():
            stop.obey()
            told = stopping(progress(number, point), stop)
            _run_point(system, point, PointWriter(home, len(experiment.points), told, tell, stop))
        summaries.append(read_summary(finished))
    return summaries


def _run_point(system: System, point: Point, writer: PointWriter) -> None:
    """Under the point's lock, unless another process finished it before the lock was had."""
    with exclusive(writer.directory) as lock:
        if not (writer.directory / "summary.json").exists():
            system.run_point(point.config, replace(writer, progress=lock.beating(writer.progress)))
