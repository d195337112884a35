"""From the prior to the posterior: a sampler on a likelihood that is switched on step by step.

Transition t of T leaves exp(-b Phi - |theta|^2 / 2) invariant, b = ((t + 1) / T)^3: chains that start at prior draws
are in equilibrium at once and are carried along, where the full likelihood would leave some of them stuck on slopes
too steep for the step size that suits its bulk. It is for warm-up: later transitions are the sampler's own.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from nishimori.models.layout import Position
from nishimori.models.target import Target
from nishimori.models.tempered import TemperedTarget
from nishimori.samplers.base import Info, Kernel, State

POWER = 3


@dataclass(frozen=True, eq=False)
class AnnealedKernel:
    """`make(target)` builds the kernel of a target; the first `transitions` are annealed.

    Two evaluations a transition more than the sampler's, while it anneals.
    """

    make: Callable[[Target], Kernel]
    target: Target
    transitions: int

    def init(self, position: Position) -> State:
        return self.make(self.target).init(position)

    def step(self, state: State, step: int) -> tuple[State, Info]:
        """One transition; `step` addresses its random numbers and sets the temperature."""
        if step + 1 >= self.transitions:
            return self.make(self.target).step(state, step)
        kernel = self.make(TemperedTarget(self.target, (((step + 1) / self.transitions) ** POWER,)))
        moved, info = kernel.step(_with_momentum(kernel.init(state.position), state), step)
        return _with_momentum(self.init(moved.position), moved), info


def _with_momentum(state: State, other: State) -> State:
    return replace(state, momentum=other.momentum)
