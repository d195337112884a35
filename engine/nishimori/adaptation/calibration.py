"""Calibration: step size per instance, then one number of steps, with chains and random streams of its own."""

from collections.abc import Callable, Sequence

import msgspec
import torch
from torch import Tensor

from nishimori.adaptation.step_size import DualAveraging
from nishimori.adaptation.trajectory_length import Observables, choose_num_steps, num_scans
from nishimori.models.layout import Position
from nishimori.models.randomness import Randomness
from nishimori.samplers.base import State, Target
from nishimori.samplers.hmc import CALIBRATION_STREAMS, HMC, HMCKernel

STEP_SIZE_UPDATES = 30
STEP_SIZE_PATH = 0.5
STEP_SIZE_MOST_STEPS = 16


class CalibrationRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What calibration chose, and what it saw: all a chain needs besides its own random numbers.

    `step_size` is per instance, in the order of `instances`; `num_steps` is one integer; `acceptance` (mean over
    instances) and `efficiency` are by number of steps 1, 2, ... where the number of steps was chosen by efficiency.
    """

    instances: tuple[int, ...]
    step_size: tuple[float, ...]
    num_steps: int
    acceptance: tuple[float, ...] = ()
    efficiency: tuple[float, ...] = ()

    @property
    def path_length(self) -> float:
        """Mean over instances of step_size * num_steps."""
        return self.num_steps * sum(self.step_size) / len(self.step_size)

    def step_size_of(self, instances: Sequence[int]) -> Tensor:
        """[instances], float64. Raises ValueError where an instance was not calibrated."""
        known = dict(zip(self.instances, self.step_size, strict=True))
        missing = [instance for instance in instances if instance not in known]
        if missing:
            raise ValueError(
                f"the calibration record has no step size for instance {missing[0]}; calibrate with all instances"
            )
        return torch.tensor([known[instance] for instance in instances], dtype=torch.float64, device="cpu")


def calibrate(
    target: Target,
    hmc: HMC,
    position: Position,
    randomness: Randomness,
    observables: Observables,
    progress: Callable[[int, int, float], None],
) -> CalibrationRecord:
    """Choose what `hmc` leaves open, with chains that start at `position`, a draw from the target.

    The transitions that adapt the step size (or, where it is given, as many with it) also let the chains forget their
    start before the number of steps is judged. `progress(done, total, acceptance)` is called after every transition.

    Raises BadInput where no trajectory is accepted.
    """
    needs_count = hmc.num_steps is None and hmc.path_length is None
    guess = hmc.step_size or target.num_parameters**-0.25
    step_size = torch.full((len(target.instances),), guess, dtype=torch.float64, device="cpu")
    if hmc.step_size is not None and not needs_count:
        return _record(target, step_size, _fixed_count(hmc, step_size))
    kernel = hmc.kernel(target, step_size, 1, randomness, CALIBRATION_STREAMS)
    state = kernel.init(position)
    total = STEP_SIZE_UPDATES + needs_count * num_scans(state)
    state, step_size = _settle(hmc, kernel, state, lambda update, a: progress(update + 1, total, a))
    if not needs_count:
        return _record(target, step_size, _fixed_count(hmc, step_size))
    done = iter(range(STEP_SIZE_UPDATES + 1, total + 1))
    kernel = hmc.kernel(target, step_size, 1, randomness, CALIBRATION_STREAMS)
    num_steps, efficiency, acceptance = choose_num_steps(
        kernel, state, observables, STEP_SIZE_UPDATES, lambda a: progress(next(done), total, a)
    )
    return _record(target, step_size, num_steps, acceptance, efficiency)


def _settle(hmc: HMC, kernel: HMCKernel, state: State, advance: Callable[[int, float], None]) -> tuple[State, Tensor]:
    """Adapt the step size unless it is given; the chains move on either way."""
    averaging = DualAveraging.init(kernel.step_size)
    step_size = kernel.step_size
    for update in range(STEP_SIZE_UPDATES):
        count = min(STEP_SIZE_MOST_STEPS, _count(STEP_SIZE_PATH, step_size))
        trial = hmc.kernel(kernel.target, step_size, count, kernel.randomness, CALIBRATION_STREAMS)
        state, info = trial.step(state, update)
        acceptance = info.acceptance.mean(dim=1).cpu()
        if hmc.step_size is None:
            averaging = averaging.update(acceptance, hmc.target_acceptance)
            step_size = averaging.step_size
        advance(update, float(acceptance.mean()))
    return state, averaging.final() if hmc.step_size is None else step_size


def _fixed_count(hmc: HMC, step_size: Tensor) -> int:
    return hmc.num_steps or _count(hmc.path_length or 0.0, step_size)


def _count(path_length: float, step_size: Tensor) -> int:
    return max(1, round(path_length / float(step_size.median())))


def _record(
    target: Target,
    step_size: Tensor,
    num_steps: int,
    acceptance: Sequence[float] = (),
    efficiency: Sequence[float] = (),
) -> CalibrationRecord:
    return CalibrationRecord(
        target.instances, tuple(step_size.tolist()), num_steps, tuple(acceptance), tuple(efficiency)
    )
