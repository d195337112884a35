"""Calibration: step size per instance, scales per layer on request, then one number of steps; with chains and random
streams of its own."""

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import cast

import msgspec
import torch
from torch import Tensor

from nishimori.adaptation.alarms import alarms_of, require_finite_start
from nishimori.adaptation.moments import RunningMoments
from nishimori.adaptation.step_size import DualAveraging, search
from nishimori.adaptation.trajectory_length import (
    Observables,
    TrajectoryKernel,
    choose_num_steps,
    num_scans,
    squared_distance,
)
from nishimori.models.layout import Position
from nishimori.models.randomness import Randomness
from nishimori.models.target import Target
from nishimori.samplers.annealing import AnnealedKernel
from nishimori.samplers.base import CALIBRATION_STREAMS, Kernel, Sampler, State


class Schedule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long calibration adapts what: updates of the step size, and of the layer scales between two halves of it.

    Before these come `annealing_updates`, in which a likelihood with a Gaussian prior is switched on step by step. A
    trial transition follows a path of `step_size_path`, in at most `step_size_most_steps` steps.
    """

    annealing_updates: int = 0
    step_size_updates: int = 30
    layer_scale_updates: int = 40
    step_size_path: float = 0.5
    step_size_most_steps: int = 16


NEARBY = Schedule()
FROM_AFAR = Schedule(annealing_updates=75, step_size_updates=75)
"""Where no exact start is known: the chains have to find the bulk of the density first."""


class Choice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A target and integrator that calibration considered.

    `target` is "plain" or "collapsed"; effective samples a gradient of one chain (0 where it was not tried), measured
    seconds a gradient of all chains, and effective samples a second of all chains, by which the best was taken.
    """

    target: str
    integrator: str
    per_gradient: float
    seconds_per_gradient: float
    per_second: float
    chosen: bool
    reason: str


class PrecisionChoice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A precision of the force that was tried: what it loses of the mean acceptance probability against single
    precision, with its standard error, and seconds a gradient of all chains."""

    precision: str
    loss_of_acceptance: float
    standard_error: float
    seconds_per_gradient: float
    chosen: bool
    reason: str


class CalibrationRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What calibration chose, and what it saw: all a chain needs besides its own random numbers.

    `step_size` is per instance, in the order of `instances`; `num_steps` is one integer; `acceptance` (mean over
    instances) and `efficiency` are by number of steps 1, 2, ... where the number of steps was chosen by efficiency;
    `layer_scales` multiply the step size block by block where they were asked for; `alarms` are sentences about what
    looked wrong; `choices` what was considered where target and integrator were chosen too, the chosen one marked, and
    `precisions` likewise where the precision of the force was.
    """

    instances: tuple[int, ...]
    step_size: tuple[float, ...]
    num_steps: int
    acceptance: tuple[float, ...] = ()
    efficiency: tuple[float, ...] = ()
    layer_scales: tuple[float, ...] = ()
    alarms: tuple[str, ...] = ()
    choices: tuple[Choice, ...] = ()
    precisions: tuple[PrecisionChoice, ...] = ()

    @property
    def chosen(self) -> Choice | None:
        """The target and integrator that calibration chose, where the choice was left to it."""
        return next((choice for choice in self.choices if choice.chosen), None)

    @property
    def precision(self) -> str | None:
        """The precision of the force that was measured to be the best, where the choice was left to calibration."""
        return next((choice.precision for choice in self.precisions if choice.chosen), None)

    @property
    def path_length(self) -> float:
        """Mean over instances of step_size * num_steps."""
        return self.num_steps * sum(self.step_size) / len(self.step_size)

    def step_size_of(self, instances: Sequence[int]) -> Tensor:
        """[instances], or [blocks, instances, 1] with layer scales; float64.

        Raises ValueError where an instance was not calibrated.
        """
        known = dict(zip(self.instances, self.step_size, strict=True))
        missing = [instance for instance in instances if instance not in known]
        if missing:
            raise ValueError(
                f"the calibration record has no step size for instance {missing[0]}; calibrate with all instances"
            )
        step_size = torch.tensor([known[instance] for instance in instances], dtype=torch.float64, device="cpu")
        return scaled(step_size, torch.tensor(self.layer_scales, dtype=torch.float64, device="cpu"))


def scaled(step_size: Tensor, layer_scales: Tensor) -> Tensor:
    """`step_size` [instances] by block, [blocks, instances, 1]; itself without scales."""
    return layer_scales[:, None, None] * step_size[:, None] if len(layer_scales) else step_size


def calibrate(
    target: Target,
    sampler: Sampler,
    position: Position,
    randomness: Randomness,
    observables: Observables | None,
    progress: Callable[[int, int, float], None],
    schedule: Schedule = NEARBY,
) -> CalibrationRecord:
    """Choose what `sampler` leaves open, with chains that start at `position`.

    The transitions that adapt the step size (or, where it is given, as many with it) also let the chains forget their
    start before the number of steps is judged, by `observables` or, without any, by the squared distance from the mean
    over chains and updates. `progress(done, total, acceptance)` is called after every transition.

    Raises BadInput where the density is not finite at a start, or no trajectory is accepted.
    """
    fixed = torch.full((len(target.instances),), sampler.step_size or 1.0, dtype=torch.float64, device="cpu")
    needs_count = sampler.num_steps is None and sampler.path_length is None
    if sampler.step_size is not None and not needs_count:
        return _record(target, fixed, _fixed_count(sampler, fixed))
    settling = _Settling(target, sampler, randomness, schedule)
    state = settling.start(position)
    total = settling.updates + needs_count * num_scans(state)
    done = iter(range(1, total + 1))
    state = settling.run(state, lambda acceptance: progress(next(done, total), total, acceptance))
    alarms = alarms_of(settling.step_size, settling.accepted, target.instances)
    if not needs_count:
        count = _fixed_count(sampler, settling.step_size)
        return _record(target, settling.step_size, count, layer_scales=settling.scales, alarms=alarms)
    kernel = cast(TrajectoryKernel, settling.kernel(1))
    observables = observables or squared_distance(settling.moments.mean())
    num_steps, efficiency, acceptance = choose_num_steps(
        kernel, state, observables, settling.updates, lambda value: progress(next(done, total), total, value)
    )
    return _record(target, settling.step_size, num_steps, acceptance, efficiency, settling.scales, alarms)


