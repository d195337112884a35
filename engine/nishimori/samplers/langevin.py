"""Underdamped (kinetic) Langevin dynamics: a momentum that is forgotten little by little.

With friction gamma, step size h and keep = exp(-gamma h), one refreshment of the momentum is
p <- keep p + sqrt(1 - keep^2) xi, xi ~ N(0, I).

Adjusted (OBABO of Horowitz 1991): refresh, one step of the integrator, Metropolis test on H = U + |p|^2 / 2 after the
refreshment, the momentum reversed where it is rejected. Leaves exp(-U - |p|^2 / 2) invariant. The second half
refreshment of a step and the first of the next are done as one, and the test does not see either. Source: Horowitz
1991, Phys. Lett. B 268, 247; Neal 2011, arXiv 1206.1901, section 5.3.

Unadjusted (BAOAB of Leimkuhler and Matthews 2013, arXiv 1203.5428): half a kick, half a drift, refresh, half a drift,
half a kick, and no test. At fixed friction its averages over positions are biased by order h^2; with leapfrog a
Gaussian target's positions are exact at every stable h.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nishimori.models.layout import Position, add_scaled_, chain_dot, select
from nishimori.models.randomness import Randomness
from nishimori.models.target import Target
from nishimori.samplers.base import (
    Info,
    State,
    Streams,
    choose_,
    divergent,
    gradient_of,
    metropolis,
    momentum_of,
    require_positive,
)
from nishimori.samplers.inner_steps import address, follow, require_inner_steps
from nishimori.samplers.integration import integrate_
from nishimori.samplers.integrators import INTEGRATORS, Splitting
from nishimori.samplers.trajectories import hamiltonian_trajectory, require_choices


@dataclass(frozen=True, eq=False)
class LangevinKernel:
    """Underdamped Langevin dynamics with everything fixed; a transition is `num_steps` steps.

    `step_size` see `Sampler.kernel`; `decay` = friction * step size, of its shape. Inner step i of transition t draws
    at random step 1024 t + i. The state holds the momentum.
    """

    target: Target
    splitting: Splitting
    adjusted: bool
    step_size: Tensor
    decay: Tensor
    num_steps: int
    randomness: Randomness
    streams: Streams = Streams()

    @property
    def gradients_per_step(self) -> int:
        return self.splitting.gradients_per_step

    def init(self, position: Position) -> State:
        momentum = self.randomness.fill_normals(position.empty_like(), self.streams.momentum_start, 0)
        return State(position, *self.target.energy_and_gradient(position), momentum)

    def step(self, state: State, step: int) -> tuple[State, Info]:
        """One transition; `step` addresses its random numbers."""
        return follow(self._obabo if self.adjusted else self._baoab, state, step, self.num_steps)

    def trajectory(self, state: State, step: int, longest: int) -> Iterator[tuple[State, Tensor]]:
        """As `HMCKernel.trajectory`: Hamiltonian, with a fresh momentum."""
        momentum = self.randomness.fill_normals(state.position.empty_like(), self.streams.momentum, address(step))
        return hamiltonian_trajectory(self.target, self.splitting, state, momentum, self.step_size, longest)

    def _obabo(self, state: State, at: int) -> tuple[State, Tensor, Tensor]:
        start = self._refreshed(momentum_of(state), at)
        before = state.energy + chain_dot(start, start) / 2
        position, momentum, gradient = state.position.clone(), start.clone(), gradient_of(state).clone()
        energy = integrate_(self.target, self.splitting, position, momentum, gradient, self.step_size, 1)
        error = energy + chain_dot(momentum, momentum) / 2 - before
        _, accepted = metropolis(error, self.randomness.uniforms(self.streams.accept, at, error.device))
        return _moved(accepted, State(position, energy, gradient, momentum), state, start), error, accepted

    def _baoab(self, state: State, at: int) -> tuple[State, Tensor, Tensor]:
        """The error is that of the energy less what the refreshment added: its exponential is the acceptance that a
        Metropolis test of BAOAB would have. A step whose error is not finite, or above 1000 in size, is not taken:
        the chain stays where it is and its momentum is reversed."""
        kick_, drift_, half = self.splitting.kick_, self.splitting.drift_, self.step_size / 2
        position, momentum, gradient = state.position.clone(), momentum_of(state).clone(), gradient_of(state).clone()
        kinetic = -chain_dot(momentum, momentum)
        kick_(momentum, position, gradient, half)
        drift_(position, momentum, half)
        kinetic += chain_dot(momentum, momentum)
        momentum = self._refreshed(momentum, at)
        kinetic -= chain_dot(momentum, momentum)
        drift_(position, momentum, half)
        energy, _ = self.target.energy_and_gradient(position, out=gradient)
        kick_(momentum, position, gradient, half)
        error = energy - state.energy + (kinetic + chain_dot(momentum, momentum)) / 2
        taken = ~divergent(error)
        return _moved(taken, State(position, energy, gradient, momentum), state, momentum_of(state)), error, taken

    def _refreshed(self, momentum: Position, at: int) -> Position:
        noise = self.randomness.fill_normals(momentum.empty_like(), self.streams.momentum, at)
        refreshed = momentum.clone()
        # keep - 1 without cancellation: rounded to float32, keep would change the variance where it is close to 1.
        add_scaled_(refreshed, momentum, torch.expm1(-self.decay))
        add_scaled_(refreshed, noise, torch.sqrt(-torch.expm1(-2 * self.decay)))
        return refreshed


def _moved(accepted: Tensor, proposed: State, current: State, start: Position) -> State:
    """`proposed` where `accepted`, else `current` with the momentum `start` reversed, in place."""
    start = Position(-start.flat, start.layout)
    return replace(choose_(accepted, proposed, current), momentum=select(accepted, momentum_of(proposed), start))


@dataclass(frozen=True)
class UnderdampedLangevin:
    """What a user asks for; what is left None is chosen by calibration and then frozen.

    A transition is `num_steps` steps (at most 1024), fixed, else `path_length / step_size`, else chosen as for HMC;
    `friction` is 1 / (num_steps * step_size) unless given: a transition forgets about one momentum. `target_acceptance`
    is that of a single step: each rejection reverses the momentum, so it is higher than HMC's. `integrator` as for HMC;
    "leapfrog" or "rotation" where not `adjusted`.

    Without `adjusted` the calibrated step is the one whose test would accept `target_acceptance` on average; the bias
    of order step_size^2 remains. Halve `step_size` and see whether your averages move.
    """

    step_size: float | None = None
    num_steps: int | None = None
    path_length: float | None = None
    friction: float | None = None
    adjusted: bool = True
    integrator: str = "leapfrog"
    target_acceptance: float = 0.98
    layer_scales: bool = False

    def __post_init__(self) -> None:
        if self.integrator not in INTEGRATORS:
            raise ValueError(f"integrator {self.integrator!r} is not known; use one of {', '.join(INTEGRATORS)}")
        if not self.adjusted and self.splitting.gradients_per_step > 1:
            raise ValueError(
                f"integrator {self.integrator!r} has several forces a step and BAOAB one; use leapfrog or rotation"
            )
        require_choices(self.step_size, self.num_steps, self.path_length, self.target_acceptance)
        require_positive(friction=self.friction)
        require_inner_steps(self.num_steps)

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
    ) -> LangevinKernel:
        """The kernel with step size and number of steps filled in.

        Raises ValueError where the integrator needs a Gaussian prior and the target has none, and above 1024 steps.
        """
        if self.splitting.needs_gaussian_prior and not target.gaussian_prior:
            raise ValueError(f"integrator {self.integrator!r} needs a N(0, I) prior; use leapfrog")
        require_inner_steps(num_steps)
        step_size = step_size.to(target.device)
        decay = torch.full_like(step_size, 1 / num_steps) if self.friction is None else self.friction * step_size
        return LangevinKernel(
            target, self.splitting, self.adjusted, step_size, decay, num_steps, randomness, streams or Streams()
        )
