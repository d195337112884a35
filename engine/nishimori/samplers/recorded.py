"""Moves as CUDA graphs: their launches are recorded once and replayed, as small networks are done with a kernel sooner
than Python asks for the next. The kernels are the same, and so are the bits."""

import gc
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Generic, Protocol, TypeVar, cast

import torch

from nishimori.models.layout import Position
from nishimori.models.target import Target
from nishimori_kernels.pieces import held_arguments

MOST_RECORDED = 1 << 24
"""Parameters of all chains up to which launches are recorded: beyond it they cost less than the copies."""
MOST_KEPT = 8
"""Recordings of a target: the oldest goes first, as each holds memory of the GPU."""

LONGEST = 32
"""Steps in a graph, at most."""

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


@contextmanager
def _nothing_collected() -> Iterator[None]:
    """Python may collect the graphs of a target that is gone at any time; CUDA gives a recording up where one is
    destroyed meanwhile."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class _Graph(Generic[Outcome]):
    """What `launches` asks of the GPU, recorded; nothing has run yet. Every replay writes the same tensors."""

    def __init__(self, launches: Callable[[], Outcome]) -> None:
        self._graph = torch.cuda.CUDAGraph()
        with _nothing_collected(), held_arguments() as self._held, torch.cuda.graph(self._graph):
            self._outcome = launches()

    def replay(self) -> Outcome:
        self._graph.replay()
        return self._outcome


class Recorded(Generic[Moves]):
    """A recording of `moves`, whose buffers are what goes in and comes out.

    Steps are recorded by 1, 2, 4, ... up to LONGEST at a time, when they are first asked for: between two graphs the
    GPU has nothing to do for longer than between two launches of one.
    """

    def __init__(self, moves: Moves) -> None:
        self.moves = moves
        _warm_up(moves)
        self._begin, self._end = _Graph(moves.begin), _Graph(moves.end)
        self._steps: dict[int, _Graph[None]] = {}

    def reach(self, num_steps: int) -> None:
        """Record what is missing for trajectories of so many steps."""
        for count in {*parts_of(num_steps - 1)} - self._steps.keys():
            self._steps[count] = _Graph(partial(self._take, count))

    def _take(self, count: int) -> None:
        for _ in range(count):
            self.moves.step()

    def follow(self, num_steps: int) -> Any:
        """What `end` returned when it was recorded: valid until the next call."""
        self._begin.replay()
        for count in parts_of(num_steps - 1):
            self._steps[count].replay()
        return self._end.replay()


def parts_of(steps: int) -> list[int]:
    """Powers of two up to LONGEST that sum to `steps`, as few as there can be."""
    whole, rest = divmod(steps, LONGEST)
    return [LONGEST] * whole + [1 << bit for bit in reversed(range(LONGEST.bit_length())) if rest >> bit & 1]


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


def recording(
    target: Target, position: Position, key: Hashable, make: Callable[[], Moves], num_steps: int
) -> Recorded[Moves]:
    """The recording of what `make` makes, for trajectories of `num_steps` steps and others, kept by a target whose
    moves are recorded under `key` and the layout of `position`."""
    recordings: dict[Hashable, Recorded[Any]] = target.recordings  # pyright: ignore[reportAttributeAccessIssue]
    found = (key, position.layout)
    if found not in recordings:
        if len(recordings) >= MOST_KEPT:
            del recordings[next(iter(recordings))]
        recordings[found] = Recorded(make())
    recorded = cast("Recorded[Moves]", recordings[found])
    recorded.reach(num_steps)
    return recorded


def can_record(device: torch.device) -> bool:
    return device.type == "cuda"