@dataclass
class _Settling:
    """The phase that adapts step size and layer scales while the chains forget their start."""

    target: Target
    sampler: Sampler
    randomness: Randomness
    schedule: Schedule

    def __post_init__(self) -> None:
        sampler, count = self.sampler, len(self.target.instances)
        guess = sampler.step_size or min(1.0, self.target.num_parameters**-0.25)
        self.step_size = torch.full((count,), guess, dtype=torch.float64, device="cpu")
        self.scales = torch.zeros(0, dtype=torch.float64, device="cpu")
        self.accepted: Tensor | None = None
        self.moments = RunningMoments(self.target.layout(1))
        extra = self.schedule.layer_scale_updates + self.schedule.step_size_updates
        self.updates = self.schedule.annealing_updates + self.schedule.step_size_updates + sampler.layer_scales * extra
        self.annealed = self.schedule.annealing_updates if self.target.gaussian_prior else 0

    def kernel(self, num_steps: int, target: Target | None = None) -> Kernel:
        step_size = scaled(self.step_size, self.scales)
        return self.sampler.kernel(target or self.target, step_size, num_steps, self.randomness, CALIBRATION_STREAMS)

    def start(self, position: Position) -> State:
        state = self.kernel(1).init(position)
        require_finite_start(state, self.target.instances)
        return state

    def run(self, state: State, advance: Callable[[float], None]) -> State:
        schedule, numbers = self.schedule, iter(range(self.updates))
        if self.sampler.step_size is None and not self.target.gaussian_prior:
            state = self._search(state)
        if schedule.annealing_updates:
            annealed = [next(numbers) for _ in range(schedule.annealing_updates)]
            state = self._adapt_step_size(state, annealed, advance)
        state = self._adapt_step_size(state, itertools.islice(numbers, schedule.step_size_updates), advance)
        if self.sampler.layer_scales:
            for number in (next(numbers) for _ in range(schedule.layer_scale_updates)):
                state, acceptance = self._transition(state, number)
                self.moments.update(state.position)
                advance(float(acceptance.mean()))
            self.scales = self.moments.layer_scales()
            state = self._adapt_step_size(state, numbers, advance)
        return state

    def _search(self, state: State) -> State:
        """Powers of two that bring a single step's acceptance near one half: nothing is known of the scales yet."""

        def acceptance_at(step_size: Tensor, attempt: int) -> Tensor:
            self.step_size = step_size
            _, info = self.kernel(1).step(state, self.updates + 2**20 + attempt)
            return info.acceptance.mean(dim=1).cpu()

        self.step_size = search(self.step_size, acceptance_at)
        return state

    def _adapt_step_size(self, state: State, numbers: Iterable[int], advance: Callable[[float], None]) -> State:
        """Unless the step size is given; the chains move on either way."""
        adapts = self.sampler.step_size is None
        averaging = DualAveraging.init(self.step_size)
        self.moments = RunningMoments(self.target.layout(1))
        for number in numbers:
            state, acceptance = self._transition(state, number)
            if averaging.count >= self.schedule.step_size_updates // 2 or not adapts:
                self.moments.update(state.position)
            if adapts:
                averaging = averaging.update(acceptance, self.sampler.target_acceptance)
                self.step_size = averaging.step_size.clamp(max=self.sampler.largest_step_size)
            advance(float(acceptance.mean()))
        if adapts:
            self.step_size = averaging.final().clamp(max=self.sampler.largest_step_size)
        return state

    def _transition(self, state: State, number: int) -> tuple[State, Tensor]:
        schedule = self.schedule
        count = min(schedule.step_size_most_steps, count_of(schedule.step_size_path, self.step_size))
        kernel = AnnealedKernel(lambda target: self.kernel(count, target), self.target, self.annealed)
        state, info = kernel.step(state, number)
        self.accepted = info.accepted if self.accepted is None else self.accepted | info.accepted
        return state, info.acceptance.mean(dim=1).cpu()


def _fixed_count(sampler: Sampler, step_size: Tensor) -> int:
    return sampler.num_steps or count_of(sampler.path_length or 0.0, step_size)


def count_of(path_length: float, step_size: Tensor) -> int:
    return max(1, round(path_length / float(step_size.median())))


def _record(
    target: Target,
    step_size: Tensor,
    num_steps: int,
    acceptance: Sequence[float] = (),
    efficiency: Sequence[float] = (),
    layer_scales: Tensor | None = None,
    alarms: Sequence[str] = (),
) -> CalibrationRecord:
    scales = () if layer_scales is None else tuple(layer_scales.tolist())
    sizes = tuple(step_size.tolist())
    return CalibrationRecord(
        target.instances, sizes, num_steps, tuple(acceptance), tuple(efficiency), scales, tuple(alarms)
    )
