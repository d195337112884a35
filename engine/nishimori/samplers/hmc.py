"""Hamiltonian Monte Carlo.

Update: draw a momentum p ~ N(0, I), follow Hamilton's equations for a jittered number of steps, accept with probability
min(1, exp(H - H')), H = U + |p|^2 / 2 (see `transitions`). Leaves exp(-U) invariant. Source: Duane, Kennedy, Pendleton,
Roweth 1987; Neal 2011, arXiv 1206.1901, sections 3.2 and 4; the prior-exact splitting: Beskos et al. 2011.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from nishimori.models.layout import Position
from nishimori.models.randomness import Randomness
from nishimori.models.target import Target
from nishimori.samplers.base import Info, State, Streams
from nishimori.samplers.integrators import INTEGRATORS, Splitting
from nishimori.samplers.trajectories import hamiltonian_trajectory, jittered, require_choices
from nishimori.samplers.transitions import Ingredients, transition


@dataclass(frozen=True, eq=False)
class HMCKernel:
    """HMC with everything fixed: `step_size` (see `Sampler.kernel`) and one number of steps, `jittered`."""

    target: Target
    splitting: Splitting
    step_size: Tensor
    num_steps: int
    jitter: float
    randomness: Randomness
    streams: Streams = Streams()

    @property
    def gradients_per_step(self) -> int:
        return self.splitting.gradients_per_step

    @cached_property
    def ingredients(self) -> Ingredients:
        return Ingredients(self.target, self.splitting, self.randomness, self.streams)

    def init(self, position: Position) -> State:
        return State(position, *self.target.energy_and_gradient(position))

    def step(self, state: State, step: int) -> tuple[State, Info]:
        """One transition; `step` addresses its random numbers."""
        count = jittered(self.num_steps, self.jitter, self.randomness, self.streams.jitter, step)
        return transition(self.ingredients, state, step, self.step_size, count)

    def trajectory(self, state: State, step: int, longest: int) -> Iterator[tuple[State, Tensor]]:
        """The states after 1, 2, ... `longest` integrator steps from `state` and their energy errors.

        The momentum is that of transition `step`; a state is overwritten by the next one.
        """
        momentum = self.randomness.fill_normals(state.position.empty_like(), self.streams.momentum, step)
        return hamiltonian_trajectory(self.target, self.splitting, state, momentum, self.step_size, longest)


@dataclass(frozen=True)
class HMC:
    """What a user asks for; what is left None is chosen by calibration and then frozen.

    `integrator` "leapfrog", "rotation", "minimum_norm", "minimum_norm_rotation" or "fourth_order"; `step_size` fixed
    for all instances, else per instance so that the mean acceptance is `target_acceptance`; `num_steps` fixed, else
    `path_length / step_size`, else chosen by efficiency; `jitter` the relative half-width of the number of steps,
    rounded to steps and at least one (0 switches it off); `layer_scales` multiplies the step size layer by layer by the
    layer's posterior spread.
    """

    integrator: str = "leapfrog"
    step_size: float | None = None
    num_steps: int | None = None
    path_length: float | None = None
    target_acceptance: float = 0.8
    jitter: float = 0.2
    layer_scales: bool = False

    def __post_init__(self) -> None:
        if self.integrator not in INTEGRATORS:
            known = ", ".join(INTEGRATORS)
            raise ValueError(f"integrator {self.integrator!r} is not known; use one of {known}")
        require_choices(self.step_size, self.num_steps, self.path_length, self.target_acceptance, self.jitter)

    @property
    def splitting(self) -> Splitting:
        return INTEGRATORS[self.integrator]

    @property
    def largest_step_size(self) -> float:
        return self.splitting.largest_step_size

    def kernel(
        self,
        target: Target,
        step_size: Tensor,
        num_steps: int,
        randomness: Randomness,
        streams: Streams | None = None,
    ) -> HMCKernel:
        """The kernel with step size and number of steps filled in.

        Raises ValueError where the integrator needs a Gaussian prior and the target has none.
        """
        if self.splitting.needs_gaussian_prior and not target.gaussian_prior:
            raise ValueError(f"integrator {self.integrator!r} needs a N(0, I) prior; use leapfrog")
        step_size = step_size.to(target.device)
        return HMCKernel(target, self.splitting, step_size, num_steps, self.jitter, randomness, streams or Streams())
