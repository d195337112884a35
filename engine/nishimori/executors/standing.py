"""How the points of a run are doing, from its files alone: of a run that another process works on, too.

Nothing is locked, written or waited for. Importing this never imports torch.
"""

import math
import os
import re
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from nishimori.chains.headway import Headway, Mixing, Stage, read_headway, read_stage
from nishimori.chains.lock import SILENCE, Holder, holder_of
from nishimori.chains.places import INFORMATION, INSTANCES, batches_in, places_of
from nishimori.chains.temporaries import is_alive
from nishimori.comparison.summaries import read_summary
from nishimori.description.config import Config, has_chains
from nishimori.description.errors import BadInput
from nishimori.description.experiment import Experiment, Point
from nishimori.executors.failures import Failure, failure_of

State = Literal["done", "damaged", "running", "failed", "stopped", "to do"]
Phase = Literal["calibration", "sampling", "information", "analysis"]
SEGMENT = re.compile(r"/segments/\d+\.h5$")


@dataclass(frozen=True, eq=False)
class Standing:
    """Of one point. `holder` and `phase` of one that is running; `headway` of all `batches` of instances that were
    begun, None where nothing is known; `measured` says how far the information of the last batch is kept, None where it
    is not under way; `simulated` how many instances of a simulated system are kept; `disk_bytes` of its files;
    `summary` of one that is done, and "damaged" is one whose summary cannot be read; `failure` of one that was set
    aside. `seconds_to_go` for the transitions of these batches, at the mean pace so far."""

    point: Point
    state: State
    holder: Holder | None
    phase: Phase | None
    batches: int
    segments: int
    disk_bytes: int
    headway: Headway | None
    measured: Stage | None
    simulated: Stage | None
    summary: Mapping[str, Any] | None
    failure: Failure | None
    seconds_to_go: float | None


def standings(out: Path, experiment: Experiment) -> list[Standing]:
    """Of every point of the run in `out`, in the order of the grid."""
    return [_standing(out / "points" / point.identity, point) for point in experiment.points]


def _standing(home: Path, point: Point) -> Standing:
    """`phase` and `headway` are those of chains, where there are some."""
    batches, blocks = batches_in(home), point.config.run.blocks
    # Holders before the summary, which is published before a lock is let go.
    holders = [holder_of(place) for place in dict.fromkeys([home, *places_of(batches[-1], blocks)])]
    holder = next((one for one in holders if one and _lives(one)), None)
    state, summary = _finished(home / "summary.json")
    failure = failure_of(home) if state is None else None
    if state is None and holder:
        state = "running"
    headways = [[read_headway(place) for place in places_of(batch, blocks)] for batch in batches]
    segments, disk_bytes = _held(home)
    sampled = has_chains(point.config)
    headway = _headway([one for batch in headways for one in batch], point.config, state == "done") if sampled else None
    running = state == "running"
    return Standing(
        point,
        state or ("failed" if failure else "stopped" if (home / "config.json").exists() else "to do"),
        holder if running else None,
        _phase(batches[-1], headways[-1], point.config) if running and sampled else None,
        len(batches),
        segments,
        disk_bytes,
        headway,
        read_stage(batches[-1] / INFORMATION),
        None if sampled else _simulated(home, point.config, state == "done"),
        summary,
        failure,
        None if state in ("done", "damaged") else _to_go(headway, running),
    )


def _finished(path: Path) -> tuple[State | None, Mapping[str, Any] | None]:
    if not path.exists():
        return None, None
    try:
        return "done", read_summary(path)
    except BadInput:
        return "damaged", None


def _lives(holder: Holder) -> bool:
    """A process of this host is looked for; one of another host lives as long as its heart beats."""
    if holder.host == socket.gethostname():
        return is_alive(holder.pid)
    return time.time() - holder.heartbeat < SILENCE


def _phase(home: Path, blocks: Sequence[Headway | None], config: Config) -> Phase:
    if not (home / "calibration.json").exists():
        return "calibration"
    if any(block is None or block.transitions < block.scheduled for block in blocks):
        return "sampling"
    measured = config.information.method is None or (home / "information.json").exists()
    return "analysis" if measured else "information"


def _simulated(home: Path, config: Any, done: bool) -> Stage:
    stages = [read_stage(place / INSTANCES) for place in places_of(home, config.run.blocks)]
    total = config.run.instances
    return Stage("instances", total if done else sum(stage.done for stage in stages if stage), total)


def _headway(headways: Sequence[Headway | None], config: Config, done: bool) -> Headway | None:
    """Of all batches and blocks; None where none told anything and the point is not done."""
    if not done and not any(headways):
        return None
    return _joined([one or _none_of(config) for one in headways], done, config.run.blocks)


def _none_of(config: Config) -> Headway:
    run = config.run
    return Headway(transitions=0, scheduled=run.warmup + run.draws * run.thin, draws=0, draws_scheduled=run.draws)


def _joined(parts: Sequence[Headway], done: bool, blocks: int) -> Headway:
    """A transition, or a draw, is one of all blocks."""

    def count(name: str) -> int:
        return sum(getattr(one, name) for one in parts) // blocks

    scheduled, draws = count("scheduled"), count("draws_scheduled")
    return Headway(
        transitions=scheduled if done else count("transitions"),
        scheduled=scheduled,
        draws=draws if done else count("draws"),
        draws_scheduled=draws,
        acceptance=_mean([one.acceptance for one in parts]),
        divergent_fraction=_mean([one.divergent_fraction for one in parts]),
        not_finite=sum(one.not_finite for one in parts),
        mixing=_pooled([one.mixing for one in parts if one.mixing]),
        mixing_draws=sum(one.mixing_draws for one in parts),
        seconds=sum(one.seconds for one in parts),
        written=max(one.written for one in parts),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _pooled(mixings: Sequence[Mapping[str, Mixing]]) -> dict[str, Mixing]:
    """Over batches and blocks of as many chains each: sizes add up, R-hats are averaged as over instances."""
    names = dict.fromkeys(name for mixing in mixings for name in mixing)
    return {name: _pool([mixing[name] for mixing in mixings if name in mixing]) for name in names}


def _pool(parts: Sequence[Mixing]) -> Mixing:
    sizes, squares = [part.effective_sample_size for part in parts], [part.r_hat for part in parts]
    mean = _mean([None if value is None else value**2 for value in squares])
    whole = [size for size in sizes if size is not None]
    return Mixing(sum(whole) if len(whole) == len(sizes) else None, None if mean is None else math.sqrt(mean))


def _to_go(headway: Headway | None, running: bool) -> float | None:
    if headway is None or not headway.transitions or not headway.seconds:
        return None
    needed = (headway.scheduled - headway.transitions) * headway.seconds / headway.transitions
    since = time.time() - headway.written if running else 0.0
    return max(0.0, needed - max(0.0, since))


def _held(home: Path) -> tuple[int, int]:
    """Segments and bytes of all files. What vanishes meanwhile is not counted."""
    segments = size = 0
    for entry in _files(home):
        with suppress(OSError):
            size += entry.stat(follow_symlinks=False).st_size
            segments += SEGMENT.search(entry.path) is not None
    return segments, size


def _files(folder: str | Path) -> Iterator[os.DirEntry[str]]:
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _files(entry.path)
            else:
                yield entry
