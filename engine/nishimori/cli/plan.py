"""`nishimori plan`: what an experiment will take, before it is started."""

import heapq
import json as json_module
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from nishimori.cli.codes import DONE
from nishimori.cli.run import on_device, require_runnable
from nishimori.comparison.tables import describe, table
from nishimori.description.config import has_chains
from nishimori.description.errors import BadInput
from nishimori.description.experiment import Point
from nishimori.description.units import duration, sized
from nishimori.systems import SYSTEMS, load_experiment
from nishimori.systems.plan import Planner, PointPlan, documented

HEADER = ("point", "chains", "steps", "memory", "record", "disk", "calibration", "sampling", "information", "time")


def plan(
    experiment: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="EXPERIMENT.toml")],
    out: Path | None = None,
    set: tyro.conf.UseAppendAction[tuple[tuple[str, ...], ...]] = (),
    device: Literal["auto", "cpu", "cuda"] | None = None,
    workers: int = 1,
    json: bool = False,
) -> int:
    """Say what an experiment will take, point by point: memory, disk and time.

    Example: nishimori plan scripts/experiments/quickstart.toml --out runs/a

    Each point is tried for a moment on the device that it would run on: a step size is found on a few instances, and a
    few transitions of all chains are timed. Nothing is written. Times are as good as the guess of the trajectory
    length, about a factor of two; that of the information is a rough count, and the analysis at the end is not in it.
    Memory is that of the chains on the device (on the CPU without their activations), the record what draws take on
    the host. The last row has the largest memory of a point, all of the disk, and the time until the last point ends.
    Exit codes: 0 it fits; 2 the input is wrong, or it cannot fit, with what would.

    Args:
        experiment: the experiment file.
        out: directory that the results will go to, for its free space; by default the current one.
        set: overrides keys of the file, as section.key=value, several after one another or --set again.
        device: cpu, cuda, or auto for a GPU where there is one.
        workers: devices like this one that take points side by side, the next point whenever one is free.
        json: print one JSON object on stdout, in bytes and seconds, and nothing else there.
    """
    if workers < 1:
        raise BadInput(f"--workers {workers} is less than one; give 1 or more")
    loaded = on_device(load_experiment(experiment, [override for group in set for override in group]), device)
    kind = loaded.points[0].config.system.kind
    if not has_chains(loaded.points[0].config):
        raise BadInput(f"{experiment}: {kind} has no chains to plan for; run it, with few run.instances first")
    require_runnable(experiment, loaded)
    planner, plans = Planner(out or Path()), []
    try:
        plans.extend(planner.plans(loaded.points))
    except BadInput as refusal:
        point = loaded.points[len(plans)]
        raise BadInput(f"{experiment}: {_described(point)}: {refusal}") from None
    print(_json(loaded.points, plans, workers) if json else _table(loaded.points, plans, workers))
    return DONE


def _described(point: Point) -> str:
    return describe(_parameters(point))


def _parameters(point: Point) -> dict[str, Any]:
    return SYSTEMS[point.config.system.kind].parameters(point.config)


def _totals(plans: Sequence[PointPlan], workers: int) -> dict[str, float]:
    """Memory is that of the largest point."""
    return {
        "device_memory": max(plan.device_memory for plan in plans),
        "record_memory": max(plan.record_memory for plan in plans),
        "disk_bytes": sum(plan.disk_bytes for plan in plans),
        "total_seconds": side_by_side([plan.total_seconds for plan in plans], workers),
    }


def side_by_side(seconds: Sequence[float], workers: int) -> float:
    """Until the last is done, where whoever is free takes the next."""
    free = [0.0] * workers
    for needed in seconds:
        heapq.heapreplace(free, free[0] + needed)
    return max(free)


def _json(points: Sequence[Point], plans: Sequence[PointPlan], workers: int) -> str:
    rows = [documented(plan, _parameters(point), point.swept) for point, plan in zip(points, plans, strict=True)]
    return json_module.dumps({"points": rows, "totals": _totals(plans, workers)}, allow_nan=False)


def _table(points: Sequence[Point], plans: Sequence[PointPlan], workers: int) -> str:
    rows = []
    for point, plan in zip(points, plans, strict=True):
        bytes_of = map(sized, (plan.device_memory, plan.record_memory, plan.disk_bytes))
        parts = (plan.seconds.get(name, 0.0) for name in ("calibration", "sampling", "information"))
        count = f"{plan.instances} x {plan.chains}"
        spent = map(duration, (*parts, plan.total_seconds))
        rows.append([_described(point), count, str(plan.num_steps), *bytes_of, *spent])
    totals = _totals(plans, workers)
    sizes = [sized(int(totals[name])) for name in ("device_memory", "record_memory", "disk_bytes")]
    side_by_side = f", {workers} at a time" if workers > 1 else ""
    rows.append([f"all points{side_by_side}", "", "", *sizes, "", "", "", duration(totals["total_seconds"])])
    batches = max(plan.most_batches for plan in plans)
    note = f"\nof one batch of instances; error targets may take up to {batches} times disk and time"
    return table(HEADER, rows) + (note if batches > 1 else "")
