"""How far chains have come, and what is measured after them: progress.json, which a run writes after every commit and
whoever watches it reads.

Derived data. Nothing goes on from it, and where it is missing or damaged it is just not shown. Importing this never
imports torch.
"""

import time
from contextlib import suppress
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec

from nishimori.chains.files import StorageFailed, publish_json

FILE = "progress.json"
Count = Annotated[int, msgspec.Meta(ge=0)]
Amount = Annotated[float, msgspec.Meta(ge=0)]
Told = TypeVar("Told", bound=msgspec.Struct)


class Mixing(msgspec.Struct, frozen=True):
    """Of one observable so far: bulk effective sample size, summed over instances, and rank-normalised R-hat, pooled
    over them (see `measurement.convergence`); None where it is not known."""

    effective_sample_size: Amount | None
    r_hat: Amount | None


class Headway(msgspec.Struct, frozen=True, kw_only=True):
    """`transitions` of all that are `scheduled`, `draws` of `draws_scheduled` of each chain. `acceptance` and
    `divergent_fraction` are means over the measured transitions so far, in warm-up over those of warm-up. `not_finite`
    chains have an observable that is not (see `measurement.finite`). `mixing` of main observables is as of
    `mixing_draws`. `seconds` were spent on the transitions by all processes together, up to `written`, in seconds since
    1970."""

    transitions: Count
    scheduled: Count
    draws: Count
    draws_scheduled: Count
    acceptance: Amount | None = None
    divergent_fraction: Amount | None = None
    not_finite: Count = 0
    mixing: dict[str, Mixing] = {}
    mixing_draws: Count = 0
    seconds: Amount = 0.0
    written: Amount = 0.0


class Stage(msgspec.Struct, frozen=True):
    """Of work other than sampling: steps `done` of the `total` of a `phase`."""

    phase: Annotated[str, msgspec.Meta(pattern="^[ -~]{1,100}$")]
    done: Count
    total: Count


def publish_headway(directory: Path, headway: Headway, seconds: float) -> None:
    """After so many `seconds`. A run does not end because this cannot be stored."""
    now = msgspec.structs.replace(headway, seconds=round(seconds, 3), written=time.time())
    _publish(directory, now)


def publish_stage(directory: Path, stage: Stage) -> None:
    """As `publish_headway`."""
    _publish(directory, stage)


def read_headway(directory: Path) -> Headway | None:
    """None where there is none, or it is damaged."""
    return _read(directory, Headway)


def read_stage(directory: Path) -> Stage | None:
    """None where there is none, or it is damaged."""
    return _read(directory, Stage)


def _publish(directory: Path, told: msgspec.Struct) -> None:
    with suppress(StorageFailed):
        publish_json(directory / FILE, msgspec.to_builtins(told))


def _read(directory: Path, form: type[Told]) -> Told | None:
    try:
        return msgspec.json.decode((directory / FILE).read_bytes(), type=form)
    except (OSError, msgspec.MsgspecError, RecursionError):
        return None
