"""All points of an experiment by an engine, and what they left."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nishimori.chains.stop import StopRequest
from nishimori.comparison.summaries import read_summary
from nishimori.description.experiment import Experiment, Point
from nishimori.executors.failures import Failure, failure_of
from nishimori.executors.grid import Engine, Grid, View


@dataclass(frozen=True, eq=False)
class Ended:
    """The `summaries` of the points that are done, in the order of the grid, and why others were set `aside`."""

    summaries: list[dict[str, Any]]
    aside: list[tuple[Point, Failure]]


def run_points(engine: Engine, experiment: Experiment, directory: Path, view: View, stop: StopRequest) -> Ended:
    """Run every point that has no summary yet; the engine is the caller's to close. Raises as `Grid.run` does, with
    everything committed that was done."""
    Grid(engine, experiment, directory, view, stop).run()
    homes = {point.identity: directory / "points" / point.identity for point in experiment.points}
    done = [home / "summary.json" for home in homes.values() if (home / "summary.json").exists()]
    failed = [(point, failure_of(homes[point.identity])) for point in experiment.points]
    return Ended([read_summary(path) for path in done], [(point, why) for point, why in failed if why])
