"""How many bytes the numbers of a run take, in memory and in files: counted from what one instance leaves.

A segment closes every `run.segment_seconds`; it holds its own draws, statistics and warm-up, and the sums of
every batch of the jackknife (see `measurement.predictions`) that it has a draw of. The sampler state at its end is
kept for the last three segments and every twentieth.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from nishimori.chains.journal import LATEST_STATES, STATES_APART
from nishimori.chains.loop import Schedule
from nishimori.chains.start import ChainPlan
from nishimori.measurement.observables import Observation
from nishimori.measurement.observers import intervals_of, observer_of
from nishimori.measurement.predictions import MOST_BATCHES
from nishimori.models.randomness import Randomness
from nishimori.models.target import Target
from nishimori.samplers.base import Sampler, State
from nishimori.samplers.replica_exchange import ReplicaExchange

DOUBLE = 8
STATISTICS = 4
"""Numbers that a chain's transition leaves: acceptance, accepted, energy error, divergent."""
VECTORS = 3
"""Of a state: position, gradient and momentum."""
DATASET_BYTES, FILE_BYTES, TEXT_BYTES = 600, 8192, 2**16
"""What HDF5 takes for an array and for a file besides the numbers; config, calibration, summary and their kind."""


@dataclass(frozen=True)
class Leaves:
    """Bytes that all chains of one instance leave: of a `draw`, of the scalars of a transition in `warmup`, of the
    `statistics` of any transition, of the `moments` of one batch of draws, of the predictive `intervals`, and of a
    `state`; and how many arrays a segment is made of."""

    draw: int
    warmup: int
    statistics: int
    moments: int
    intervals: int
    state: int
    arrays: int

    @classmethod
    def of(
        cls, target: Target, sampler: Sampler, plan: ChainPlan, keep_position: bool, layer_overlaps: tuple[str, ...]
    ) -> "Leaves":
        """Of a target with one instance: its chains are looked at once, at prior draws."""
        chains, levels = len(plan.chains), levels_of(sampler)
        randomness = Randomness.of(0, "", target.instances, plan.chains)
        observe = observer_of(target, plan.disjoint_pairs(), {}, keep_position, randomness, layer_overlaps)
        position = target.initial_position(plan.chains, "prior", 0)
        state = State(position, *target.energy_and_gradient(position))
        draw, warm = observe(state, 1, is_draw=True), observe(state, 1, is_draw=False)
        scalars = [value for value in warm.values.values() if value.dim() == 2]
        swaps = chains * (levels - 1)
        intervals = intervals_of(target, plan, 2)
        means = draw.test_predictions if draw.test_predictions is not None else torch.empty(0)
        vector = chains * (levels + (levels > 1)) * target.num_parameters * target.dtype.itemsize
        return cls(
            draw=sum(map(_recorded, draw.values.values())),
            warmup=sum(map(_recorded, scalars)),
            statistics=DOUBLE * (STATISTICS * chains + swaps),
            moments=_moments(draw),
            intervals=3 * DOUBLE * means.shape[-1] if intervals else 0,
            state=VECTORS * vector + DOUBLE * chains * levels,
            arrays=len(draw.values) + len(scalars) + STATISTICS + 8,
        )

    def scaled(self, ratio: float) -> "Leaves":
        """With another number of chains."""
        per_chain = {name: math.ceil(getattr(self, name) * ratio) for name in ("draw", "warmup", "statistics")}
        more = {name: math.ceil(getattr(self, name) * ratio) for name in ("moments", "state")}
        return Leaves(**per_chain, **more, intervals=self.intervals, arrays=self.arrays)

    def in_memory(self, instances: int, schedule: Schedule) -> int:
        """Bytes of a Record."""
        return sum(self._of_chains(instances, schedule).values())

    def on_disk(self, instances: int, schedule: Schedule, segments: int) -> dict[str, int]:
        """Bytes by what they are: the groups of segments, `states`, and `containers` for what files take besides."""
        pieces = min(MOST_BATCHES, schedule.draws) + segments - 1
        states = states_kept(segments)
        return {
            **self._of_chains(instances, schedule),
            "moments": pieces * instances * self.moments,
            "intervals": segments * instances * self.intervals,
            "states": states * instances * self.state,
            "containers": segments * (self.arrays * DATASET_BYTES + FILE_BYTES) + states * FILE_BYTES + TEXT_BYTES,
        }

    def _of_chains(self, instances: int, schedule: Schedule) -> dict[str, int]:
        return {
            "draws": schedule.draws * instances * self.draw,
            "warmup": (schedule.warmup + 1) * instances * self.warmup,
            "statistics": schedule.transitions * (instances * self.statistics + DOUBLE),
        }


def levels_of(sampler: Sampler) -> int:
    """Replicas of a chain."""
    return len(sampler.ladder) if isinstance(sampler, ReplicaExchange) else 1


def segments_of(seconds: float, segment_seconds: float, transitions: int) -> int:
    """Of a run that samples for so long: one a transition at the most."""
    return min(transitions, max(1, math.ceil(seconds / max(segment_seconds, 1e-9))))


def states_kept(segments: int) -> int:
    """The last three and every twentieth."""
    return min(segments, LATEST_STATES) + math.ceil(max(0, segments - LATEST_STATES) / STATES_APART)


def _recorded(value: Tensor) -> int:
    """Scalars become float64; vectors keep their precision."""
    return DOUBLE * value.numel() if value.dim() == 2 else value.nbytes


def _moments(draw: Observation) -> int:
    sums = (draw.test_predictions, draw.label_means, draw.effective_weights)
    return sum(DOUBLE * values.numel() for values in sums if values is not None)
