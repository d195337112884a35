"""Following a trajectory, step by step, with any of the `integrators`."""

from torch import Tensor

from nishimori.models.layout import Position
from nishimori.models.target import Target
from nishimori.samplers.integrators import Splitting
from nishimori.samplers.recorded import follow, recording


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
        self._kicks: list[Tensor] = []
        self._drifts: list[Tensor] = []
        self._joined: Tensor

    def begin(self) -> None:
        first, *_, last = self._splitting.kicks
        self._kicks = [fraction * self.step_size for fraction in self._splitting.kicks]
        self._drifts = [fraction * self.step_size for fraction in self._splitting.drifts]
        self._joined = (first + last) * self.step_size
        self._advance(self._kicks[0], self._drifts[0])

    def step(self) -> None:
        self._inner_parts()
        self._target.gradient(self.position, out=self.gradient)
        self._advance(self._joined, self._drifts[0])

    def end(self) -> Tensor:
        """The last step; returns U, [instances, chains]."""
        self._inner_parts()
        energy, _ = self._target.energy_and_gradient(self.position, out=self.gradient)
        self._splitting.kick_(self.momentum, self.position, self.gradient, self._kicks[-1])
        return energy

    def _inner_parts(self) -> None:
        for kick, drift in zip(self._kicks[1:-1], self._drifts[1:], strict=True):
            self._target.gradient(self.position, out=self.gradient)
            self._advance(kick, drift)

    def _advance(self, kick: Tensor, drift: Tensor) -> None:
        self._splitting.kick_drift_(self.position, self.momentum, self.gradient, kick, drift)


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

    def copied() -> Moves:
        own = position.clone(), momentum.clone(), gradient.clone()
        return Moves(target, splitting, *own, step_size.clone())

    recorded = recording(target, position, (splitting.name, tuple(step_size.shape)), copied)
    if recorded is None:
        return follow(Moves(target, splitting, position, momentum, gradient, step_size), num_steps)
    moves = recorded.moves
    pairs = (moves.position, position), (moves.momentum, momentum), (moves.gradient, gradient)
    for own, theirs in pairs:
        own.flat.copy_(theirs.flat)
    moves.step_size.copy_(step_size)
    energy = recorded.follow(num_steps).clone()
    for own, theirs in pairs:
        theirs.flat.copy_(own.flat)
    return energy
