"""Microcanonical Langevin Monte Carlo: isokinetic dynamics (see `isokinetic`) with a refreshed direction.

Adjusted (MAMS): draw a direction u uniform on the sphere, follow a jittered number of isokinetic steps, accept with
probability min(1, exp(-(change of U + change of kinetic energy))). Leaves exp(-U) invariant. Source: Robnik,
Cohn-Gordon and Seljak 2025, arXiv 2503.01707.

Unadjusted (MCLMC): before every step u <- (u + nu z) / |u + nu z|, z ~ N(0, I), nu^2 = (exp(2 h / L) - 1) / d, where
L = num_steps * h is the length over which the direction is forgotten and d the number of parameters; no test. In the
limit of small steps it leaves exp(-U) times the uniform law of u invariant; at step size h averages are biased by order
h^2, for Gaussian targets too. Source: Robnik, De Luca, Silverstein and Seljak 2022, arXiv 2212.08549; Robnik and Seljak
2023, arXiv 2303.18221.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from torch import Tensor

from nishimori.models.layout import Position, select
from nishimori.models.randomness import Randomness
from nishimori.models.target import Target
from nishimori.samplers.base import Info, State, Streams, choose_, decide, divergent, gradient_of, momentum_of
from nishimori.samplers.inner_steps import address, follow, require_inner_steps
from nishimori.samplers.isokinetic import integrate_isokinetic_, isokinetic_trajectory, normalize_
from nishimori.samplers.trajectories import jittered, require_choices

LEAST_UNADJUSTED_ACCEPTANCE = 0.95


@dataclass(frozen=True, eq=False)
class AdjustedKernel:
    """MAMS with everything fixed: `step_size` (see `Sampler.kernel`) and one number of steps, `jittered`."""

    target: Target
    step_size: Tensor
    num_steps: int
    jitter: float
    randomness: Randomness
    streams: Streams = Streams()
    gradients_per_step: int = 1

    def init(self, position: Position) -> State:
        return State(position, *self.target.energy_and_gradient(position))

    def step(self, state: State, step: int) -> tuple[State, Info]:
        """One transition; `step` addresses its random numbers."""
        velocity = self._velocity(state, step)
        position, gradient = state.position.clone(), gradient_of(state).clone()
        count = jittered(self.num_steps, self.jitter, self.randomness, self.streams.jitter, step)
        energy, kinetic = integrate_isokinetic_(self.target, position, velocity, gradient, self.step_size, count)
        error = energy - state.energy + kinetic
        info = decide(error, self.randomness.uniforms(self.streams.accept, step, error.device), count)
        return choose_(info.accepted, State(position, energy, gradient), state), info

    def trajectory(self, state: State, step: int, longest: int) -> Iterator[tuple[State, Tensor]]:
        """As `HMCKernel.trajectory`, isokinetic; the direction is that of transition `step`."""
        return isokinetic_trajectory(self.target, state, self._velocity(state, step), self.step_size, longest)

    def _velocity(self, state: State, step: int) -> Position:
        return normalize_(self.randomness.fill_normals(state.position.empty_like(), self.streams.momentum, step))


@dataclass(frozen=True, eq=False)
class UnadjustedKernel:
    """MCLMC without a test, everything fixed; a transition is `num_steps` steps. The state's momentum is u.

    Inner step i of transition t draws at random step 1024 t + i.
    """

    target: Target
    step_size: Tensor
    num_steps: int
    randomness: Randomness
    streams: Streams = Streams()
    gradients_per_step: int = 1

    def init(self, position: Position) -> State:
        velocity = self.randomness.fill_normals(position.empty_like(), self.streams.momentum_start, 0)
        return State(position, *self.target.energy_and_gradient(position), normalize_(velocity))

    def step(self, state: State, step: int) -> tuple[State, Info]:
        """One transition; `step` addresses its random numbers."""
        return follow(self._inner, state, step, self.num_steps)

    def trajectory(self, state: State, step: int, longest: int) -> Iterator[tuple[State, Tensor]]:
        """As `HMCKernel.trajectory`, isokinetic, with a fresh direction."""
        velocity = self.randomness.fill_normals(state.position.empty_like(), self.streams.momentum, address(step))
        return isokinetic_trajectory(self.target, state, normalize_(velocity), self.step_size, longest)

    def _inner(self, state: State, at: int) -> tuple[State, Tensor, Tensor]:
        """A step whose energy error is not finite, or above 1000 in size, is not taken: the chain stays where it is
        and its direction is reversed."""
        start = momentum_of(state)
        velocity = self.randomness.fill_normals(start.empty_like(), self.streams.momentum, at)
        velocity.flat.mul_(math.sqrt(math.expm1(2 / self.num_steps) / self.target.num_parameters)).add_(start.flat)
        normalize_(velocity)
        position, gradient = state.position.clone(), gradient_of(state).clone()
        energy, kinetic = integrate_isokinetic_(self.target, position, velocity, gradient, self.step_size, 1)
        error = energy - state.energy + kinetic
        taken = ~divergent(error)
        reversed_start = Position(-start.flat, start.layout)
        moved = choose_(taken, State(position, energy, gradient), state)
        return replace(moved, momentum=select(taken, velocity, reversed_start)), error, taken


@dataclass(frozen=True)
class MCLMC:
    """What a user asks for; what is left None is chosen by calibration and then frozen.

    A transition is `num_steps` steps, fixed, else `path_length / step_size`, else chosen as for HMC; where `adjusted`
    it is jittered by the relative half-width `jitter`, else it is at most 1024 and the direction is forgotten over it.
    `step_size` compares with leapfrog's (a step moves the position by step_size * sqrt(number of parameters)) and
    `layer_scales` multiplies it layer by layer by the layer's posterior spread.

    `target_acceptance` is that of a transition where `adjusted`, else that which a test of a single step would have,
    and the bias of order step_size^2 remains. For 50 parameters of curvatures 1/30 to 30 the narrowest variances came
    out a third too large at 0.9, and right to a few per cent at 0.98, so that less than 0.95 is refused where the step
    size is to be calibrated. Halve `step_size` and see whether your averages move.
    """

    step_size: float | None = None
    num_steps: int | None = None
    path_length: float | None = None
    adjusted: bool = True
    jitter: float = 0.2
    target_acceptance: float = 0.9
    layer_scales: bool = False

    def __post_init__(self) -> None:
        require_choices(self.step_size, self.num_steps, self.path_length, self.target_acceptance, self.jitter)
        if not self.adjusted:
            require_inner_steps(self.num_steps)
            self._require_small_bias()

    def _require_small_bias(self) -> None:
        if self.step_size is None and self.target_acceptance < LEAST_UNADJUSTED_ACCEPTANCE:
            raise ValueError(
                f"target_acceptance {self.target_acceptance} leaves a large bias where nothing is adjusted; "
                "give target_acceptance 0.98, or a step_size"
            )

    @property
    def largest_step_size(self) -> float:
        return math.inf

    def kernel(
        self,
        target: Target,
        step_size: Tensor,
        num_steps: int,
        randomness: Randomness,
        streams: Streams | None = None,
    ) -> AdjustedKernel | UnadjustedKernel:
        """The kernel with step size and number of steps filled in.

        Raises ValueError where the target has a single parameter, and above 1024 steps where not adjusted.
        """
        if target.num_parameters < 2:
            raise ValueError("MCLMC needs at least 2 parameters: its direction cannot turn in one; use HMC")
        step_size, streams = step_size.to(target.device), streams or Streams()
        if self.adjusted:
            return AdjustedKernel(target, step_size, num_steps, self.jitter, randomness, streams)
        require_inner_steps(num_steps)
        return UnadjustedKernel(target, step_size, num_steps, randomness, streams)
