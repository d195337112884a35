"""What every sampler shares: its state, what it tells a reader, its random streams, and the Metropolis decision."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from nishimori.models.layout import Position, restore_
from nishimori.models.randomness import Randomness
from nishimori.models.target import Target
from nishimori_kernels import accept
from nishimori_kernels.rng.streams import Stream

DIVERGENCE_THRESHOLD = 1000.0


@dataclass(frozen=True, eq=False)
class State:
    """What the next step needs: a position, its energy [instances, chains] (float64) and gradient (None where the
    sampler uses none); the momentum where the sampler keeps one from step to step."""

    position: Position
    energy: Tensor
    gradient: Position | None
    momentum: Position | None = None


@dataclass(frozen=True, eq=False)
class Info:
    """What a reader needs, each [instances, chains] but `num_steps`.

    `acceptance` is min(1, exp(-energy_error)), zero where the energy is not finite; `divergent` marks energy errors
    above 1000 in size, or not finite. A sampler without Metropolis test reports the acceptance it would have had, and
    `accepted` where it moved.
    """

    acceptance: Tensor
    accepted: Tensor
    energy_error: Tensor
    divergent: Tensor
    num_steps: int


class Kernel(Protocol):
    """A sampler with everything fixed: `init` makes a state of a position, `step` is one transition.

    `step` numbers the transition and addresses its random numbers; it reads no Info and keeps nothing.
    """

    def init(self, position: Position) -> State: ...

    def step(self, state: State, step: int) -> tuple[State, Info]: ...


@dataclass(frozen=True)
class Streams:
    """The random streams a kernel draws from: sampling and calibration never share one."""

    momentum: Stream = Stream.MOMENTUM
    accept: Stream = Stream.ACCEPT
    jitter: Stream = Stream.JITTER
    momentum_start: Stream = Stream.MOMENTUM_START
    swap: Stream = Stream.SWAP


CALIBRATION_STREAMS = Streams(
    Stream.CALIBRATION_MOMENTUM,
    Stream.CALIBRATION_ACCEPT,
    Stream.CALIBRATION_JITTER,
    Stream.CALIBRATION_MOMENTUM_START,
    Stream.CALIBRATION_SWAP,
)


class Sampler(Protocol):
    """What a user asks for. Where `step_size` or `num_steps` is None, calibration chooses it and then it is frozen.

    `kernel` fills in the step size ([instances], [instances, chains] or [blocks, instances, chains or 1], float64) and
    the number of steps: integrator steps a transition, or steps in which a momentum is forgotten. `layer_scales`
    asks for a scale of the step size for every layer. Kernels of a sampler that leaves `num_steps` open also have a
    `trajectory` (see `HMCKernel.trajectory`), which calibration follows. Calibration stops at `largest_step_size`:
    where the acceptance stays high at any step, a longer one would turn back.
    """

    @property
    def step_size(self) -> float | None: ...

    @property
    def num_steps(self) -> int | None: ...

    @property
    def path_length(self) -> float | None: ...

    @property
    def target_acceptance(self) -> float: ...

    @property
    def layer_scales(self) -> bool: ...

    @property
    def largest_step_size(self) -> float: ...

    def kernel(
        self,
        target: Target,
        step_size: Tensor,
        num_steps: int,
        randomness: Randomness,
        streams: Streams | None = None,
    ) -> Kernel: ...


def metropolis(energy_error: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor]:
    """Acceptance probability and decision; a NaN or infinite energy error is rejected.

    `energy_error` = H(proposed) - H(current) and `uniform` in (0, 1) are [instances, chains].
    """
    acceptance, accepted, _ = accept.metropolis(energy_error, uniform, DIVERGENCE_THRESHOLD)
    return acceptance, accepted


def decide(energy_error: Tensor, uniform: Tensor, num_steps: int) -> Info:
    """`metropolis`, with all that a reader needs of a transition of `num_steps` steps."""
    acceptance, accepted, diverged = accept.metropolis(energy_error, uniform, DIVERGENCE_THRESHOLD)
    return Info(acceptance, accepted, energy_error, diverged, num_steps)


def divergent(energy_error: Tensor) -> Tensor:
    return ~(energy_error.abs() <= DIVERGENCE_THRESHOLD)


def choose_(accepted: Tensor, proposed: State, current: State) -> State:
    """`proposed` where `accepted` [instances, chains] holds, else `current`, in everything but the momentum.

    Position and gradient are in the memory of `proposed`.
    """
    gradient = None
    if proposed.gradient is not None and current.gradient is not None:
        gradient = proposed.gradient
        restore_(accepted, gradient, current.gradient)
    restore_(accepted, proposed.position, current.position)
    return State(proposed.position, torch.where(accepted, proposed.energy, current.energy), gradient)


def gradient_of(state: State) -> Position:
    """The gradient in a state. Raises ValueError where the sampler that made it uses none."""
    if state.gradient is None:
        raise ValueError("the state holds no gradient; make it with `init` of the kernel that steps it")
    return state.gradient


def momentum_of(state: State) -> Position:
    """The momentum in a state. Raises ValueError where the sampler that made it keeps none."""
    if state.momentum is None:
        raise ValueError("the state holds no momentum; make it with `init` of the kernel that steps it")
    return state.momentum


def require_positive(**values: float | None) -> None:
    """ValueError for a value that is given and not positive and finite."""
    for name, value in values.items():
        if value is not None and not (value > 0 and value < float("inf")):
            raise ValueError(f"{name} must be positive, got {value}; leave it out to have it calibrated")


def require_whole(**values: int | None) -> None:
    for name, value in values.items():
        if not (value is None or type(value) is int):
            raise ValueError(f"{name} must be a whole number, got {value!r}; give an integer")


def require_fraction(**values: float) -> None:
    for name, value in values.items():
        if not 0 < value < 1:
            raise ValueError(f"{name} must lie in (0, 1), got {value}; try 0.8")
