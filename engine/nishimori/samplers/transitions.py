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
from nishimori.samplers.recorded import follow, recording


@dataclass(frozen=True)
class Ingredients:
    """What all transitions of a kernel share, whatever their step size."""

    target: Target
    splitting: Splitting
    randomness: Randomness
    streams: Streams


class Transition:
    """The transition number `step` from the state `kept`, to which a chain returns whose proposal is rejected.

    `begin`, `step` and `end` as in `recorded.Recordable`; all random numbers are drawn on the device.
    """

    def __init__(self, given: Ingredients, kept: State, step: Step, step_size: Tensor) -> None:
        self._given, self._kept, self._number = given, kept, step
        position, momentum, gradient = (kept.position.empty_like() for _ in range(3))
        self._moves = Moves(given.target, given.splitting, position, momentum, gradient, step_size)
        self._squares: Tensor

    def begin(self) -> None:
        moves, given = self._moves, self._given
        moves.position.flat.copy_(self._kept.position.flat)
        moves.gradient.flat.copy_(gradient_of(self._kept).flat)
        self._squares = given.randomness.refresh_(moves.momentum, given.streams.momentum, self._number)
        moves.begin()

    def step(self) -> None:
        self._moves.step()

    def end(self) -> tuple[State, Info]:
        """The state after it, in memory of its own, and what a reader needs but the number of steps."""
        moves, given = self._moves, self._given
        energy, momentum = moves.end(), moves.momentum
        error = torch.add(energy - self._kept.energy, chain_dot(momentum, momentum) - self._squares, alpha=0.5)
        info = decide(error, given.randomness.uniforms(given.streams.accept, self._number, error.device), 0)
        return choose_(info.accepted, State(moves.position, energy, moves.gradient), self._kept), info

    def load(self, state: State, step: int, step_size: Tensor) -> None:
        """Another start for a recorded transition, whose step number is in the memory of the device."""
        kept = self._kept
        kept.position.flat.copy_(state.position.flat)
        gradient_of(kept).flat.copy_(gradient_of(state).flat)
        kept.energy.copy_(state.energy)
        self._moves.step_size.copy_(step_size)
        assert isinstance(self._number, Tensor)
        self._number.fill_(step)


def transition(given: Ingredients, state: State, step: int, step_size: Tensor, num_steps: int) -> tuple[State, Info]:
    """The state after `num_steps` steps or, where they are rejected, `state`; `num_steps` of the Info is left 0.

    On CUDA the launches are recorded once, for any step, step size and number of steps, and replayed.
    """

    def own() -> Transition:
        number = torch.full((1,), step, dtype=torch.int64, device=state.energy.device)
        return Transition(given, _copied(state), number, step_size.clone())

    key = given.splitting.name, tuple(step_size.shape), given.randomness, given.streams
    recorded = recording(given.target, state.position, key, own)
    if recorded is None:
        return follow(Transition(given, state, step, step_size), num_steps)
    recorded.moves.load(state, step, step_size)
    moved, info = recorded.follow(num_steps)
    tensors = {name: getattr(info, name).clone() for name in ("acceptance", "accepted", "energy_error", "divergent")}
    return _copied(moved), replace(info, **tensors)


def _copied(state: State) -> State:
    return State(state.position.clone(), state.energy.clone(), gradient_of(state).clone())
