"""The chains of a run on their way: what they gathered so far, and the state they go on from."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from nishimori.adaptation.alarms import require_finite_start
from nishimori.chains.loop import Schedule, Transition, chain_loop
from nishimori.chains.progress import Progress
from nishimori.chains.record import Record
from nishimori.chains.start import ChainPlan
from nishimori.measurement.intervals import PredictiveIntervals
from nishimori.measurement.observables import Observation
from nishimori.measurement.observers import Observer, intervals_of
from nishimori.measurement.predictions import PredictionMeans
from nishimori.models.layout import Position
from nishimori.models.target import Target
from nishimori.samplers.base import Kernel, State
from nishimori.sampling.states import arrays_of, state_of

Groups = Mapping[str, Mapping[str, NDArray[Any]]]


@dataclass(eq=False)
class Moving:
    """The chains of `plan` of every instance after `step` transitions of `schedule`. What is gathered is a function of
    the transitions alone, however often they were interrupted."""

    kernel: Kernel
    observer: Observer
    schedule: Schedule
    plan: ChainPlan
    report: Progress
    step: int = 0
    _state: State | None = None
    record: Record = field(init=False)
    predictions: PredictionMeans = field(init=False)
    intervals: PredictiveIntervals | None = field(init=False)

    def __post_init__(self) -> None:
        self._clear()

    @property
    def state(self) -> State:
        """Of chains that have begun."""
        assert self._state is not None
        return self._state

    @property
    def target(self) -> Target:
        return self.observer.target

    def begin(self, position: Position) -> None:
        """At the start. Raises ValueError where the density is not finite there."""
        self._clear()
        self._state, self.step = self.kernel.init(position), 0
        require_finite_start(self.state, self.target.instances)
        self.record.keep_start(self.observer(self.state, 0, is_draw=False).values)

    def resume(self, gathered: Groups, state: Groups, step: int) -> None:
        """Where a run stood after `step` transitions that `gathered` this (see `groups` and `in_time.whole`)."""
        self._clear()
        self.record.put_back(gathered)
        device = self.target.device
        self.predictions = PredictionMeans.from_host(self.schedule.draws, gathered.get("moments", {}), device)
        if self.intervals:
            self.intervals.put_back(gathered.get("intervals", {}), device)
        self._state, self.step = state_of(self.target, len(self.plan.chains), state), step

    def advance(self) -> Iterator[int]:
        """The number of transitions that are complete, after every one until the schedule ends."""
        for transition in chain_loop(self.kernel, self.state, self.schedule, self.step):
            self._state, self.step = transition.state, transition.step + 1
            self._gather(transition)
            yield self.step

    def finish(self) -> None:
        """To the end of the schedule."""
        for _ in self.advance():
            pass

    def groups(self, first: int) -> dict[str, dict[str, NDArray[Any]]]:
        """What the transitions since `first` gathered, as host arrays of their own: of the record, their part; of sums
        over draws, those of the batches they touched; of intervals, all."""
        drawn = self.schedule.draws_by(first), self.schedule.draws_by(self.step)
        gathered: dict[str, dict[str, NDArray[Any]]] = self.record.between(first, self.step)
        if drawn[0] < drawn[1]:
            gathered["moments"] = self.predictions.to_host(*drawn)
            gathered["intervals"] = self.intervals.to_host() if self.intervals else {}
        return {name: arrays for name, arrays in gathered.items() if arrays}

    def state_arrays(self) -> dict[str, dict[str, NDArray[Any]]]:
        """The complete state, as host arrays of their own."""
        return arrays_of(self.state)

    def _clear(self) -> None:
        self.record, self.predictions = Record(self.schedule), PredictionMeans(self.schedule.draws)
        self.intervals = intervals_of(self.target, self.plan, self.schedule.draws)

    def _gather(self, transition: Transition) -> None:
        is_draw = transition.draw is not None
        observation = None
        if is_draw or transition.step < self.schedule.warmup:
            observation = self.observer(transition.state, self.step, is_draw)
        self.record.keep(transition, observation.values if observation else None)
        if observation and transition.draw is not None:
            self._predict(transition.draw, observation)
        self.report("sampling", self.step, self.schedule.transitions, self.record.latest_acceptance)

    def _predict(self, draw: int, observation: Observation) -> None:
        if observation.test_predictions is None:
            return
        kept = observation.test_predictions, observation.label_means, observation.effective_weights
        self.predictions.keep(draw, *kept)
        if self.intervals:
            means = observation.test_predictions if observation.label_means is None else observation.label_means
            self.intervals.update(draw, means, observation.test_variance, self.observer.randomness)
