"""Moves as CUDA graphs: their launches are recorded once and replayed, as small networks are done with a kernel sooner
than Python asks for the next. The kernels are the same, and so are the bits."""

from collections.abc import Callable, Hashable
from typing import Any, Generic, Protocol, TypeVar, cast

import torch

from nishimori.models.layout import Position
from nishimori.models.target import Target
from nishimori_kernels.pieces import held_arguments

MOST_RECORDED = 1 << 24
"""Parameters of all chains up to which launches are recorded: beyond it they cost less than the copies."""
MOST_KEPT = 8
"""Recordings of a target: the oldest goes first, as each holds memory of the GPU."""

Outcome = TypeVar("Outcome")
Outcome_co = TypeVar("Outcome_co", covariant=True)


class Recordable(Protocol[Outcome_co]):
    """Moves in buffers of their own, without synchronisation: `begin`, then `step` for every step but the last, then
    `end`, which returns tensors."""

    def begin(self) -> None: ...

    def step(self) -> None: ...

    def end(self) -> Outcome_co: ...


Moves = TypeVar("Moves", bound=Recordable[Any])


def follow(moves: Recordable[Outcome], num_steps: int) -> Outcome:
    """All of them, launched one by one."""
    moves.begin()
    for _ in range(num_steps - 1):
        moves.step()
    return moves.end()


class _Graph(Generic[Outcome]):
    """What `launches` asks of the GPU, recorded; nothing has run yet. Every replay writes the same tensors."""

    def __init__(self, launches: Callable[[], Outcome]) -> None:
        self._graph = torch.cuda.CUDAGraph()
        with held_arguments() as self._held, torch.cuda.graph(self._graph):
            self._outcome = launches()

    def replay(self) -> Outcome:
        self._graph.replay()
        return self._outcome


class Recorded(Generic[Moves]):
    """A recording of `moves`, whose buffers are what goes in and comes out."""

    def __init__(self, moves: Moves) -> None:
        self.moves = moves
        _warm_up(moves)
        self._begin, self._step, self._end = _Graph(moves.begin), _Graph(moves.step), _Graph(moves.end)

    def follow(self, num_steps: int) -> Any:
        """What `end` returned when it was recorded: valid until the next call."""
        self._begin.replay()
        for _ in range(num_steps - 1):
            self._step.replay()
        return self._end.replay()


def _warm_up(moves: Recordable[Any]) -> None:
    """Compile kernels and allocate buffers, on a stream beside, as recording asks for."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        moves.begin()
        moves.step()
        moves.end()
    torch.cuda.current_stream().wait_stream(stream)


def is_recorded(target: Target, position: Position) -> bool:
    """Whether moves of such positions are: on CUDA, where they are small enough and the target keeps recordings."""
    return can_record(target.device) and position.flat.numel() <= MOST_RECORDED and hasattr(target, "recordings")


def recording(target: Target, position: Position, key: Hashable, make: Callable[[], Moves]) -> Recorded[Moves]:
    """The recording of what `make` makes, kept by a target whose moves are recorded under `key` and the layout of
    `position`."""
    recordings: dict[Hashable, Recorded[Any]] = target.recordings  # pyright: ignore[reportAttributeAccessIssue]
    found = (key, position.layout)
    if found not in recordings:
        if len(recordings) >= MOST_KEPT:
            del recordings[next(iter(recordings))]
        recordings[found] = Recorded(make())
    return cast("Recorded[Moves]", recordings[found])


def can_record(device: torch.device) -> bool:
    return device.type == "cuda"
