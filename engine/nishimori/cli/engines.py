"""The engine that a command line asks for, and what is shown of it."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from nishimori.cli.grid_view import OneByOne, SideBySide
from nishimori.description.errors import BadInput
from nishimori.description.experiment import Experiment

if TYPE_CHECKING:
    from nishimori.chains.stop import StopRequest
    from nishimori.executors.grid import Engine, View


def engine_of(workers: int | None, experiment: Experiment, out: Path, stop: "StopRequest") -> "tuple[Engine, View]":
    """Of so many processes, by default one for each GPU, or this one alone. Raises BadInput for less than one."""
    from nishimori.executors.local import Here, Pool, environments_of

    if workers is not None and workers < 1:
        raise BadInput(f"--workers {workers}: at least one process is needed; give 1 or more")
    gpus = _gpus(experiment)
    count = workers or max(1, min(gpus, len(experiment.points)))
    if count == 1:
        alone = OneByOne(experiment)
        return Here(alone.told, _tell, stop), alone
    done = sum((out / "points" / point.identity / "summary.json").exists() for point in experiment.points)
    shared = SideBySide(experiment, done)
    return Pool(environments_of(count, gpus), shared.told, _tell), shared


def _gpus(experiment: Experiment) -> int:
    """That its points would run on."""
    from nishimori.models.device import resolve_device

    if resolve_device(experiment.points[0].config.run.device).type != "cuda":
        return 0
    import torch

    return torch.cuda.device_count()


def _tell(sentence: str) -> None:
    print(f"nishimori: {sentence}", file=sys.stderr, flush=True)
