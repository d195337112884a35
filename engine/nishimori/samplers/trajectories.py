"""What samplers that follow trajectories share: the jitter of the number of steps, and trajectories for calibration."""

from collections.abc import Iterator

from torch import Tensor

from nishimori.models.layout import Position, chain_dot
from nishimori.models.randomness import Randomness
from nishimori.models.target import Target
from nishimori.samplers.base import State, gradient_of, require_fraction, require_positive, require_whole
from nishimori.samplers.integration import integrate_
from nishimori.samplers.integrators import Splitting
from nishimori_kernels.rng.streams import Stream


def jittered(num_steps: int, jitter: float, randomness: Randomness, stream: Stream, step: int) -> int:
    """A number of steps, the same for all chains of transition `step`: trajectories of one length could be periodic.

    Uniform on the integers within r of num_steps, r = jitter * num_steps rounded and at least one where jitter is not
    zero; never fewer than one step.
    """
    if jitter == 0:
        return num_steps
    reach = max(1, round(num_steps * jitter))
    low = max(1, num_steps - reach)
    choices = num_steps + reach - low + 1
    return low + int(choices * randomness.shared_uniform(stream, step))


def hamiltonian_trajectory(
    target: Target, splitting: Splitting, state: State, momentum: Position, step_size: Tensor, longest: int
) -> Iterator[tuple[State, Tensor]]:
    """The states after 1, 2, ... `longest` integrator steps from `state` and their energy errors.

    `momentum` is moved in place, and a state is overwritten by the next one.
    """
    before = state.energy + chain_dot(momentum, momentum) / 2
    position, gradient = state.position.clone(), gradient_of(state).clone()
    for _ in range(longest):
        energy = integrate_(target, splitting, position, momentum, gradient, step_size, 1)
        yield State(position, energy, gradient), energy + chain_dot(momentum, momentum) / 2 - before


def require_choices(
    step_size: float | None,
    num_steps: int | None,
    path_length: float | None,
    target_acceptance: float,
    jitter: float = 0.0,
) -> None:
    """ValueError for a value that no trajectory can have, or where length and number of steps are both given."""
    require_positive(step_size=step_size, num_steps=num_steps, path_length=path_length)
    require_whole(num_steps=num_steps)
    if num_steps is not None and path_length is not None:
        raise ValueError("num_steps and path_length were both given; give one of them")
    require_fraction(target_acceptance=target_acceptance)
    if not 0 <= jitter < 1:
        raise ValueError(f"jitter must lie in [0, 1), got {jitter}; try 0.2")
