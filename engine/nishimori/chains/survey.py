"""What an earlier run left of its segments: those that are whole, and those to be computed again."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nishimori.chains.files import quarantine
from nishimori.chains.segments import Arrays, NotRead, read_stored
from nishimori.description.errors import BadInput


@dataclass(frozen=True, eq=False)
class Committed:
    """A segment that is whole: transitions `first` to `last`, not included, which took `milliseconds`, 0 where that is
    not known."""

    first: int
    last: int
    digest: str
    previous: str
    arrays: Arrays
    milliseconds: int = 0


@dataclass(frozen=True, eq=False)
class Survey:
    """`segments` by number, `newest` the largest of these, -1 where there is none. A number below it without a segment
    is a hole, and its neighbours are there."""

    segments: dict[int, Committed]

    @property
    def newest(self) -> int:
        return max(self.segments, default=-1)

    @property
    def milliseconds(self) -> int:
        """That all segments took, as far as it is known."""
        return sum(segment.milliseconds for segment in self.segments.values())

    @property
    def holes(self) -> list[int]:
        return [number for number in range(self.newest) if number not in self.segments]

    def first(self, number: int) -> int:
        """The first transition of a segment or hole."""
        return self.segments[number].first if number in self.segments else self.last(number - 1)

    def last(self, number: int) -> int:
        """The transition after the last one of a segment or hole; 0 for -1, before the first."""
        if number < 0:
            return 0
        return self.segments[number].last if number in self.segments else self.segments[number + 1].first

    def digest(self, number: int) -> str:
        """That of a segment or hole; of a hole as its successor records it; empty for -1."""
        if number < 0:
            return ""
        return self.segments[number].digest if number in self.segments else self.segments[number + 1].previous


def name_of(number: int) -> str:
    return f"{number:06d}.h5"


def survey(directory: Path, tell: Callable[[str], None]) -> Survey:
    """Of `directory`/segments. A damaged file is renamed, and `tell` is given a sentence.

    Raises BadInput where segments are there and none can be read: going on would be starting from zero; and where they
    are not of one run. Raises NotRead, a BadInput, where one may be whole: it is left as it is.
    """
    folder = directory / "segments"
    paths = sorted(folder.glob("[0-9]*.h5"))
    whole: dict[int, Committed] = {}
    damaged: dict[int, tuple[Path, str]] = {}
    for path in paths:
        try:
            whole[int(path.stem)] = _committed(path)
        except NotRead:
            raise
        except BadInput as refusal:
            damaged[int(path.stem)] = path, str(refusal)
    if damaged and not whole:
        number = min(damaged)
        raise BadInput(
            f"{damaged[number][1]}; it is all there is, and going on would start from zero: remove {directory} for that"
        )
    for path, reason in damaged.values():
        tell(f"{reason.partition(';')[0]}; it lies at {quarantine(path)} now, and its draws are drawn again")
    if whole and min(whole) > 1:
        raise BadInput(
            f"{folder} lacks its first segments, and going on would start from zero: remove {directory} for that"
        )
    found = Survey(_reachable(whole, folder, tell))
    _require_one_run(found, folder)
    return found


def survey_unchanged(directory: Path) -> Survey:
    """Of `directory`/segments, which another process may be adding to; nothing is renamed.

    Raises BadInput for a segment that is damaged or missing, and where they are not of one run.
    """
    folder = directory / "segments"
    newest = max((int(path.stem) for path in folder.glob("[0-9]*.h5")), default=-1)
    # By number, not as listed: a listing that runs beside a writer may skip a file and hold its successor.
    found = Survey({number: _committed(folder / name_of(number)) for number in range(newest + 1)})
    _require_one_run(found, folder)
    return found


def kept_state(directory: Path, number: int) -> Arrays | None:
    """The state at the end of segment `number` in `directory`/states; None where it was not kept, or another process
    removes it at this moment. Raises BadInput for one that is damaged, or of another number."""
    path = directory / "states" / name_of(number)
    try:
        return _state(path, number) if path.exists() else None
    except BadInput:
        if path.exists():
            raise
        return None


def _state(path: Path, number: int) -> Arrays:
    stored = read_stored(path)
    if stored.attributes.get("segment") != number:
        raise BadInput(f"{path} is no state of that number; restore the file or run this point again")
    return stored.arrays


def _committed(path: Path) -> Committed:
    stored = read_stored(path)
    arrays, attributes = stored.arrays, stored.attributes
    first = int(attributes.get("first", 0))
    steps = arrays.get("statistics", {}).get("num_steps")
    if attributes.get("segment") != int(path.stem) or steps is None:
        raise BadInput(f"{path} is no segment of that number; restore the file or run this point again")
    digest, previous = str(attributes["digest"]), str(attributes.get("previous", ""))
    return Committed(first, first + len(steps), digest, previous, arrays, int(attributes.get("milliseconds", 0)))


def _reachable(whole: dict[int, Committed], folder: Path, tell: Callable[[str], None]) -> dict[int, Committed]:
    """Without what follows two holes in a row: where one ended and the other began is not known any more."""
    kept: dict[int, Committed] = {}
    for number in sorted(whole):
        if number - max(kept, default=-1) > 2:
            path = folder / name_of(number)
            tell(f"{path} follows two lost segments; it lies at {quarantine(path)} now, and its draws are drawn again")
        else:
            kept[number] = whole[number]
    return kept


def _require_one_run(found: Survey, folder: Path) -> None:
    for number, segment in found.segments.items():
        before = number - 1
        if before in found.segments:
            fits = segment.previous == found.digest(before) and segment.first == found.last(before)
        else:
            fits = before >= 0 or (segment.previous == "" and segment.first == 0)
        if not fits:
            raise BadInput(
                f"{folder / name_of(number)} does not follow the segment before it; restore the files of this run, or "
                "remove the directory to start from zero"
            )
