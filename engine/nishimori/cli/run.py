"""`nishimori run`: sample every point of an experiment and compare it with theory."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from nishimori.cli.codes import DONE
from nishimori.cli.engines import HERE, Where, asked_of_slurm, jobs_of
from nishimori.cli.sampling import How, sample_into
from nishimori.comparison.tables import describe
from nishimori.description.errors import BadInput
from nishimori.description.experiment import Experiment
from nishimori.executors.directory import finished, refuse_foreign
from nishimori.systems import SYSTEMS, load_experiment


def run(
    experiment: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="EXPERIMENT.toml")],
    out: Path,
    set: tyro.conf.UseAppendAction[tuple[tuple[str, ...], ...]] = (),
    device: Literal["auto", "cpu", "cuda"] | None = None,
    where: Annotated[Where, tyro.conf.arg(name="")] = HERE,
    wall_time: float | None = None,
    calibration: Path | None = None,
    dry_run: bool = False,
    json: bool = False,
) -> int:
    """Sample every point of an experiment, check the chains, and lay theory over the measurements.

    Running again into the same directory goes on where it was stopped: draws are committed every run.segment_seconds.
    So are the instances of a simulated system that measures one after the other (covariate_model); where all move
    together, they are kept at the end of their block, and run.blocks asks for more blocks than one. Ctrl-C, SIGTERM,
    SIGUSR2 and the end of --wall-time finish the transition, commit and stop; a second Ctrl-C stops at once. A point
    that fails is tried three times and set aside, and the others go on. Exit codes: 0 done and converged, 2 the input
    is wrong or files cannot be written, 3 finished but a verdict failed, 4 finished but points were set aside, 75
    interrupted (run again, or nishimori resume, to go on).

    Args:
        experiment: the experiment file.
        out: directory of the results; new, empty, or holding this very experiment.
        set: overrides keys of the file, as section.key=value, several after one another or --set again.
        device: cpu, cuda, or auto for a GPU where there is one.
        where: the engine that does the points.
        wall_time: seconds after which to commit and stop, for batch systems that end jobs.
        calibration: take step sizes and all else that is chosen by measuring from another run of the same points (its
            directory), or of a single point (a calibration.json): the draws are then the same to the bit, on a CPU.
        dry_run: print the points, with slurm the script that would be submitted, and stop.
        json: print the summary as one JSON object on stdout and nothing else there.
    """
    loaded = on_device(load_experiment(experiment, [override for group in set for override in group]), device)
    if dry_run:
        print(_grid_json(loaded) if json else _grid(loaded))
        if where.executor == "slurm" and not json:
            print(f"\n{_script(where, loaded, out)}")
        return DONE
    refuse_foreign(out, loaded)
    if where.is_here and not finished(out, loaded):
        require_runnable(experiment, loaded)
    return sample_into(out, loaded, How(where, wall_time, calibration, json))


def _script(where: Where, experiment: Experiment, out: Path) -> str:
    """That an array of the first tasks of all points would be submitted with."""
    from nishimori.executors.slurm_script import script

    return script(jobs_of(out), len(experiment.points), asked_of_slurm(where, experiment))


def on_device(experiment: Experiment, device: Literal["auto", "cpu", "cuda"] | None) -> Experiment:
    """With every point on the device that the command line names, if it names one."""
    if device is None:
        return experiment
    points = tuple(replace(point, config=_with_device(point.config, device)) for point in experiment.points)
    experiment.document["run"]["device"] = device
    return replace(experiment, points=points)


def _with_device(config: Any, device: Literal["auto", "cpu", "cuda"]) -> Any:
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
    """BadInput, with the file, for what the schema cannot see, where no point can be run; some alone are set aside."""
    refusal = BadInput("")
    for point in experiment.points:
        try:
            SYSTEMS[point.config.system.kind].require_runnable(point.config)
        except BadInput as found:
            refusal = refusal if str(refusal) else found
        else:
            return
    raise BadInput(f"{path}: {refusal}")
