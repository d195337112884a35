"""`nishimori resume`: go on with a run that was stopped."""

from pathlib import Path
from typing import Annotated

import tyro

from nishimori.cli.sampling import How, sample_into
from nishimori.executors.directory import experiment_of


def resume(
    directory: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="DIR")],
    workers: int | None = None,
    wall_time: float | None = None,
    json: bool = False,
) -> int:
    """Go on with a run that was stopped, killed or damaged, from the experiment that its directory holds.

    Draws that were committed are read, not drawn again; damaged files are set aside, and what they held is computed
    again; points that were set aside are tried again. Exit codes are those of nishimori run; a finished run prints its
    summary.

    Args:
        directory: what --out named.
        workers: processes that do points side by side, as of nishimori run.
        wall_time: seconds after which to commit and stop.
        json: print the summary as one JSON object on stdout and nothing else there.
    """
    return sample_into(directory, experiment_of(directory), How(workers, wall_time, json))
