"""A run that lies in a directory of its own: committed while it goes on, and gone on with by the same call.

`settings.json` holds what was asked, and the energies at the start, which tell another density or other data;
`calibration.json`, segments and states are those of a point (see `chains.writers`).
"""

import json
import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nishimori.chains.files import exclusive, publish_json
from nishimori.chains.progress import Progress
from nishimori.chains.temporaries import is_left_behind
from nishimori.chains.writers import PointWriter
from nishimori.description.errors import BadInput
from nishimori.models.target import Target
from nishimori.samplers.base import Sampler
from nishimori.sampling.wishes import Wishes

SETTINGS = "settings.json"
SCHEMA = 1
ENERGIES = "energies_at_start"
ROUNDING = 1e-4
"""Relative; by less, energies of the same density may differ between machines."""


@contextmanager
def kept(directory: Path, settings: Mapping[str, Any], progress: Progress) -> Iterator[PointWriter]:
    """Be the one writer of the run in `directory`, which is made, or was made with the same settings.

    Raises BadInput, with nothing changed, for a directory of another run or of something else, DirectoryBusy where
    another process writes there, StorageFailed where nothing can be written.
    """
    _require_same(directory, settings)
    with exclusive(directory) as lock:
        if not (directory / SETTINGS).exists():
            publish_json(directory / SETTINGS, settings)
        yield PointWriter(directory, progress=lock.beating(progress), tell=_warn)


def settings_of(target: Target, sampler: Sampler | None, wishes: Wishes) -> dict[str, Any]:
    """What makes a run what it is, as JSON has it; without a `sampler`, calibration chooses one."""
    energies = target.energy(wishes.start(target)).tolist()
    schedule, plan = wishes.schedule, wishes.plan
    return {
        "schema": SCHEMA,
        "parameters": target.num_parameters,
        "instances": list(target.instances),
        "sampler": "chosen by calibration" if sampler is None else repr(sampler),
        "chains": list(plan.chains),
        "starts": list(plan.starts),
        "warmup": schedule.warmup,
        "draws": schedule.draws,
        "thin": schedule.thin,
        "seed": wishes.seed,
        "point": wishes.point,
        "observables": list(wishes.observables),
        "keep_position": wishes.keep_position,
        "layer_overlaps": list(wishes.layer_overlaps),
        "dtype": str(target.dtype).removeprefix("torch."),
        ENERGIES: [[value if math.isfinite(value) else None for value in row] for row in energies],
    }


def _require_same(directory: Path, settings: Mapping[str, Any]) -> None:
    path = directory / SETTINGS
    if not path.exists():
        if directory.exists() and not all(map(is_left_behind, _names(directory))):
            raise BadInput(f"{directory} is not empty and holds no run of nm.sample; give an empty or new directory")
        return
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        differing = next((key for key in settings if not _same(key, held[key], settings[key])), None)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{path} cannot be read ({error!r}); restore the file, or give another directory") from None
    if differing == ENERGIES:
        raise BadInput(f"{directory} holds a run of another density or other data; give those, or another directory")
    if differing:
        raise BadInput(
            f"{directory} holds a run with {differing} = {held[differing]!r}, not {settings[differing]!r}; give the "
            "arguments it was begun with, or another directory"
        )


def _names(directory: Path) -> list[str]:
    if not directory.is_dir():
        raise BadInput(f"{directory} is a file; give a directory")
    return [entry.name for entry in directory.iterdir()]


def _same(key: str, held: Any, asked: Any) -> bool:
    if key != ENERGIES:
        return held == asked
    pairs = [pair for rows in zip(held, asked, strict=True) for pair in zip(*rows, strict=True)]
    return all(a == b or (None not in (a, b) and math.isclose(a, b, rel_tol=ROUNDING)) for a, b in pairs)


def _warn(sentence: str) -> None:
    warnings.warn(sentence, RuntimeWarning, stacklevel=2)
