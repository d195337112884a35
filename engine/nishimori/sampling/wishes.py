"""What is asked of the chains of a run, and the chains that do it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from nishimori.adaptation.calibration import CalibrationRecord
from nishimori.chains.loop import Schedule
from nishimori.chains.progress import Progress
from nishimori.chains.start import ChainPlan, initial_position
from nishimori.measurement.observers import has_teacher, is_led, observer_of, require_layer_overlaps
from nishimori.models.layout import Position
from nishimori.models.randomness import Randomness
from nishimori.models.target import Target
from nishimori.samplers.annealing import AnnealedKernel
from nishimori.samplers.base import Kernel, Sampler
from nishimori.samplers.replica_exchange import ReplicaExchange
from nishimori.sampling.moving import Moving
from nishimori.sampling.precision import as_calibrated


@dataclass(frozen=True, eq=False)
class Wishes:
    """The arguments of `sample` that say which chains there are, how long, and what is recorded of them."""

    plan: ChainPlan
    schedule: Schedule
    seed: int
    point: str
    observables: Mapping[str, Callable[[Tensor], Tensor]]
    keep_position: bool
    layer_overlaps: Sequence[str]

    @classmethod
    def of(
        cls,
        target: Target,
        chains: int,
        warmup: int,
        draws: int,
        thin: int,
        start: str | None,
        seed: int,
        point: str,
        keep: str,
        layer_overlaps: Sequence[str],
        observables: Mapping[str, Callable[[Tensor], Tensor]] | None = None,
        only_chains: Sequence[int] | None = None,
    ) -> "Wishes":
        """As `sample` takes them. Raises ValueError as it does."""
        schedule = Schedule(warmup, draws, thin)
        plan = ChainPlan.of(chains, start or ("both" if has_teacher(target) else "prior"), only_chains)
        if keep not in ("observables", "position"):
            raise ValueError(f'keep must be "observables" or "position", got {keep!r}')
        require_layer_overlaps(target, layer_overlaps)
        return cls(plan, schedule, seed, point, observables or {}, keep == "position", layer_overlaps)

    def start(self, target: Target) -> Position:
        """Every chain at its start."""
        return initial_position(target, self.plan, self.seed, self.point)


def moving_of(target: Target, sampler: Sampler, chosen: CalibrationRecord, wishes: Wishes, report: Progress) -> Moving:
    """The chains that do it, calibrated as `chosen`, before their start.

    Raises ValueError where the record is against what `sampler` fixes, or without an instance of `target`.
    """
    target = as_calibrated(target, chosen)
    _require_agreement(sampler, chosen)
    plan = wishes.plan
    randomness = Randomness.of(wishes.seed, wishes.point, target.instances, plan.chains)
    kernel = _kernel(target, sampler, chosen, randomness, wishes.schedule.warmup, is_led(target, plan))
    recorded = wishes.observables, wishes.keep_position, randomness, wishes.layer_overlaps
    observer = observer_of(target, plan.disjoint_pairs(), *recorded)
    return Moving(kernel, observer, wishes.schedule, plan, report)


def _kernel(
    target: Target, sampler: Sampler, record: CalibrationRecord, randomness: Randomness, warmup: int, led: bool
) -> Kernel:
    """As calibrated; the first half of warm-up annealed where chains are to be `led` from the prior."""

    def make(target: Target) -> Kernel:
        return sampler.kernel(target, record.step_size_of(target.instances), record.num_steps, randomness)

    if not led or not target.gaussian_prior or isinstance(sampler, ReplicaExchange):
        return make(target)
    return AnnealedKernel(make, target, warmup // 2)


def _require_agreement(sampler: Sampler, calibration: CalibrationRecord) -> None:
    """ValueError where the record says other than what the sampler fixes."""
    fixed = sampler.step_size
    if fixed is not None and any(step_size != fixed for step_size in calibration.step_size):
        raise ValueError(f"the calibration record has other step sizes than {fixed}; leave one of the two out")
    if sampler.num_steps not in (None, calibration.num_steps):
        raise ValueError(
            f"the calibration record has num_steps {calibration.num_steps}, the sampler {sampler.num_steps}; "
            "leave one of the two out"
        )
