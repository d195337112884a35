"""How a run that commits is doing: counted on at every commit, its mixing now and then."""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from nishimori.chains.headway import Headway, Mixing
from nishimori.chains.record import Record
from nishimori.measurement.analysis import UNJUDGED
from nishimori.measurement.convergence import ChainTooShort, convergence
from nishimori.measurement.finite import not_finite_after

Values = NDArray[np.float64]

MAIN = ("training_energy", "training_log_likelihood", "gibbs_error", "overlap", "function_overlap")
"""Observables that are looked at where they are drawn, else the first ones that are."""
GROWTH = 1.1
"""Mixing is computed again when there are so many times the draws, so that all of it costs eleven times the last."""
SHARE = 0.02
"""Of the time, that mixing takes at the most."""
MOST_DRAWS = 10_000
"""Of a chain, that mixing looks at, evenly spaced: its memory does not grow with the run, and where there are more the
effective sample size is at least what is said."""


@dataclass(eq=False)
class Meter:
    """Of one run with this `record`. `look` is for the thread that samples; what it returns is called by one that
    writes, once and in order. Observables that are `ignored` may be infinite where a chain is not."""

    record: Record
    clock: Callable[[], float] = time.monotonic
    ignored: Collection[str] = ()
    _seen: int = 0
    _sums: Values = field(default_factory=lambda: np.zeros(3))
    _mixing: dict[str, Mixing] = field(default_factory=dict)
    _mixing_draws: int = 0
    _not_before: float = float("-inf")

    def look(self, step: int) -> Callable[[], Headway]:
        """After `step` transitions, which are all in the record. Nothing is copied: what is there does not change any
        more."""
        schedule = self.record.schedule
        first, self._seen = self._seen, step
        if first < schedule.warmup < step:
            first = schedule.warmup
        statistics = [self.record.statistics[name][:, :, first:step] for name in ("acceptance", "divergent")]
        drawn = schedule.draws_by(step)
        scalars = {name: values[:, :, :drawn] for name, values in _main(self.record.draws).items()}
        measuring_starts = first <= schedule.warmup < step
        not_finite = not_finite_after(self.record, step, self.ignored)

        def headway() -> Headway:
            self._count(statistics, measuring_starts)
            self._mix(scalars, drawn)
            count, acceptance, divergent = self._sums
            return Headway(
                transitions=step,
                scheduled=schedule.transitions,
                draws=drawn,
                draws_scheduled=schedule.draws,
                acceptance=float(acceptance / count),
                divergent_fraction=float(divergent / count),
                not_finite=not_finite,
                mixing=self._mixing,
                mixing_draws=self._mixing_draws,
            )

        return headway

    def _count(self, statistics: list[Values], afresh: bool) -> None:
        if afresh:
            self._sums = np.zeros(3)
        self._sums = self._sums + [statistics[0].size, *(values.sum() for values in statistics)]

    def _mix(self, scalars: Mapping[str, Values], drawn: int) -> None:
        begun = self.clock()
        if drawn < max(1.0, GROWTH * self._mixing_draws) or begun < self._not_before:
            return
        try:
            self._mixing = {name: _mixing(values) for name, values in scalars.items()}
            self._mixing_draws = drawn
        except ChainTooShort:
            return
        ended = self.clock()
        self._not_before = ended + (ended - begun) * (1 / SHARE - 1)


def _main(draws: Mapping[str, Values]) -> dict[str, Values]:
    scalars = {name: values for name, values in draws.items() if values.ndim == 3 and name not in UNJUDGED}
    names = [name for name in MAIN if name in scalars] or list(scalars)[: len(MAIN)]
    return {name: scalars[name] for name in names}


def _mixing(draws: Values) -> Mixing:
    result = convergence(draws[:, :, :: -(-draws.shape[2] // MOST_DRAWS)])
    return Mixing(result.effective_sample_size, result.r_hat)
