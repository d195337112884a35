"""`nishimori resume`: go on with a run that was stopped."""

from pathlib import Path
from typing import Annotated

import tyro

from nishimori.cli.engines import HERE, Where
from nishimori.cli.sampling import How, sample_into
from nishimori.executors.directory import experiment_of


def resume(
    directory: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="DIR")],
    where: Annotated[Where, tyro.conf.arg(name="")] = HERE,
    wall_time: float | None = None,
    json: bool = False,
) -> int:
    """Go on with a run that was stopped, killed or damaged, from the experiment that its directory holds.

    Draws that were committed are read, not drawn again; damaged files are set aside, and what they held is computed
    again; points that were set aside are tried again. Exit codes are those of nishimori run; a finished run prints its
    summary.

    Args:
        directory: what --out named.
        where: the engine that does the points, as of nishimori run; any engine goes on with what another began.
        wall_time: seconds after which to commit and stop.
        json: print the summary as one JSON object on stdout and nothing else there.
    """
    return sample_into(directory, experiment_of(directory), How(where, wall_time, as_json=json))
