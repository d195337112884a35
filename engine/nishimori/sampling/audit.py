"""A committed segment computed again, and held against what its file says. Nothing is written."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from nishimori.chains.segments import Arrays, digest
from nishimori.chains.stop import StopRequest
from nishimori.chains.survey import Survey, kept_state
from nishimori.models.layout import Position
from nishimori.sampling.continuation import nearest_state, replay, stand
from nishimori.sampling.moving import Moving


@dataclass(frozen=True)
class Audited:
    """Segment `segment`, transitions `first` to `last`, not included, with `draws` draws, computed again from the state
    at the end of segment `state`, -1 for the start. `differing` are the arrays that came out otherwise, of the first
    segment that did, or of the state at its end where that was kept; empty where all are the same."""

    segment: int
    first: int
    last: int
    draws: int
    state: int
    differing: tuple[str, ...]

    @property
    def same(self) -> bool:
        return not self.differing


def audit(moving: Moving, position: Position, home: Path, found: Survey, segment: int) -> Audited:
    """Compute `segment` of `found` in `home` again, from the nearest state before it that was kept, or from the start
    at `position`. Those between are computed and compared on the way.

    Raises BadInput for a state that is damaged.
    """
    state_at = partial(kept_state, home)
    state = nearest_state(state_at, segment - 1)
    stand(moving, position, state_at, found, state)
    differing: tuple[str, ...] = ()
    for number, arrays in replay(moving, found, state + 1, segment, StopRequest()):
        differing = tuple(_differing(f"segment {number}", arrays, found.segments[number].arrays))
        kept = state_at(number)
        if kept is not None and not differing:
            differing = tuple(_differing(f"state {number}", moving.state_arrays(), kept))
        if differing:
            break
    first, last = found.first(segment), found.last(segment)
    draws = moving.schedule.draws_by(last) - moving.schedule.draws_by(first)
    return Audited(segment, first, last, draws, state, differing)


def _differing(where: str, computed: Arrays, carried: Arrays) -> Iterator[str]:
    """The arrays that differ, as "where: group/name"; by their digests, to which NaN is equal to itself."""
    ours, theirs = _digests(computed), _digests(carried)
    return (f"{where}: {name}" for name in sorted({*ours, *theirs}) if ours.get(name) != theirs.get(name))


def _digests(arrays: Arrays) -> dict[str, str]:
    return {
        f"{group}/{name}": digest({group: {name: values}})
        for group, datasets in arrays.items()
        for name, values in datasets.items()
    }
