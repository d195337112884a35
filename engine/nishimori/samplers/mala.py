"""The Metropolis-adjusted Langevin algorithm, and its form that is robust in the dimension, pCNL.

Update, with xi ~ N(0, I) and step size h: propose

    langevin   theta' = theta + h (xi - (h / 2) grad U)
    pcnl       theta' = theta + (h / (1 + h^2 / 4)) (xi - (h / 2) grad U)

and accept with the Hastings ratio. A langevin step, theta - (h^2 / 2) grad U + h xi, is one leapfrog step of size h
with momentum xi. With a Gaussian prior, grad U = theta + grad Phi, and delta = h^2 / 2 the second line is
(2 + delta) theta' = (2 - delta) theta - 2 delta grad Phi + sqrt(8 delta) xi: reversible for the prior, so that its
acceptance depends on Phi alone and not on the dimension. Both leave exp(-U) invariant. Source: Roberts and Tweedie
1996; Cotter, Roberts, Stuart and White 2013, arXiv 1202.0709, section 4.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from nishimori.models.layout import Position, add_scaled_, chain_dot
from nishimori.models.randomness import Randomness
from nishimori.models.target import Target
from nishimori.samplers.base import (
    Info,
    State,
    Streams,
    choose_,
    decide,
    gradient_of,
    require_fraction,
    require_positive,
)

Proposal = Callable[[Target, State, Position, Tensor], tuple[State, Tensor]]
"""(target, state, standard normals, step size) to the proposed state and -log of its Hastings ratio."""


@dataclass(frozen=True, eq=False)
class MALAKernel:
    """MALA with everything fixed; `step_size` is [instances] or [instances, chains], for "langevin" also by block."""

    target: Target
    propose: Proposal
    step_size: Tensor
    randomness: Randomness
    streams: Streams = Streams()

    def init(self, position: Position) -> State:
        return State(position, *self.target.energy_and_gradient(position))

    def step(self, state: State, step: int) -> tuple[State, Info]:
        """One transition; `step` addresses its random numbers."""
        noise = self.randomness.fill_normals(state.position.empty_like(), self.streams.momentum, step)
        proposed, error = self.propose(self.target, state, noise, self.step_size)
        uniform = self.randomness.uniforms(self.streams.accept, step, error.device)
        info = decide(error, uniform, 1)
        return choose_(info.accepted, proposed, state), info


def langevin(target: Target, state: State, noise: Position, step_size: Tensor) -> tuple[State, Tensor]:
    """The way back is the proposal with noise (h / 2) (grad U + grad U') - xi."""
    proposed, back = _proposed(target, state, noise, step_size, step_size)
    add_scaled_(back, gradient_of(proposed), -step_size / 2)
    kinetic = (chain_dot(back, back) - chain_dot(noise, noise)) / 2
    return proposed, proposed.energy - state.energy + kinetic


def pcnl(target: Target, state: State, noise: Position, step_size: Tensor) -> tuple[State, Tensor]:
    delta = step_size.square() / 2
    proposed, _ = _proposed(target, state, noise, step_size, step_size / (1 + delta / 2))
    return proposed, _rho(proposed, state, delta) - _rho(state, proposed, delta)


LONGEST_PCNL = 2.0
"""Where pCNL's proposal forgets theta; longer steps turn back."""

PROPOSALS: dict[str, Proposal] = {"langevin": langevin, "pcnl": pcnl}


def _proposed(
    target: Target, state: State, noise: Position, step_size: Tensor, length: Tensor
) -> tuple[State, Position]:
    """The state at theta + length * velocity, and the velocity xi - (h / 2) grad U."""
    position, velocity = state.position.clone(), noise.clone()
    add_scaled_(velocity, gradient_of(state), -step_size / 2)
    add_scaled_(position, velocity, length)
    return State(position, *target.energy_and_gradient(position)), velocity


def _rho(start: State, end: State, delta: Tensor) -> Tensor:
    """rho(u, v) = Phi + <v - u, g> / 2 + (delta / 4) (<u + v, g> + |g|^2), g = grad Phi at u."""
    u, v, force = start.position, end.position, gradient_of(start).clone()
    force.flat.sub_(u.flat)
    likelihood = start.energy - chain_dot(u, u) / 2
    quarter = delta.unsqueeze(-1) / 4 if delta.dim() == 1 else delta / 4
    forward, here = chain_dot(v, force), chain_dot(u, force)
    return likelihood + (forward - here) / 2 + quarter * (forward + here + chain_dot(force, force))


@dataclass(frozen=True)
class MALA:
    """What a user asks for; a step size left None is calibrated per instance so that the mean acceptance is
    `target_acceptance`, and then frozen.

    `proposal` "langevin", "pcnl" (needs a N(0, I) prior), or "auto": pcnl where the prior is N(0, I), else langevin.
    """

    step_size: float | None = None
    proposal: str = "auto"
    target_acceptance: float = 0.574

    def __post_init__(self) -> None:
        if self.proposal not in ("auto", *PROPOSALS):
            raise ValueError(f"proposal {self.proposal!r} is not known; use one of auto, {', '.join(PROPOSALS)}")
        require_positive(step_size=self.step_size)
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
        return LONGEST_PCNL if self.proposal == "pcnl" else math.inf

    def kernel(
        self,
        target: Target,
        step_size: Tensor,
        num_steps: int,
        randomness: Randomness,
        streams: Streams | None = None,
    ) -> MALAKernel:
        """The kernel with the step size filled in; a transition is one step whatever `num_steps` says.

        A calibrated step of pcnl is at most 2. Raises ValueError where pcnl is asked for and the target has no Gaussian
        prior.
        """
        del num_steps
        automatic = "pcnl" if target.gaussian_prior else "langevin"
        name = automatic if self.proposal == "auto" else self.proposal
        if name == "pcnl" and not target.gaussian_prior:
            raise ValueError('proposal "pcnl" needs a N(0, I) prior; use langevin')
        step_size = step_size.to(target.device)
        if name == "pcnl" and self.step_size is None:
            step_size = step_size.clamp(max=LONGEST_PCNL)
        return MALAKernel(target, PROPOSALS[name], step_size, randomness, streams or Streams())
