"""Run the points of an experiment into a directory, until they are finished or work is to stop."""

import json
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nishimori.cli.codes import DONE, INTERRUPTED, SET_ASIDE, VERDICT_FAILED
from nishimori.cli.engines import HERE, Where, engine_of
from nishimori.cli.grid_view import name_of
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
from nishimori.description.errors import BadInput
from nishimori.description.experiment import Experiment
from nishimori.executors.calibrations import records_of, share
from nishimori.executors.directory import claim

if TYPE_CHECKING:
    from nishimori.executors.points import Ended


@dataclass(frozen=True)
class How:
    """What a command line says of how points are run: `where`, for so many seconds of `wall_time`, with the records of
    `calibration`; `as_json` is what is printed at the end."""

    where: Where = HERE
    wall_time: float | None = None
    calibration: Path | None = None
    as_json: bool = False


def sample_into(out: Path, experiment: Experiment, how: How) -> int:
    """Go on with what `out` holds of the experiment; returns the exit code."""
    from nishimori.chains.stop import Stopped, StopRequest
    from nishimori.executors.points import run_points

    stop = StopRequest()
    try:
        with stop.listening(how.wall_time):
            records = records_of(how.calibration, experiment)
            engine, view = engine_of(how.where, experiment, out, stop)
            with closing(view), closing(engine):
                claim(out, experiment, lambda: versions(_seen_device(how.where, experiment)))
                share(records, out, experiment)
                ended = run_points(engine, experiment, out, view, stop)
        _require_some(ended)
        summary = _publish(out, ended)
    except Stopped as reason:
        return _interrupted(f"{reason}, and what was done is committed", out)
    except KeyboardInterrupt:
        return _interrupted("interrupted at once, and what was committed before is kept", out)
    return _told(out, ended, summary, how.as_json)


def _seen_device(where: Where, experiment: Experiment) -> str:
    """That this process can look at: points may be done on machines that have others."""
    return experiment.points[0].config.run.device if where.is_here else "auto"


def _told(out: Path, ended: "Ended", summary: dict[str, Any], as_json: bool) -> int:
    """Print the end, and give the exit code."""
    summaries = ended.summaries
    if as_json:
        print(json.dumps(summary, allow_nan=False))
    else:
        print(f"{report(summaries, main_observable(summaries))}\nfigure: {out / 'overlay.png'}")
    if ended.aside:
        print(f"nishimori: {aside_sentence(ended)}; nishimori resume {out} tries again", file=sys.stderr)
        return SET_ASIDE
    if summary["verdict"]["passed"]:
        return DONE
    print(f"nishimori: {failure_sentence(summaries)}; every criterion is in {out / 'verdict.json'}", file=sys.stderr)
    return VERDICT_FAILED


def aside_sentence(ended: "Ended") -> str:
    point, failure = ended.aside[0]
    more = f" (and {len(ended.aside) - 1} more)" if len(ended.aside) > 1 else ""
    return f"{len(ended.aside)} of the points set aside: {name_of(point)} ({point.identity}): {failure.message}{more}"


def _require_some(ended: "Ended") -> None:
    """Where no point came to its end there is nothing to show: BadInput where that is for the input, else what went
    wrong."""
    if ended.summaries:
        return
    point, failure = ended.aside[0]
    if failure.details:
        raise PointFailed(f"{name_of(point)} ({point.identity}): {failure.message}\n{failure.details}")
    raise BadInput(failure.message)


class PointFailed(RuntimeError):
    """No point came to its end; the message has the traceback of the first."""


def _interrupted(what: str, out: Path) -> int:
    print(f"\nnishimori: {what}; nishimori resume {out} goes on", file=sys.stderr)
    return INTERRUPTED


def _publish(out: Path, ended: "Ended") -> dict[str, Any]:
    from nishimori.chains.files import publish_json, without_nan

    summaries = ended.summaries
    failed = failures(summaries)
    aside = [{"id": point.identity, "swept": point.swept, "message": failure.message} for point, failure in ended.aside]
    summary = {
        "schema": SCHEMA,
        "verdict": {"passed": not failed, "failures": failed},
        "points": list(summaries),
        **({"set_aside": aside} if aside else {}),
    }
    publish_json(out / "summary.json", summary)
    publish_json(out / "verdict.json", verdict_document(summaries))
    draw_overlay([out], main_observable(summaries), out / "overlay.png")
    return without_nan(summary)
