"""`nishimori status`: how a run is doing, while another process works on it."""

import json as json_module
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
import tyro

from nishimori.chains.lock import SILENCE
from nishimori.cli.codes import DONE
from nishimori.comparison.tables import describe, table, varying_names
from nishimori.description.config import has_chains
from nishimori.description.errors import BadInput
from nishimori.description.units import duration, sized
from nishimori.executors.directory import experiment_of
from nishimori.executors.standing import Standing, standings
from nishimori.systems import SYSTEMS

HEADER = (
    *("point", "state", "transitions", "draws", "segments", "acceptance", "divergent", "ESS", "R-hat", "to go"),
    *("disk", "verdict"),
)
SIMULATED = ("point", "state", "disk", "verdict")
"""What there is to tell of points without chains."""
STATES = ("done", "damaged", "running", "failed", "stopped", "to do")
WORST = (("effective_sample_size", min), ("r_hat", max))
SECONDS_BETWEEN_LOOKS = 2.0
CLEARED = "\x1b[H\x1b[2J"
"""To the top left of a terminal, and nothing below."""


def status(
    directory: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="DIR")],
    watch: bool = False,
    json: bool = False,
) -> int:
    """Say how a run is doing, point by point, while it goes on or after it.

    Example: nishimori status runs/a --watch

    Files are read, nothing is locked or changed. Numbers are as of the last commit (every run.segment_seconds), those
    of the information too; of a simulated system they are the instances that are kept. Of a point that is not done,
    effective sample size and R-hat are the worst of its main observables, computed again whenever draws have grown by a
    tenth, and chains that are not finite any more are told in place of the verdict; of one that is done, the worst of
    all observables in its summary. Time to go is that of sampling at the mean pace so far. A process that has not been
    heard of for a minute is shown as silent, or, where it is on another host or dead, as stopped. Exit codes: 0 for a
    run, whatever its state; 2 where there is none.

    Args:
        directory: what --out named.
        watch: look again every two seconds, until all points are done or Ctrl-C is pressed.
        json: print one JSON object on stdout and nothing else there.
    """
    if watch and json:
        raise BadInput("--watch and --json exclude each other; leave one of them out")
    experiment = experiment_of(directory)
    if json:
        print(json_module.dumps(_document(standings(directory, experiment)), allow_nan=False))
        return DONE
    try:
        while True:
            found = standings(directory, experiment)
            print(f"{CLEARED if watch and sys.stdout.isatty() else ''}{_report(found)}", flush=True)
            if not watch or all(one.state == "done" for one in found):
                return DONE
            time.sleep(SECONDS_BETWEEN_LOOKS)
    except KeyboardInterrupt:
        return DONE


def _report(found: Sequence[Standing]) -> str:
    counts = {state: sum(one.state == state for one in found) for state in STATES}
    told = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    size = sized(sum(one.disk_bytes for one in found))
    reasons = [f"\n{describe(_parameters(one))} failed: {one.failure.message}" for one in found if one.failure]
    return f"{_table(found)}\npoints: {told}; {size} on disk{''.join(reasons)}"


def _table(found: Sequence[Standing]) -> str:
    rows = [dict(zip(HEADER, [name, *_row(one)], strict=True)) for name, one in zip(_names(found), found, strict=True)]
    header = HEADER if has_chains(found[0].point.config) else SIMULATED
    return table(header, [[row[column] for column in header] for row in rows])


def _names(found: Sequence[Standing]) -> list[str]:
    """Without chains by the parameters that tell points apart, of which there may be many others."""
    told = [_parameters(one) for one in found]
    apart = varying_names([{"parameters": parameters} for parameters in told])
    if has_chains(found[0].point.config) or not apart:
        return [describe(parameters) for parameters in told]
    return [describe({name: parameters[name] for name in apart if name in parameters}) for parameters in told]


@dataclass(frozen=True)
class _Quality:
    """Of a summary where there is one, else so far."""

    acceptance: float | None = None
    divergent_fraction: float | None = None
    not_finite: int | None = None
    effective_sample_size: float | None = None
    r_hat: float | None = None


