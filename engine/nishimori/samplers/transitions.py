"""A transition of HMC in place: momentum, trajectory, decision; on CUDA as graphs that are replayed."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nishimori.models.layout import chain_dot
from nishimori.models.randomness import Randomness, Step
from nishimori.models.target import Target
from nishimori.samplers.base import Info, State, Streams, choose_, decide, gradient_of
from nishimori.samplers.integration import Moves
from nishimori.samplers.integrators import Splitting
from nishimori.samplers.recorded import follow, is_recorded, recording


@dataclass(frozen=True)
class Ingredients:
    """What all transitions of a kernel share, whatever their step size."""

    target: Target
    splitting: Splitting
    randomness: Randomness
    streams: Streams


class Transition:
    """The transition number `step` from the state `kept`, to which a chain returns whose proposal is rejected.

    `begin`, `step` and `end` as in `recorded.Recordable`; all random numbers are drawn on the device. `num_steps` is
    what the Info says.
    """

    def __init__(self, given: Ingredients, kept: State, step: Step, step_size: Tensor, num_steps: int) -> None:
        self._given, self._kept, self._number, self._count = given, kept, step, num_steps
        own = kept.position.clone(), kept.position.empty_like(), gradient_of(kept).clone()
        self._moves = Moves(given.target, given.splitting, *own, step_size)
        self._squares: Tensor

    def begin(self) -> None:
        moves, given = self._moves, self._given
        self._squares = given.randomness.refresh_(moves.momentum, given.streams.momentum, self._number)
        moves.begin()

    def step(self) -> None:
        self._moves.step()

    def end(self) -> tuple[State, Info]:
        """The state after it, in memory of its own, and what a reader needs."""
        moves, given = self._moves, self._given
        energy, momentum = moves.end(), moves.momentum
        error = torch.add(energy - self._kept.energy, chain_dot(momentum, momentum) - self._squares, alpha=0.5)
        uniforms = given.randomness.uniforms(given.streams.accept, self._number, error.device)
        info = decide(error, uniforms, self._count)
        return choose_(info.accepted, State(moves.position, energy, moves.gradient), self._kept), info

    def load(self, state: State, step: int, step_size: Tensor) -> None:
        """Another start for a recorded transition, whose step number is in the memory of the device."""
        kept, moves = self._kept, self._moves
        for own in (kept.position, moves.position):
            own.flat.copy_(state.position.flat)
        for own in (gradient_of(kept), moves.gradient):
            own.flat.copy_(gradient_of(state).flat)
        kept.energy.copy_(state.energy)
        moves.step_size.copy_(step_size)
        assert isinstance(self._number, Tensor)
        self._number.fill_(step)


def transition(given: Ingredients, state: State, step: int, step_size: Tensor, num_steps: int) -> tuple[State, Info]:
    """The state after `num_steps` steps or, where they are rejected, `state`.

    On CUDA the launches are recorded once, for any step, step size and number of steps, and replayed.
    """
    if not is_recorded(given.target, state.position):
        return follow(Transition(given, state, step, step_size, num_steps), num_steps)

    def own() -> Transition:
        number = torch.full((1,), step, dtype=torch.int64, device=state.energy.device)
        return Transition(given, _copied(state), number, step_size.clone(), num_steps)

    key = given.splitting.name, tuple(step_size.shape), given.randomness, given.streams
    recorded = recording(given.target, state.position, key, own, num_steps)
    recorded.moves.load(state, step, step_size)
    moved, info = recorded.follow(num_steps)
    tensors = {name: getattr(info, name).clone() for name in ("acceptance", "accepted", "energy_error", "divergent")}
    return _copied(moved), replace(info, num_steps=num_steps, **tensors)


def _copied(state: State) -> State:
    return State(state.position.clone(), state.energy.clone(), gradient_of(state).clone())
