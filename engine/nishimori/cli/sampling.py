"""Run the points of an experiment into a directory, until they are finished or work is to stop."""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nishimori.cli.codes import DONE, INTERRUPTED, VERDICT_FAILED
from nishimori.cli.report import (
    draw_overlay,
    failure_sentence,
    failures,
    main_observable,
    report,
    verdict_document,
)
from nishimori.cli.versions import versions
from nishimori.comparison.summaries import SCHEMA
from nishimori.comparison.tables import describe
from nishimori.description.experiment import Experiment, Point
from nishimori.executors.directory import claim
from nishimori.systems import SYSTEMS

if TYPE_CHECKING:
    from nishimori.chains.stop import StopRequest


def sample_into(out: Path, experiment: Experiment, wall_time: float | None, as_json: bool) -> int:
    """Go on with what `out` holds of the experiment; returns the exit code."""
    from nishimori.chains.stop import Stopped, StopRequest

    stop = StopRequest()
    try:
        with stop.listening(wall_time):
            claim(out, experiment, lambda: versions(experiment.points[0].config.run.device))
            summaries = _run(out, experiment, stop)
        summary = _publish(out, summaries)
    except Stopped as reason:
        return _interrupted(f"{reason}, and what was done is committed", out)
    except KeyboardInterrupt:
        return _interrupted("interrupted at once, and what was committed before is kept", out)
    if as_json:
        print(json.dumps(summary, allow_nan=False))
    else:
        print(f"{report(summaries, main_observable(summaries))}\nfigure: {out / 'overlay.png'}")
    if summary["verdict"]["passed"]:
        return DONE
    print(f"nishimori: {failure_sentence(summaries)}; every criterion is in {out / 'verdict.json'}", file=sys.stderr)
    return VERDICT_FAILED


def _interrupted(what: str, out: Path) -> int:
    print(f"\nnishimori: {what}; nishimori resume {out} goes on", file=sys.stderr)
    return INTERRUPTED


def _run(out: Path, experiment: Experiment, stop: "StopRequest") -> list[dict[str, Any]]:
    from nishimori.chains.progress import reporter
    from nishimori.executors.local import run_points

    count, system = len(experiment.points), SYSTEMS[experiment.points[0].config.system.kind]

    def progress(number: int, point: Point) -> Callable[[str, int, int, float], None]:
        return reporter(f"[{number + 1}/{count}] {describe(system.parameters(point.config))}")

    return run_points(system, experiment, out, progress, _tell, stop)


def _tell(sentence: str) -> None:
    print(f"nishimori: {sentence}", file=sys.stderr, flush=True)


def _publish(out: Path, summaries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    from nishimori.chains.files import publish_json, without_nan

    failed = failures(summaries)
    summary = {"schema": SCHEMA, "verdict": {"passed": not failed, "failures": failed}, "points": list(summaries)}
    publish_json(out / "summary.json", summary)
    publish_json(out / "verdict.json", verdict_document(summaries))
    draw_overlay([out], main_observable(summaries), out / "overlay.png")
    return without_nan(summary)
