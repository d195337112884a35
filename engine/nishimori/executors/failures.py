"""Points that were set aside: what went wrong lies beside their files, until they are tried again."""

import json
from contextlib import suppress
from pathlib import Path

import msgspec

from nishimori.chains.files import discard, publish_json

NAME = "failure.json"


class Failure(msgspec.Struct, frozen=True):
    """Of a point: how often it was tried, and how the last attempt ended; `details` for whoever mends it."""

    attempts: int
    message: str
    details: str = ""


def publish_failure(home: Path, failure: Failure) -> None:
    publish_json(home / NAME, msgspec.to_builtins(failure))


def forget_failure(home: Path) -> None:
    if (home / NAME).exists():
        discard(home / NAME)


def failure_of(home: Path) -> Failure | None:
    """None where the point was not set aside, or nobody can tell why."""
    with suppress(OSError, ValueError, msgspec.ValidationError):
        return msgspec.convert(json.loads((home / NAME).read_text(encoding="utf-8")), Failure)
    return None
