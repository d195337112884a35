"""The engine that a command line asks for, and what is shown of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tyro

from nishimori.cli.grid_view import OneByOne, Shown, SideBySide, tell
from nishimori.description.errors import BadInput
from nishimori.description.experiment import Experiment
from nishimori.executors.directory import finished

if TYPE_CHECKING:
    from nishimori.chains.stop import StopRequest
    from nishimori.executors.grid import Engine

OPTIONS = {"workers": ("local", "slurm"), "ray_address": ("ray",), "ray_cores": ("ray",), "slurm": ("slurm",)}
"""What is said of some engines alone."""


@dataclass(frozen=True)
class Where:
    """Where points are done, as a command line says it."""

    executor: Literal["local", "ray", "slurm"] = "local"
    """local for processes of this machine, ray for a Ray cluster (extra ray), slurm for a job array (extra slurm)."""
    workers: int | None = None
    """local: processes side by side, each with a GPU or its share of the cores; by default one for each GPU, or this
    process alone. slurm: elements of the array that run at a time; by default all."""
    ray_address: str | None = None
    """auto for the running cluster that this machine is of, or HOST:PORT; by default Ray is started here."""
    ray_cores: int | None = None
    """cores of each task of ray (1); a task has a GPU where the cluster has any and --device is not cpu."""
    slurm: tyro.conf.UseAppendAction[tuple[tuple[str, ...], ...]] = ()
    """what sbatch is to ask for, as KEY=VALUE, several after one another: partition=gpu time=1440 (minutes)
    gpus_per_node=1 cpus_per_task=8 mem=32GB account=NAME."""

    def __post_init__(self) -> None:
        for name, engines in OPTIONS.items():
            if getattr(self, name) and self.executor not in engines:
                option = f"--{name.replace('_', '-')}"
                wanted = " or ".join(f"--executor {engine}" for engine in engines)
                raise BadInput(f"{option} says nothing to --executor {self.executor}; leave it out, or use {wanted}")
        for name in ("workers", "ray_cores"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise BadInput(f"--{name.replace('_', '-')} {value} is less than one; give 1 or more")
        self.slurm_options()

    def slurm_options(self) -> dict[str, str]:
        """What --slurm says."""
        words = [word for group in self.slurm for word in group]
        for word in words:
            if not all(word.partition("=")):
                raise BadInput(f"--slurm {word}: not KEY=VALUE; write, for example, --slurm partition=gpu time=1440")
        return {key: value for key, _, value in (word.partition("=") for word in words)}

    @property
    def is_here(self) -> bool:
        """Whether points see the devices of this machine."""
        return self.executor == "local"


HERE = Where()


def engine_of(where: Where, experiment: Experiment, out: Path, stop: "StopRequest") -> "tuple[Engine, Shown]":
    """Raises BadInput, with what to install or start, where the engine is not there."""
    if where.is_here or finished(out, experiment):
        return _local(where.workers, experiment, out, stop)
    engine = _slurm(where, experiment, out) if where.executor == "slurm" else _ray(where, experiment)
    tell(f"nishimori status {out} --watch shows how every point is doing")
    return engine, SideBySide(experiment, _done(experiment, out))


def _ray(where: Where, experiment: Experiment) -> "Engine":
    from nishimori.executors.ray_cluster import RayCluster

    device = experiment.points[0].config.run.device
    return RayCluster.connect(where.ray_address, where.ray_cores or 1, device, tell)


def _slurm(where: Where, experiment: Experiment, out: Path) -> "Engine":
    from nishimori.executors.slurm_array import SlurmArray

    return SlurmArray.connect(jobs_of(out), out, asked_of_slurm(where, experiment), tell)


def jobs_of(out: Path) -> Path:
    """Job files and logs of submitit lie beside the run directory."""
    place = out.absolute()
    return place.with_name(f"{place.name}.jobs")


def asked_of_slurm(where: Where, experiment: Experiment) -> dict[str, Any]:
    """The parameters of the jobs, which are named after the experiment. Raises BadInput as `slurm_script` does."""
    from nishimori.executors.slurm_script import parameters

    gpus = 1 if experiment.points[0].config.run.device == "cuda" else 0
    return parameters(f"nishimori-{experiment.identity[:12]}", where.slurm_options(), gpus, where.workers)


def _local(workers: int | None, experiment: Experiment, out: Path, stop: "StopRequest") -> "tuple[Engine, Shown]":
    """Of so many processes, by default one for each GPU, or this one alone."""
    from nishimori.executors.local import Here, Pool, environments_of
    from nishimori.executors.tasks import most_at_a_time

    gpus = _gpus(experiment)
    count = workers or max(1, min(gpus, most_at_a_time(experiment)))
    if count == 1:
        alone = OneByOne(experiment)
        return Here(alone.told, tell, stop), alone
    shared = SideBySide(experiment, _done(experiment, out))
    return Pool(environments_of(count, gpus), shared.told, tell), shared


def _done(experiment: Experiment, out: Path) -> int:
    return sum((out / "points" / point.identity / "summary.json").exists() for point in experiment.points)


def _gpus(experiment: Experiment) -> int:
    """That its points would run on."""
    from nishimori.models.device import resolve_device

    if resolve_device(experiment.points[0].config.run.device).type != "cuda":
        return 0
    import torch

    return torch.cuda.device_count()
