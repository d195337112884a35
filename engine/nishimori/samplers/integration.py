"""Following a trajectory, step by step, with any of the `integrators`."""

from dataclasses import dataclass

from torch import Tensor

from nishimori.models.layout import Position
from nishimori.models.target import Target
from nishimori.samplers.integrators import Splitting
from nishimori.samplers.recorded import Recorded

MOST_RECORDED = 1 << 24
"""Parameters of all chains up to which launches are recorded: beyond it they cost less than the copies."""


@dataclass(frozen=True, eq=False)
class Moves:
    """The moves of trajectories, in place: `begin`, then `step` for every step but the last, then `end`.

    `gradient` holds dU at the position before `begin` and after `end`; `step_size` is any shape that `layout.broadcast`
    takes.
    """

    target: Target
    splitting: Splitting
    position: Position
    momentum: Position
    gradient: Position
    step_size: Tensor

    def begin(self) -> None:
        self._kick(self.splitting.kicks[0])

    def step(self) -> None:
        kicks, last = self.splitting.kicks, len(self.splitting.drifts)
        for part in range(1, last + 1):
            self._drift(part)
            self.target.gradient(self.position, out=self.gradient)
            self._kick(kicks[part] + (kicks[0] if part == last else 0.0))

    def end(self) -> Tensor:
        """The last step; returns U, [instances, chains]."""
        kicks, last = self.splitting.kicks, len(self.splitting.drifts)
        for part in range(1, last):
            self._drift(part)
            self.target.gradient(self.position, out=self.gradient)
            self._kick(kicks[part])
        self._drift(last)
        energy, _ = self.target.energy_and_gradient(self.position, out=self.gradient)
        self._kick(kicks[last])
        return energy

    def _kick(self, fraction: float) -> None:
        self.splitting.kick_(self.momentum, self.position, self.gradient, fraction * self.step_size)

    def _drift(self, part: int) -> None:
        self.splitting.drift_(self.position, self.momentum, self.splitting.drifts[part - 1] * self.step_size)


def integrate_(
    target: Target,
    splitting: Splitting,
    position: Position,
    momentum: Position,
    gradient: Position,
    step_size: Tensor,
    num_steps: int,
) -> Tensor:
    """Follow `num_steps` steps in place; returns U at the end, [instances, chains].

    On CUDA the launches of a step are recorded once where the target allows it, and replayed.
    """
    recorded = _recorded(target, splitting, position, step_size)
    if recorded is not None:
        return recorded.follow(position, momentum, gradient, step_size, num_steps)
    moves = Moves(target, splitting, position, momentum, gradient, step_size)
    moves.begin()
    for _ in range(num_steps - 1):
        moves.step()
    return moves.end()


def _recorded(target: Target, splitting: Splitting, position: Position, step_size: Tensor) -> Recorded | None:
    """The recording for positions like this one, made at first use; None where there is none to be had."""
    recordings: dict[object, Recorded] | None = getattr(target, "recordings", None)
    if recordings is None or target.device.type != "cuda" or position.flat.numel() > MOST_RECORDED:
        return None
    key = splitting.name, position.layout, tuple(step_size.shape)
    if key not in recordings:
        own = position.clone(), position.clone(), position.clone()
        recordings[key] = Recorded(Moves(target, splitting, *own, step_size.clone()))
    return recordings[key]
