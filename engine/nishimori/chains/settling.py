"""Chains that start far from the bulk of a density, where the step size that suits the bulk is too large.

For a while, transitions take the step size, a quarter and a sixteenth of it in turn. Each of the three kernels leaves
the target invariant, and which is used depends on the number of the transition alone, so warm-up stays a valid chain.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from nishimori.models.layout import Position
from nishimori.samplers.base import Info, Kernel, State

FRACTIONS = (1.0, 1 / 4, 1 / 16)


@dataclass(frozen=True, eq=False)
class SettlingKernel:
    """`kernels` in turn in the first `transitions` transitions, then the first of them alone."""

    kernels: tuple[Kernel, ...]
    transitions: int

    @classmethod
    def of(cls, make: Callable[[Tensor], Kernel], step_size: Tensor, transitions: int) -> "SettlingKernel":
        """`make(step_size)` builds a kernel."""
        return cls(tuple(make(fraction * step_size) for fraction in FRACTIONS), transitions)

    def init(self, position: Position) -> State:
        return self.kernels[0].init(position)

    def step(self, state: State, step: int) -> tuple[State, Info]:
        """One transition; `step` addresses its random numbers and says which kernel takes it."""
        turn = step % len(self.kernels) if step < self.transitions else 0
        return self.kernels[turn].step(state, step)
