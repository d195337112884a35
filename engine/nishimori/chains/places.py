"""Where in the directory of a point its files are."""

from pathlib import Path

BATCHES = "batches"
"""Folder of a point that is sampled in batches of instances, each with files as those of a whole point."""
BLOCKS = "blocks"
"""Folder of a point or batch that is sampled in blocks of chains, each with segments and states of its own."""

INSTANCES = "instances"
"""Folder of a simulated point or block with what its instances gave."""
INFORMATION = "information"
"""Folder of a point or batch with what is kept of its information while that is measured."""


def batch_of(home: Path, number: int) -> Path:
    return home / BATCHES / f"{number:03d}"


def batches_in(home: Path) -> list[Path]:
    """The directories of the batches that the point in `home` has begun, or its own where it has none."""
    return sorted(path for path in (home / BATCHES).glob("[0-9]*") if path.is_dir()) or [home]


def places_of(home: Path, blocks: int) -> list[Path]:
    """Where the segments of a point or batch in `home` are that is sampled in so many blocks."""
    return [home] if blocks == 1 else [home / BLOCKS / f"{number:03d}" for number in range(blocks)]


def is_begun(home: Path) -> bool:
    """Whether a point or batch has a segment, or instances that were measured."""
    places = [f"{block}{folder}" for block in ("", f"{BLOCKS}/*/") for folder in ("segments", INSTANCES)]
    return any(True for place in places for _ in home.glob(f"{place}/[0-9]*.h5"))
