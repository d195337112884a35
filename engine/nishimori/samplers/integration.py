"""Following a trajectory, step by step, with any of the `integrators`."""

from torch import Tensor

from nishimori.models.layout import Position
from nishimori.models.target import Target
from nishimori.samplers.integrators import Splitting
from nishimori.samplers.recorded import follow, is_recorded, recording


class Moves:
    """The moves of trajectories, in place: `begin`, then `step` for every step but the last, then `end`.

    `gradient` holds dU at the position before `begin` and after `end`; `step_size` is any shape that `layout.broadcast`
    takes. Between two gradients a kick and a drift are one pass over the parameters.
    """

    def __init__(
        self,
        target: Target,
        splitting: Splitting,
        position: Position,
        momentum: Position,
        gradient: Position,
        step_size: Tensor,
    ) -> None:
        self.position, self.momentum, self.gradient, self.step_size = position, momentum, gradient, step_size
        self._target, self._splitting = target, splitting
        self._times: dict[float, Tensor] = {}

    def begin(self) -> None:
        kicks, drifts = self._splitting.kicks, self._splitting.drifts
        self._times = {part: part * self.step_size for part in {*kicks, *drifts, self._splitting.joined_kick}}
        self._advance(kicks[0], drifts[0])

    def step(self) -> None:
        self._inner_parts()
        self._target.gradient(self.position, out=self.gradient)
        self._advance(self._splitting.joined_kick, self._splitting.drifts[0])

    def end(self) -> Tensor:
        """The last step; returns U, [instances, chains]."""
        self._inner_parts()
        energy, _ = self._target.energy_and_gradient(self.position, out=self.gradient)
        self._splitting.kick_(self.momentum, self.position, self.gradient, self._times[self._splitting.kicks[-1]])
        return energy

    def _inner_parts(self) -> None:
        for kick, drift in zip(self._splitting.kicks[1:-1], self._splitting.drifts[1:], strict=True):
            self._target.gradient(self.position, out=self.gradient)
            self._advance(kick, drift)

    def _advance(self, kick: float, drift: float) -> None:
        """A kick and a drift by these fractions of a step."""
        times = self._times[kick], self._times[drift]
        self._splitting.kick_drift_(self.position, self.momentum, self.gradient, *times)


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

    On CUDA the launches are recorded once where the target allows it, and replayed.
    """
    if not is_recorded(target, position):
        return follow(Moves(target, splitting, position, momentum, gradient, step_size), num_steps)

    def copied() -> Moves:
        own = position.clone(), momentum.clone(), gradient.clone()
        return Moves(target, splitting, *own, step_size.clone())

    recorded = recording(target, position, (splitting.name, tuple(step_size.shape)), copied)
    moves = recorded.moves
    pairs = (moves.position, position), (moves.momentum, momentum), (moves.gradient, gradient)
    for own, theirs in pairs:
        own.flat.copy_(theirs.flat)
    moves.step_size.copy_(step_size)
    energy = recorded.follow(num_steps).clone()
    for own, theirs in pairs:
        theirs.flat.copy_(own.flat)
    return energy
