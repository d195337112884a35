"""A run that commits what it gathers, and goes on where an earlier one was stopped."""

from collections.abc import Callable, Iterator

from nishimori.chains.journal import Journal
from nishimori.chains.segments import Arrays, digest
from nishimori.chains.stop import Stopped, StopRequest
from nishimori.chains.survey import Survey
from nishimori.description.errors import BadInput
from nishimori.models.layout import Position
from nishimori.sampling.headway import Meter
from nishimori.sampling.in_time import whole
from nishimori.sampling.moving import Moving

StateAt = Callable[[int], Arrays | None]
"""The state at the end of a segment of this number; None where it was not kept."""
DIFFERENCE = "machine, versions or threads differ from those that sampled it"


def go_on(moving: Moving, position: Position, journal: Journal) -> None:
    """Take `moving` to the end of its schedule, from `position` or from the newest state that `journal` kept.

    A segment that was lost is computed again from the nearest state before it, and must be the one that its successor
    records. Raises Stopped after a commit where a stop was asked for, and BadInput where what is there cannot be gone
    on from.
    """
    found = journal.survey()
    for hole in found.holes:
        found = _repaired(moving, position, journal, found, hole)
    newest = found.newest
    state = nearest_state(journal.state_at, newest)
    stand(moving, position, journal.state_at, found, state)
    if state < newest:
        journal.tell(f"{_told(moving, found, state + 1, newest)} are drawn again: their state is lost")
        _replayed(moving, journal, found, state + 1, newest)
        journal.restore_state(newest, moving.state_arrays())
    journal.go_on_after(newest, found.digest(newest), found.milliseconds)
    try:
        _commit_all(moving, journal)
    finally:
        journal.close()


def _commit_all(moving: Moving, journal: Journal) -> None:
    committed, meter = moving.step, Meter(moving.record, ignored=moving.observer.own.functions)
    for step in moving.advance():
        ended = step == moving.schedule.transitions
        stop = "" if ended else journal.stop.reason
        if ended or stop or journal.due():
            journal.commit(committed, moving.groups(committed), moving.state_arrays(), meter.look(step))
            committed = step
        if stop:
            raise Stopped(stop)


def _repaired(moving: Moving, position: Position, journal: Journal, found: Survey, hole: int) -> Survey:
    """With the segment that is missing computed again and published."""
    state = nearest_state(journal.state_at, hole - 1)
    journal.tell(f"{_told(moving, found, state + 1, hole)} are drawn again: their segment is lost")
    stand(moving, position, journal.state_at, found, state)
    lost = _replayed(moving, journal, found, state + 1, hole)
    journal.repair(hole, found.first(hole), found.digest(hole - 1), lost)
    return journal.survey()


def nearest_state(state_at: StateAt, number: int) -> int:
    """The newest of the segments up to `number` whose state is there; -1 for none."""
    return next((at for at in range(number, -1, -1) if state_at(at) is not None), -1)


def stand(moving: Moving, position: Position, state_at: StateAt, found: Survey, number: int) -> None:
    """Take `moving` to the end of segment `number`, with what was gathered up to there; to the start, at `position`,
    for -1."""
    state = state_at(number) if number >= 0 else None
    if state is None:
        moving.begin(position)
        return
    gathered = whole([found.segments[at].arrays for at in range(number + 1)], moving.schedule.draws)
    moving.resume(gathered, state, found.last(number))


def replay(moving: Moving, found: Survey, first: int, last: int, stop: StopRequest) -> Iterator[tuple[int, Arrays]]:
    """Compute segments `first` to `last` again, from the end of the one before: each number, and what it holds now.

    Raises Stopped where `stop` asks for it.
    """
    for number in range(first, last + 1):
        begun = moving.step
        for step in moving.advance():
            stop.obey()
            if step == found.last(number):
                break
        yield number, moving.groups(begun)


def _replayed(moving: Moving, journal: Journal, found: Survey, first: int, last: int) -> Arrays:
    """Through segments `first` to `last`, each computed again as it was; returns the last one's arrays."""
    arrays: Arrays = {}
    for number, arrays in replay(moving, found, first, last, journal.stop):
        if digest(arrays) != found.digest(number):
            raise BadInput(
                f"segment {number} was computed again and came out otherwise: {DIFFERENCE}; go on there, or give a new "
                "directory"
            )
    return arrays


def _told(moving: Moving, found: Survey, first: int, last: int) -> str:
    schedule = moving.schedule
    draws = schedule.draws_by(found.last(last)) - schedule.draws_by(found.first(first))
    return f"transitions {found.first(first)} to {found.last(last) - 1}, {draws} draws,"
