"""Trajectories as CUDA graphs: the launches of a step are recorded once and replayed, as small networks are done with a
kernel sooner than Python asks for the next. The kernels are the same, and so are the bits."""

from typing import Protocol

import torch
from torch import Tensor

from nishimori.models.layout import Position


class Recordable(Protocol):
    """Moves in buffers of their own (see `integration.Moves`), without synchronisation."""

    @property
    def position(self) -> Position: ...

    @property
    def momentum(self) -> Position: ...

    @property
    def gradient(self) -> Position: ...

    @property
    def step_size(self) -> Tensor: ...

    def begin(self) -> None: ...

    def step(self) -> None: ...

    def end(self) -> Tensor: ...


class Recorded:
    """A recording of `moves`, whose buffers trajectories are copied to and from."""

    def __init__(self, moves: Recordable) -> None:
        self._moves = moves
        _warm_up(moves)
        self._step, self._end = torch.cuda.CUDAGraph(), torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._step):
            moves.step()
        with torch.cuda.graph(self._end):
            self._energy = moves.end()

    def follow(
        self, position: Position, momentum: Position, gradient: Position, step_size: Tensor, num_steps: int
    ) -> Tensor:
        """As `integrate_`."""
        moves = self._moves
        pairs = (moves.position, position), (moves.momentum, momentum), (moves.gradient, gradient)
        for own, theirs in pairs:
            own.flat.copy_(theirs.flat)
        moves.step_size.copy_(step_size)
        moves.begin()
        for _ in range(num_steps - 1):
            self._step.replay()
        self._end.replay()
        for own, theirs in pairs:
            theirs.flat.copy_(own.flat)
        return self._energy.clone()


def _warm_up(moves: Recordable) -> None:
    """Compile kernels and allocate buffers, on a stream beside, as recording asks for."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        moves.step()
        moves.end()
    torch.cuda.current_stream().wait_stream(stream)
