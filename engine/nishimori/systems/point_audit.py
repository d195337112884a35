"""A random committed segment of a point, computed again. Importing this never imports torch."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from nishimori.description.blocks import Block, blocks_of
from nishimori.description.config import Config
from nishimori.description.errors import BadInput
from nishimori.description.identity import identity
from nishimori.systems.point_chains import chains_of

if TYPE_CHECKING:
    from nishimori.adaptation.calibration import CalibrationRecord
    from nishimori.chains.survey import Survey
    from nishimori.sampling.audit import Audited


def audit_point(config: Config, home: Path, seed: int) -> "tuple[Path, Audited] | None":
    """Compute a segment that `seed` chooses again, of the point in `home` or of one of its batches or blocks: whose,
    and what came out; None where no segment was committed yet.

    All segments are read, and those before the chosen one need not be computed. Nothing is written. Raises BadInput for
    files that are damaged, missing or not of this point.
    """
    from nishimori.chains.survey import survey_unchanged

    places = list(_places(config, home))
    found = [survey_unchanged(place) for place, _, _ in places]
    segments = [(at, number) for at, survey in enumerate(found) for number in survey.segments]
    if not segments:
        return None
    at, number = segments[_chosen(seed, identity(config), len(segments))]
    return places[at][0], _audited(config, *places[at], found[at], number)


def _chosen(seed: int, point: str, count: int) -> int:
    """One of `count`, whichever other points there are."""
    return int.from_bytes(hashlib.blake2b(f"audit {seed} {point}".encode(), digest_size=8).digest(), "little") % count


def _places(config: Config, home: Path) -> Iterator[tuple[Path, Path, Block]]:
    """Where segments may be: with the batch, or point, whose calibration they share, and the block that they are."""
    from nishimori.chains.places import batches_in, places_of

    blocks = blocks_of(config)
    for batch in batches_in(home):
        for place, block in zip(places_of(batch, len(blocks)), blocks, strict=True):
            yield place, batch, block


def _audited(config: Config, place: Path, batch: Path, block: Block, found: "Survey", number: int) -> "Audited":
    from nishimori.chains.progress import silent
    from nishimori.sampling.audit import audit
    from nishimori.sampling.build import problem_of, target_of

    record = _record(batch)
    instances = record.instances[block.instances.start : block.instances.stop]
    problem = problem_of(config, identity(config), instances)
    moving, start = chains_of(config, record, target_of(config, problem, record), block.chains, silent)
    return audit(moving, start, place, found, number)


def _record(home: Path) -> "CalibrationRecord":
    from nishimori.chains.writers import PointWriter

    record = PointWriter(home).calibration()
    if record is None:
        raise BadInput(f"{home / 'calibration.json'} is missing; restore the file or run this point again")
    return record
