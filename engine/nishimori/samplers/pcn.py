"""Preconditioned Crank-Nicolson: a random walk that keeps the Gaussian prior exactly, and needs no gradient.

Update, with xi ~ N(0, I) and step size b in (0, 1]: propose theta' = sqrt(1 - b^2) theta + b xi and accept with
probability min(1, exp(Phi - Phi')), Phi = U - |theta|^2 / 2. Leaves exp(-U) invariant; b = 1 proposes independent
prior draws. The acceptance depends on the likelihood alone, not on the number of parameters. Over-relaxed, it proposes
theta' = -sqrt(1 - b^2) theta + b xi: as reversible for the prior, and functions that are odd in what the likelihood
ignores average out faster than by independent draws. Source: Cotter, Roberts, Stuart and White 2013, arXiv 1202.0709,
section 4 (Neal 1999); over-relaxation: Adler 1981, Phys. Rev. D 23, 2901.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from nishimori.models.layout import Position, add_scaled_, chain_dot
from nishimori.models.randomness import Randomness
from nishimori.models.target import Target
from nishimori.samplers.base import Info, State, Streams, choose_, decide, require_fraction


@dataclass(frozen=True, eq=False)
class PCNKernel:
    """PCN with everything fixed; step sizes above 1 act as 1. Its states hold no gradient."""

    target: Target
    step_size: Tensor
    randomness: Randomness
    streams: Streams = Streams()
    over_relaxed: bool = False

    def init(self, position: Position) -> State:
        return State(position, self.target.energy(position), None)

    def step(self, state: State, step: int) -> tuple[State, Info]:
        """One transition; `step` addresses its random numbers."""
        noise = self.randomness.fill_normals(state.position.empty_like(), self.streams.momentum, step)
        start = Position(-state.position.flat, state.position.layout) if self.over_relaxed else state.position
        position = start.clone()
        # theta + b (xi - pull theta), pull = (1 - sqrt(1 - b^2)) / b: in float32 a factor close to 1, or a small pull
        # added to theta by itself, would round away.
        pull = self.step_size / (1 + torch.sqrt(1 - self.step_size.square()))
        add_scaled_(noise, start, -pull)
        add_scaled_(position, noise, self.step_size)
        proposed = State(position, self.target.energy(position), None)
        error = _likelihood(proposed) - _likelihood(state)
        uniform = self.randomness.uniforms(self.streams.accept, step, error.device)
        info = decide(error, uniform, 1)
        return choose_(info.accepted, proposed, state), info


def _likelihood(state: State) -> Tensor:
    """Phi, [instances, chains]; the difference is of float64 numbers."""
    return state.energy - chain_dot(state.position, state.position) / 2


@dataclass(frozen=True)
class PCN:
    """What a user asks for; a step size left None is calibrated per instance so that the mean acceptance is
    `target_acceptance` (it is 1, its largest, where even that is accepted more often), and then frozen.

    `over_relaxed` reflects theta before the step and needs a `step_size`: acceptance does not say which is best. Around
    0.9 suits likelihoods that say little.
    """

    step_size: float | None = None
    target_acceptance: float = 0.3
    over_relaxed: bool = False

    def __post_init__(self) -> None:
        if self.over_relaxed and self.step_size is None:
            raise ValueError("over-relaxed PCN cannot be calibrated by its acceptance; give step_size, try 0.9")
        if self.step_size is not None and not 0 < self.step_size <= 1:
            raise ValueError(f"step_size must lie in (0, 1], got {self.step_size}; leave it out to have it calibrated")
        require_fraction(target_acceptance=self.target_acceptance)

    @property
    def num_steps(self) -> int:
        return 1

    @property
    def path_length(self) -> None:
        return None

    @property
    def layer_scales(self) -> bool:
        return False

    @property
    def largest_step_size(self) -> float:
        return 1.0

    def kernel(
        self,
        target: Target,
        step_size: Tensor,
        num_steps: int,
        randomness: Randomness,
        streams: Streams | None = None,
    ) -> PCNKernel:
        """The kernel with the step size filled in; a transition is one proposal whatever `num_steps` says.

        Raises ValueError where the target has no Gaussian prior.
        """
        del num_steps
        if not target.gaussian_prior:
            raise ValueError("PCN needs a N(0, I) prior; use HMC or MALA")
        steps = step_size.to(target.device).clamp(max=1.0)
        return PCNKernel(target, steps, randomness, streams or Streams(), self.over_relaxed)