def _quality(one: Standing) -> _Quality:
    if one.summary is not None:
        told = one.summary["diagnostics"]
        observables = list(told.get("observables", {}).values())
        worst = (_worst([each.get(name) for each in observables], of) for name, of in WORST)
        lost = len(told["not_finite"]) if "not_finite" in told else None
        return _Quality(told.get("acceptance"), told.get("divergent_fraction"), lost, *worst)
    if one.headway is None:
        return _Quality()
    mixing = one.headway.mixing.values()
    worst = (_worst([getattr(each, name) for each in mixing], of) for name, of in WORST)
    return _Quality(one.headway.acceptance, one.headway.divergent_fraction, one.headway.not_finite, *worst)


def _worst(values: Sequence[float | None], of: Any) -> float | None:
    """None where one of them is not known."""
    known = [value for value in values if value is not None]
    return of(known) if known and len(known) == len(values) else None


def _row(one: Standing) -> list[str]:
    quality, headway = _quality(one), one.headway
    return [
        _state(one),
        "-" if headway is None else f"{headway.transitions}/{headway.scheduled}",
        "-" if headway is None else f"{headway.draws}/{headway.draws_scheduled}",
        str(one.segments),
        _shown(quality.acceptance, "{:.2f}"),
        _shown(quality.divergent_fraction, "{:.2%}"),
        _shown(quality.effective_sample_size, "{:.0f}"),
        _shown(quality.r_hat, "{:.3f}"),
        "-" if one.seconds_to_go is None else duration(one.seconds_to_go),
        sized(one.disk_bytes),
        _verdict(one),
    ]


def _parameters(one: Standing) -> dict[str, Any]:
    config = one.point.config
    return SYSTEMS[config.system.kind].parameters(config)


def _shown(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)


def _verdict(one: Standing) -> str:
    if one.summary is not None:
        return "passed" if one.summary["verdict"]["passed"] else "failed"
    if one.headway is None:
        return "-"
    lost = one.headway.not_finite
    return f"{lost} chain{'' if lost == 1 else 's'} not finite" if lost else "so far"


def _state(one: Standing) -> str:
    most = one.point.config.run.most_batches
    batch = f", batch {one.batches} of at most {most}" if most and one.state in ("running", "stopped") else ""
    if one.state == "damaged":
        return "summary damaged"
    stage = one.measured
    measured = f", information: {stage.phase} {stage.done}/{stage.total}" if stage else ""
    simulated = one.simulated
    if simulated and one.state in ("running", "failed", "stopped"):
        measured = f", {simulated.phase} {simulated.done}/{simulated.total}"
    if one.holder is None:
        return f"{one.state}{batch}{measured}"
    phase = "" if one.phase in ("sampling", None) else f", {one.phase}"
    phase = measured if simulated or measured and one.phase == "information" else phase
    silence = time.time() - one.holder.heartbeat
    silent = f", silent for {duration(silence)}" if silence > SILENCE else ""
    return f"running on {one.holder.host}/{one.holder.pid}{batch}{phase}{silent}"


def _document(found: Sequence[Standing]) -> dict[str, Any]:
    """Seconds and bytes; null for what is not known."""
    return {"done": all(one.state == "done" for one in found), "points": [_documented(one) for one in found]}


def _documented(one: Standing) -> dict[str, Any]:
    headway, holder, quality = one.headway, one.holder, _quality(one)
    return {
        "id": one.point.identity,
        "parameters": _parameters(one),
        "swept": one.point.swept,
        "state": one.state,
        "phase": one.phase,
        "information": one.measured and msgspec.structs.asdict(one.measured),
        "host": holder and holder.host,
        "pid": holder and holder.pid,
        "heartbeat": holder and holder.heartbeat,
        "batches": one.batches,
        "segments": one.segments,
        "instances": one.simulated and one.simulated.done,
        "instances_scheduled": one.simulated and one.simulated.total,
        "transitions": headway and headway.transitions,
        "transitions_scheduled": headway and headway.scheduled,
        "draws": headway and headway.draws,
        "draws_scheduled": headway and headway.draws_scheduled,
        "acceptance": quality.acceptance,
        "divergent_fraction": quality.divergent_fraction,
        "not_finite_chains": quality.not_finite,
        "effective_sample_size": quality.effective_sample_size,
        "r_hat": quality.r_hat,
        "seconds": headway and headway.seconds,
        "seconds_to_go": one.seconds_to_go,
        "disk_bytes": one.disk_bytes,
        "verdict": _verdict(one),
    }
