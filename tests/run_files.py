"""What a run leaves in its directory, looked at as a reader would."""

import json
from pathlib import Path

from nishimori.chains.segments import read_stored


def digest_of(run: Path) -> str:
    """Of the one point of a run that is finished."""
    (summary,) = run.glob("points/*/summary.json")
    return json.loads(summary.read_text(encoding="utf-8"))["digest"]


def committed(run: Path) -> list[tuple[str, str]]:
    """Every visible file is whole; the segments there are, with their digests."""
    for path in run.rglob("[!.]*.json"):
        json.loads(path.read_text(encoding="utf-8"))
    segments = []
    for path in sorted(run.glob("points/*/s*/[0-9]*.h5")):
        stored = read_stored(path)
        if path.parent.name == "segments":
            segments.append((path.name, str(stored.attributes["digest"])))
    return segments


def states_of(run: Path) -> list[int]:
    """The numbers of the segments whose states are kept."""
    return sorted(int(path.stem) for path in run.glob("points/*/states/[0-9]*.h5"))


def states_to_keep(segments: int) -> list[int]:
    """The contract: of the last three segments, and of every twentieth."""
    return [number for number in range(segments) if number >= segments - 3 or number % 20 == 0]
