"""`nishimori audit`: is a run what it promises."""

import json as json_module
import secrets
import sys
from pathlib import Path
from typing import Annotated, Any

import tyro

from nishimori.cli.codes import DIFFERS, DONE
from nishimori.description.config import has_chains
from nishimori.description.errors import BadInput
from nishimori.description.experiment import Experiment, Point
from nishimori.executors.directory import experiment_of
from nishimori.systems import SYSTEMS

REASON = "either a file was changed, or machine, versions or threads differ from those that sampled it: audit it there"


def audit(
    directory: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="DIR")],
    point: str | None = None,
    seed: int | None = None,
    json: bool = False,
) -> int:
    """Compute a random committed segment of every point again, and compare it with its file.

    Example: nishimori audit runs/a

    Every segment is read and its digests checked. One of each point is then computed again, from the nearest state
    before it that was kept, or from the start, and must come out as it was to the bit. Nothing is written, and the run
    may be going on meanwhile. Results are the same on the same kind of machine alone: audit a run where it was sampled.
    Systems without chains have no segments. Exit codes: 0 all are the same; 2 the input is wrong: the directory holds
    no run or no segments, or a file is damaged; 3 a segment came out otherwise.

    Args:
        directory: what --out named.
        point: id of one point; by default all.
        seed: of the choice of segments; by default another choice every time.
        json: print one JSON object on stdout and nothing else there.
    """
    points, rows = _chosen(directory, experiment_of(directory), point), []
    if not has_chains(points[0].config):
        kind = points[0].config.system.kind
        raise BadInput(
            f"{directory}: {kind} has no segments to audit; run it again into another directory and compare digests"
        )
    seed = secrets.randbits(32) if seed is None else seed
    for one in points:
        rows.append(_row(directory, one, seed))
        if not json:
            print(_line(rows[-1]), flush=True)
    if all("skipped" in row for row in rows):
        raise BadInput(f"{directory} has no segments to audit yet; nishimori resume {directory} goes on with it")
    if json:
        print(json_module.dumps({"seed": seed, "points": rows}))
    if all(row.get("same", True) for row in rows):
        return DONE
    print(f"nishimori: a segment came out otherwise (again with --seed {seed}); {REASON}", file=sys.stderr)
    return DIFFERS


def _chosen(directory: Path, experiment: Experiment, point: str | None) -> list[Point]:
    chosen = [one for one in experiment.points if point in (None, one.identity)]
    if not chosen:
        names = ", ".join(one.identity for one in experiment.points)
        raise BadInput(f"{directory} has no point {point}; name one with --point: {names}")
    return chosen


def _row(directory: Path, point: Point, seed: int) -> dict[str, Any]:
    """What became of a point."""
    system, home = SYSTEMS[point.config.system.kind], directory / "points" / point.identity
    found = system.audit_point(point.config, home, seed)
    if found is None:
        return {"id": point.identity, "skipped": "no segments yet"}
    place, audited = found
    return {
        "id": point.identity,
        **({} if place == home else {"of": place.relative_to(home).as_posix()}),
        "segment": audited.segment,
        "transitions": [audited.first, audited.last],
        "draws": audited.draws,
        "from_state": None if audited.state < 0 else audited.state,
        "same": audited.same,
        "differing": list(audited.differing),
    }


def _line(row: dict[str, Any]) -> str:
    if "skipped" in row:
        return f"{row['id']}  skipped: {row['skipped']}"
    first, last = row["transitions"]
    part = f"{row['of']} " if "of" in row else ""
    start = "the start" if row["from_state"] is None else f"the state of segment {row['from_state']}"
    what = f"{part}segment {row['segment']}, transitions {first} to {last - 1}, {row['draws']} draws, from {start}"
    if row["same"]:
        return f"{row['id']}  {what}: the same"
    return f"{row['id']}  {what}: {_shortened(row['differing'])}"


def _shortened(differing: list[str], most: int = 4) -> str:
    rest = len(differing) - most
    return f"differs in {', '.join(differing[:most])}{f' and {rest} more' if rest > 0 else ''}"
