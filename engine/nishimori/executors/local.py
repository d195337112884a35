"""Points one after the other, in this process. A finished point is never run again."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nishimori.chains.files import exclusive
from nishimori.chains.progress import Progress
from nishimori.chains.writers import PointWriter
from nishimori.description.experiment import BadInput, Experiment, Point
from nishimori.systems.base import System


def run_points(
    system: System,
    experiment: Experiment,
    directory: Path,
    progress: Callable[[int, Point], Progress],
) -> list[dict[str, Any]]:
    """Run every point without a summary; returns the summaries of all, in the order of the grid."""
    summaries = []
    for number, point in enumerate(experiment.points):
        home = directory / "points" / point.identity
        summary = finished_summary(home)
        if summary is None:
            with exclusive(home):
                writer = PointWriter(home, len(experiment.points), progress(number, point))
                summary = system.run_point(point.config, writer)
        summaries.append(summary)
    return summaries


def finished_summary(home: Path) -> dict[str, Any] | None:
    """The summary of a finished point, None where there is none. Raises BadInput where it cannot be read."""
    path = home / "summary.json"
    if not path.exists():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"{path}: not a summary ({error}); remove the file to run the point again") from None
