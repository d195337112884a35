"""Following a trajectory, step by step, with any of the `integrators`."""

from torch import Tensor

from nishimori.models.layout import Position
from nishimori.models.target import Target
from nishimori.samplers.integrators import Splitting
from nishimori.samplers.recorded import follow, is_recorded, recording


class Moves:
    """The moves of trajectories, in place: `begin`, then `step` for every step but the last, then `end`.

    `gradient` holds dU at the position before `begin` and after `end`; `step_size` is any shape that `layout.broadcast`
    takes. Between two gradients a kick and a drift are one pass over the parameters, and not even that where the target
    has a `mover`.
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
        mover = getattr(target, "mover", None)
        self._mover = mover(position.layout.chains) if mover else None
        self._coefficients: dict[tuple[float, float], Tensor] = {}

    def begin(self) -> None:
        kicks, drifts = self._splitting.kicks, self._splitting.drifts
        self._times = {part: part * self.step_size for part in {*kicks, *drifts, self._splitting.joined_kick}}
        times = self._times[kicks[0]], self._times[drifts[0]]
        self._splitting.kick_drift_(self.position, self.momentum, self.gradient, *times)
        if self._mover is not None:
            self._mover.load(self.position)
            self._coefficients = {pair: self._coefficients_of(*pair) for pair in {self._joined, *self._inner}}

    def step(self) -> None:
        self._inner_parts()
        self._advance(*self._joined)

    def end(self) -> Tensor:
        """The last step; returns U, [instances, chains]."""
        self._inner_parts()
        energy, _ = self._target.energy_and_gradient(self.position, out=self.gradient)
        self._splitting.kick_(self.momentum, self.position, self.gradient, self._times[self._splitting.kicks[-1]])
        return energy

    @property
    def _joined(self) -> tuple[float, float]:
        """Kick and drift where one step ends and the next begins, as fractions of a step."""
        return self._splitting.joined_kick, self._splitting.drifts[0]

    @property
    def _inner(self) -> list[tuple[float, float]]:
        """Those within a step."""
        return list(zip(self._splitting.kicks[1:-1], self._splitting.drifts[1:], strict=True))

    def _coefficients_of(self, kick: float, drift: float) -> Tensor:
        return self._splitting.coefficients(self.position, self._times[kick], self._times[drift])

    def _inner_parts(self) -> None:
        for kick, drift in self._inner:
            self._advance(kick, drift)

    def _advance(self, kick: float, drift: float) -> None:
        """Kick by the force at the position, and drift, by these fractions of a step."""
        if self._mover is not None:
            self._mover.advance_(self.position, self.momentum, self._coefficients[kick, drift])
            return
        self._target.gradient(self.position, out=self.gradient)
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

    recorded = recording(target, position, (splitting.name, tuple(step_size.shape)), copied, num_steps)
    moves = recorded.moves
    pairs = (moves.position, position), (moves.momentum, momentum), (moves.gradient, gradient)
    for own, theirs in pairs:
        own.flat.copy_(theirs.flat)
    moves.step_size.copy_(step_size)
    energy = recorded.follow(num_steps).clone()
    for own, theirs in pairs:
        theirs.flat.copy_(own.flat)
    return energy
