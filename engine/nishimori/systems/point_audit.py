"""A random committed segment of a point, computed again. Importing this never imports torch."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from nishimori.description.config import Config
from nishimori.description.errors import BadInput
from nishimori.description.identity import identity
from nishimori.systems.point_sampling import asked_of_chains

if TYPE_CHECKING:
    from nishimori.adaptation.calibration import CalibrationRecord
    from nishimori.chains.survey import Survey
    from nishimori.sampling.audit import Audited


def audit_point(config: Config, home: Path, seed: int) -> "tuple[Path, Audited] | None":
    """Compute a segment that `seed` chooses again, of the point in `home` or of one of its batches: whose, and what
    came out; None where no segment was committed yet.

    All segments are read, and those before the chosen one need not be computed. Nothing is written. Raises BadInput for
    files that are damaged, missing or not of this point.
    """
    from nishimori.chains.survey import survey_unchanged

    found = {place: survey_unchanged(place) for place in _places(home)}
    segments = [(place, number) for place, survey in found.items() for number in survey.segments]
    if not segments:
        return None
    place, number = segments[_chosen(seed, identity(config), len(segments))]
    return place, _audited(config, place, found[place], number)


def _chosen(seed: int, point: str, count: int) -> int:
    """One of `count`, whichever other points there are."""
    return int.from_bytes(hashlib.blake2b(f"audit {seed} {point}".encode(), digest_size=8).digest(), "little") % count


def _places(home: Path) -> list[Path]:
    """The point's directory, and those of its batches."""
    from nishimori.chains.writers import BATCHES

    return [home, *sorted(path for path in (home / BATCHES).glob("[0-9]*") if path.is_dir())]


def _audited(config: Config, place: Path, found: "Survey", number: int) -> "Audited":
    from nishimori.chains.progress import silent
    from nishimori.sampling.audit import audit
    from nishimori.sampling.build import problem_of, sampler_of, target_of
    from nishimori.sampling.wishes import Wishes, moving_of

    record = _record(place)
    problem = problem_of(config, identity(config), record.instances)
    target, sampler = target_of(config, problem, record), sampler_of(config, record)
    wishes = Wishes.of(target, **asked_of_chains(config))
    moving = moving_of(target, sampler, record, wishes, silent)
    return audit(moving, wishes.start(target), place, found, number)


def _record(place: Path) -> "CalibrationRecord":
    from nishimori.chains.writers import PointWriter

    record = PointWriter(place).calibration()
    if record is None:
        raise BadInput(f"{place / 'calibration.json'} is missing; restore the file or run this point again")
    return record
