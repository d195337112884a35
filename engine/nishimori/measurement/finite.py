"""Which chains stopped being finite, and from which transition on. A NaN in a position stays: every proposal from it is
rejected, and whatever is averaged over the chain is NaN from there on."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nishimori.chains.record import Record
from nishimori.chains.start import ChainPlan


@dataclass(frozen=True)
class NotFinite:
    """`chain` of `instance`, by their identities, is not finite after transition number `transition` (-1: from the
    start on)."""

    instance: int
    chain: int
    transition: int


def not_finite_chains(
    record: Record, plan: ChainPlan, instances: Collection[int], ignored: Collection[str] = ()
) -> list[NotFinite]:
    """Chains with an observable that is not finite, in warm-up or at a draw, by instance and chain.

    Only observables of one chain count, and none of those `ignored`: a user's function may be infinite where the chain
    is not. Nor does one that is followed by a finite energy error: the chain was at a place of finite density. Between
    draws, where nothing is observed, a chain is not finite from the first of the energy errors that are not and lead up
    to the draw that is not.
    """
    finite = np.isfinite(record.statistics["energy_error"])
    seen = _first_seen(record, len(plan.chains), _last(finite), ignored)
    return [
        NotFinite(instance, chain, _walked_back(record, finite[row, column], int(seen[row, column])))
        for row, instance in enumerate(instances)
        for column, chain in enumerate(plan.chains)
        if seen[row, column] < record.schedule.transitions
    ]


def not_finite_after(record: Record, step: int, ignored: Collection[str] = ()) -> int:
    """How many chains are not finite after `step` transitions of `record`, 1 or more, as the latest observation says:
    the number of `not_finite_chains` so far, at no more cost the longer the run is."""
    schedule, drawn = record.schedule, record.schedule.draws_by(step)
    if drawn:
        observed, arrays, at = schedule.warmup + drawn * schedule.thin, record.draws, drawn - 1
    else:
        observed, arrays, at = min(step, schedule.warmup), record.warmup, min(step, schedule.warmup)
    since = record.statistics["energy_error"][:, :, observed:step]
    lost = np.zeros(since.shape[:2], bool)
    for name, values in arrays.items():
        if name not in ignored and values.ndim == 3 and values.shape[:2] == lost.shape:
            lost |= ~np.isfinite(values[:, :, at])
    return int((lost & ~np.isfinite(since).any(-1)).sum())


def _last(truths: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The last place along the last axis that is true, -1 where none is."""
    length = truths.shape[-1]
    return np.where(truths.any(-1), length - 1 - truths[..., ::-1].argmax(-1), -1)


def _first_seen(record: Record, chains: int, since: NDArray[np.int64], ignored: Collection[str]) -> NDArray[np.int64]:
    """[instances, chains]: the first transition, from `since` on, after which an observable is not finite; the number
    of all where none is."""
    schedule = record.schedule
    draws = schedule.warmup + schedule.thin * (1 + np.arange(schedule.draws)) - 1
    first = np.full(since.shape, schedule.transitions)
    for arrays, steps in ((record.warmup, np.arange(schedule.warmup + 1) - 1), (record.draws, draws)):
        for name, values in arrays.items():
            if name in ignored or values.ndim != 3 or values.shape[1] != chains:
                continue
            bad = ~np.isfinite(values) & (steps >= since[..., None])
            found = np.where(bad.any(-1), steps[bad.argmax(-1)], schedule.transitions)
            first = np.minimum(first, found)
    return first


def _walked_back(record: Record, finite: NDArray[np.bool_], seen: int) -> int:
    """The first transition of those before `seen` that were not observed and whose energy errors are not `finite`."""
    schedule = record.schedule
    while seen > schedule.warmup and schedule.draw_at(seen - 1) is None and not finite[seen - 1]:
        seen -= 1
    return seen
