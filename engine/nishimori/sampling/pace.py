"""How long a run will take: transitions timed on the very problem, and what calibration and the information count.

A short calibration on few instances gives a step size, and a path of `PATH` the number of steps, as if calibration
had chosen it: it takes paths between 0.7 and 1.6. Figures are as good as that guess.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from nishimori.adaptation.calibration import FROM_AFAR, NEARBY, Schedule, count_of
from nishimori.adaptation.trajectory_length import (
    COST_OF_A_TRANSITION,
    scan_length,
    scans_of,
)
from nishimori.chains.progress import silent
from nishimori.chains.start import ChainPlan, initial_position
from nishimori.measurement.observers import has_teacher, observer_of
from nishimori.measurement.predictions import PredictionMeans
from nishimori.models.randomness import Randomness
from nishimori.samplers.base import CALIBRATION_STREAMS, Kernel, Sampler, State
from nishimori.sampling.auto import NamedTarget
from nishimori.sampling.build import as_far
from nishimori.sampling.byte_counts import levels_of
from nishimori.sampling.sample import calibration_of
from nishimori.sampling.timing import median_seconds

PATH = 1.1
TRIED_INSTANCES, LEAST_CALLS = 4, 3
SHORT = Schedule(annealing_updates=0, step_size_updates=10)
SHORT_FROM_AFAR = Schedule(annealing_updates=15, step_size_updates=10)


@dataclass(frozen=True)
class Pace:
    """Seconds, for all chains of all instances: of a `transition` of `num_steps` steps of `step_size` (the median over
    instances), of an observation in warm-up, `look`, and of one at a draw, `draw`, with what is kept of it; and of the
    whole `calibration`, estimated."""

    num_steps: int
    step_size: float
    transition: float
    look: float
    draw: float
    calibration: float

    def sampling(self, warmup: int, draws: int, thin: int) -> float:
        """Of a run."""
        return (warmup + draws * thin) * self.transition + warmup * self.look + draws * self.draw


def pace_of(
    target: NamedTarget,
    few: NamedTarget,
    sampler: Sampler,
    plan: ChainPlan,
    layer_overlaps: tuple[str, ...],
    calibration_chains: int,
    seed: int,
    point: str,
) -> Pace:
    """Of `sampler` on `target`; `few` is the same target with few of its instances, on which a step size is found.

    Raises BadInput where the density is not finite at a start.
    """
    schedule = SHORT if has_teacher(few) else SHORT_FROM_AFAR
    tried = as_far(sampler, PATH)
    record = calibration_of(few, tried, seed, point, silent, calibration_chains, schedule)
    step_size = sorted(record.step_size)[len(record.step_size) // 2]
    steps = record.step_size_of(few.instances).median().expand(len(target.instances))
    randomness = Randomness.of(seed, point, target.instances, plan.chains)
    kernel = sampler.kernel(target, steps, record.num_steps, randomness, CALIBRATION_STREAMS)
    moves = _Moves(kernel, kernel.init(initial_position(target, plan, seed, point)))
    observe = observer_of(target, plan.disjoint_pairs(), {}, False, randomness, layer_overlaps)
    means, numbers = PredictionMeans(2), iter(range(2**31))

    def draw() -> None:
        seen = observe(moves.state, next(numbers), is_draw=True)
        if seen.test_predictions is not None:
            means.keep(0, seen.test_predictions, seen.label_means, seen.effective_weights)

    calls: dict[str, Callable[[], object]] = {
        "transition": moves,
        "look": lambda: observe(moves.state, next(numbers), is_draw=False),
        "draw": draw,
    }
    seconds = median_seconds(calls, target.device, LEAST_CALLS)
    ratio = calibration_chains / (len(plan.chains) * levels_of(sampler))
    step, look = ratio * seconds["transition"] / record.num_steps, ratio * seconds["look"]
    calibration = _calibration(target, sampler, step_size, step, look, calibration_chains)
    return Pace(record.num_steps, step_size, **seconds, calibration=calibration)


@dataclass
class _Moves:
    """One transition a call; the first is number 0."""

    kernel: Kernel
    state: State
    done: int = 0

    def __call__(self) -> None:
        self.state, _ = self.kernel.step(self.state, self.done)
        self.done += 1


def _calibration(
    target: NamedTarget, sampler: Sampler, step_size: float, step: float, look: float, chains: int
) -> float:
    """Seconds of `adaptation.calibration.calibrate`, given those of one step and of one observation of its chains."""
    open_count = sampler.num_steps is None and sampler.path_length is None
    if sampler.step_size is not None and not open_count:
        return 0.0
    schedule = NEARBY if has_teacher(target) else FROM_AFAR
    sizes = torch.tensor([step_size], dtype=torch.float64, device="cpu")
    updates = schedule.annealing_updates + schedule.step_size_updates
    trial = min(schedule.step_size_most_steps, count_of(schedule.step_size_path, sizes))
    longest = scan_length(sizes) if open_count else 0
    scans = scans_of(chains * len(target.instances))
    return updates * (trial + COST_OF_A_TRANSITION) * step + scans * longest * (step + look)
