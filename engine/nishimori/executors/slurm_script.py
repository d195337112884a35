"""What sbatch is asked for."""

import logging
import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nishimori.description.errors import BadInput
from nishimori.executors.local import THREADS

MOST = 1000
"""Elements of an array; Slurm's usual limit is 1001."""
NUMBERS = ("cpus_per_task", "gpus_per_node", "signal_delay_s")
NAMED = ("partition", "account", "qos", "constraint", "exclude", "nodelist", "gres", "mem", "mem_per_cpu")
"""What submitit knows; another key goes to sbatch as it is."""
DAYS = re.compile(r"(?:(?P<days>\d+)-)?(?P<hours>\d+):(?P<minutes>\d+)(?::\d+)?")
DEFAULTS = {"time": "1440", "cpus_per_task": "8", "signal_delay_s": "120"}
SETUP = [
    "unset TRITON_CACHE_DIR",
    "export SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK:-1}",
    *(f"export {name}=${{SLURM_CPUS_PER_TASK:-1}}" for name in THREADS),
]
"""Compiled kernels are kept on the node, in a folder of one's own (`nishimori_kernels.cache`): what many jobs share
over a network is slow and gets torn. Since Slurm 22.05 srun does not take over what sbatch was asked for."""


def parameters(name: str, options: Mapping[str, str], gpus: int, workers: int | None) -> dict[str, Any]:
    """Of submitit's Slurm executor, from what --slurm says. Raises BadInput for what is not a number and has to be."""
    given = {**DEFAULTS, **({"gpus_per_node": str(gpus)} if gpus else {}), **options}
    known: dict[str, Any] = {key: given.pop(key) for key in NAMED if key in given}
    known |= {key: _number(key, given.pop(key)) for key in NUMBERS if key in given}
    known["time"] = _minutes(given.pop("time"))
    return {
        **known,
        "job_name": name,
        "setup": SETUP,
        "additional_parameters": {"requeue": True, **given},
        "array_parallelism": workers or MOST,
    }


def script(folder: Path, tasks: int, asked: Mapping[str, Any]) -> str:
    """The script of an array of so many tasks. Raises BadInput where submitit is not installed."""
    submitit = imported()
    command = f"{shlex.quote(sys.executable)} -u -m submitit.core._submit {shlex.quote(str(folder))}"
    array = {"map_count": tasks} if tasks > 1 else {}
    return submitit.slurm.slurm._make_sbatch_string(command=command, folder=folder, **asked, **array)


def imported() -> Any:
    """submitit, or BadInput with what to install."""
    try:
        import submitit
        import submitit.slurm.slurm
    except ImportError:
        raise BadInput("--executor slurm needs submitit; install it: pip install 'nishimori[slurm]'") from None
    logging.getLogger("submitit").setLevel(logging.CRITICAL)  # it writes to stdout, which is the caller's
    return submitit


def _number(key: str, value: str) -> int:
    if not value.isdigit():
        raise BadInput(f"--slurm {key}={value}: not a whole number; write, for example, {key}=8")
    return int(value)


def _minutes(value: str) -> int:
    found = DAYS.fullmatch(value)
    if found:
        days, hours, minutes = (int(found[part] or 0) for part in ("days", "hours", "minutes"))
        return (24 * days + hours) * 60 + minutes
    if not value.isdigit() or int(value) < 1:
        raise BadInput(f"--slurm time={value}: give minutes, HH:MM:SS or D-HH:MM:SS")
    return int(value)
