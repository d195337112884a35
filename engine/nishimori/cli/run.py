"""`nishimori run`: sample every point of an experiment and compare it with theory."""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

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
from nishimori.description.config import Config
from nishimori.description.errors import BadInput
from nishimori.description.experiment import Experiment, Point, load_experiment
from nishimori.executors.directory import claim, finished, refuse_foreign
from nishimori.systems import SYSTEMS


def run(
    experiment: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="EXPERIMENT.toml")],
    out: Path,
    set: tyro.conf.UseAppendAction[tuple[tuple[str, ...], ...]] = (),
    device: Literal["auto", "cpu", "cuda"] | None = None,
    dry_run: bool = False,
    json: bool = False,
) -> int:
    """Sample every point of an experiment, check the chains, and lay theory over the measurements.

    Running again into the same directory goes on after the last finished point. Exit codes: 0 done and converged,
    2 the input is wrong, 3 finished but a verdict failed, 75 interrupted (run again to go on).

    Args:
        experiment: the experiment file.
        out: directory of the results; new, empty, or holding this very experiment.
        set: overrides keys of the file, as section.key=value, several after one another or --set again.
        device: cpu, cuda, or auto for a GPU where there is one.
        dry_run: print the points and stop.
        json: print the summary as one JSON object on stdout and nothing else there.
    """
    loaded = on_device(load_experiment(experiment, [override for group in set for override in group]), device)
    if dry_run:
        print(_grid_json(loaded) if json else _grid(loaded))
        return DONE
    refuse_foreign(out, loaded)
    if not finished(out, loaded):
        require_runnable(experiment, loaded)
    claim(out, loaded, lambda: versions(loaded.points[0].config.run.device))
    try:
        summaries = _run(out, loaded)
        summary = _publish(out, summaries)
    except KeyboardInterrupt:
        print(
            f"\nnishimori: interrupted; finished points are kept, run again with --out {out} to go on",
            file=sys.stderr,
        )
        return INTERRUPTED
    if json:
        print(_as_json(summary))
    else:
        print(f"{report(summaries, main_observable(summaries))}\nfigure: {out / 'overlay.png'}")
    if summary["verdict"]["passed"]:
        return DONE
    print(f"nishimori: {failure_sentence(summaries)}; every criterion is in {out / 'verdict.json'}", file=sys.stderr)
    return VERDICT_FAILED


def on_device(experiment: Experiment, device: Literal["auto", "cpu", "cuda"] | None) -> Experiment:
    """With every point on the device that the command line names, if it names one."""
    if device is None:
        return experiment
    points = tuple(replace(point, config=_with_device(point.config, device)) for point in experiment.points)
    experiment.document["run"]["device"] = device
    return replace(experiment, points=points)


def _with_device(config: Config, device: Literal["auto", "cpu", "cuda"]) -> Config:
    import msgspec

    return msgspec.structs.replace(config, run=msgspec.structs.replace(config.run, device=device))


def _grid_json(experiment: Experiment) -> str:
    return json.dumps({"points": [{"id": point.identity, "swept": point.swept} for point in experiment.points]})


def _grid(experiment: Experiment) -> str:
    lines = [f"{len(experiment.points)} points"]
    for point in experiment.points:
        parameters = SYSTEMS[point.config.system.kind].parameters(point.config)
        lines.append(f"{point.identity}  {describe(parameters)}")
    return "\n".join(lines)


def require_runnable(path: Path, experiment: Experiment) -> None:
    """BadInput, with the file, for what the schema cannot see."""
    for point in experiment.points:
        try:
            SYSTEMS[point.config.system.kind].require_runnable(point.config)
        except BadInput as refusal:
            raise BadInput(f"{path}: {refusal}") from None


def _run(out: Path, experiment: Experiment) -> list[dict[str, Any]]:
    from nishimori.chains.files import DirectoryBusy
    from nishimori.chains.progress import reporter
    from nishimori.executors.local import run_points

    count, system = len(experiment.points), SYSTEMS[experiment.points[0].config.system.kind]

    def progress(number: int, point: Point) -> Callable[[str, int, int, float], None]:
        return reporter(f"[{number + 1}/{count}] {describe(system.parameters(point.config))}")

    try:
        return run_points(system, experiment, out, progress)
    except DirectoryBusy as refusal:
        raise BadInput(str(refusal)) from None


def _publish(out: Path, summaries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    from nishimori.chains.files import publish_json, without_nan

    failed = failures(summaries)
    summary = {"schema": SCHEMA, "verdict": {"passed": not failed, "failures": failed}, "points": list(summaries)}
    publish_json(out / "summary.json", summary)
    publish_json(out / "verdict.json", verdict_document(summaries))
    draw_overlay([out], main_observable(summaries), out / "overlay.png")
    return without_nan(summary)


def _as_json(summary: dict[str, Any]) -> str:
    return json.dumps(summary, allow_nan=False)
