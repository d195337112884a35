"""What a run tells of itself is what its draws say, however it was cut; and telling costs next to nothing."""

import errno
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from continued import committed, record_of, ticking

import nishimori as nm
from nishimori.chains import headway as headways
from nishimori.chains.headway import Headway, read_headway
from nishimori.chains.journal import Journal
from nishimori.chains.loop import Schedule
from nishimori.chains.record import Record
from nishimori.chains.stop import Stopped, StopRequest
from nishimori.chains.storage import StorageFailed, failure
from nishimori.measurement.convergence import convergence
from nishimori.sampling import Run, headway
from nishimori.sampling.headway import GROWTH, SHARE, Meter

WARMUP, DRAWS, THIN = 6, 40, 2
TRANSITIONS = WARMUP + DRAWS * THIN


@dataclass(eq=False)
class StopAfter(StopRequest):
    """Asked for after so many transitions."""

    transitions: int = field(default=10**9, kw_only=True)
    _seen: int = 0

    @property
    def reason(self) -> str:
        self._seen += 1
        return "enough" if self._seen >= self.transitions else ""


def run(home: Path, stop: StopRequest | None = None, seconds: float = 3) -> Run:
    problem = nm.matched_teacher(nm.Network(6, (5,), "tanh"), nm.GaussianChannel(0.2), 8, 2, test_samples=3)
    target, sampler = nm.Posterior(problem, "fp64", "cpu"), nm.HMC(step_size=0.45, num_steps=3)
    journal = Journal(home, seconds, print, stop or StopRequest(), clock=ticking())
    return committed(target, sampler, record_of(target, sampler), journal, warmup=WARMUP, draws=DRAWS, thin=THIN)


def told(home: Path) -> Headway:
    found = read_headway(home)
    assert found is not None
    return found


def test_what_is_told_at_the_end_is_what_was_sampled(tmp_path: Path) -> None:
    done = run(tmp_path)
    end = told(tmp_path)
    assert (end.transitions, end.scheduled, end.draws, end.draws_scheduled) == (TRANSITIONS, TRANSITIONS, DRAWS, DRAWS)
    acceptance = done.statistics["acceptance"]
    assert end.acceptance == pytest.approx(acceptance[..., WARMUP:].mean(), rel=1e-12)
    assert end.acceptance != pytest.approx(acceptance.mean(), rel=1e-6)
    assert end.divergent_fraction == done.statistics["divergent"][..., WARMUP:].mean()
    assert {"gibbs_error", "overlap"} <= end.mixing.keys() and 8 <= end.mixing_draws <= DRAWS
    for name, mixing in end.mixing.items():
        expected = convergence(done.draws[name][..., : end.mixing_draws])
        assert mixing.effective_sample_size == pytest.approx(expected.effective_sample_size, rel=1e-12)
        assert mixing.r_hat == pytest.approx(expected.r_hat, rel=1e-12)


@pytest.mark.parametrize("stops", [[4], [WARMUP], [WARMUP + 1], [5, 20, 31]], ids=str)
def test_a_run_that_went_on_tells_the_same(stops: list[int], tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    done = run(whole)
    for before, stop in zip([0, *stops], stops, strict=False):
        with pytest.raises(Stopped):
            run(cut, StopAfter(transitions=stop - before))
        so_far = told(cut)
        assert so_far.transitions == stop
        kept = slice(WARMUP, stop) if stop > WARMUP else slice(0, stop)
        assert so_far.acceptance == pytest.approx(done.statistics["acceptance"][..., kept].mean(), rel=1e-12)
    run(cut)
    one, other = told(cut), told(whole)
    assert (one.transitions, one.draws) == (other.transitions, other.draws)
    assert one.acceptance == pytest.approx(other.acceptance, rel=1e-12)


def test_seconds_are_those_of_all_processes(tmp_path: Path) -> None:
    """With a clock that ticks at each look: one tick between commits at the least, and all of them are counted."""
    with pytest.raises(Stopped):
        run(tmp_path, StopAfter(transitions=20))
    before = told(tmp_path).seconds
    assert before > 0
    (tmp_path / "progress.json").unlink()
    run(tmp_path, seconds=1e9)
    # Looks: one when it goes on, one after every transition but the last, one at the commit.
    assert told(tmp_path).seconds == before + TRANSITIONS - 20


def test_a_run_does_not_end_because_its_progress_cannot_be_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, value: Any) -> None:
        raise failure(path, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))

    monkeypatch.setattr(headways, "publish_json", full)
    with pytest.raises(StorageFailed):
        headways.publish_json(tmp_path, {})
    assert run(tmp_path).record.schedule.draws == DRAWS
    assert read_headway(tmp_path) is None


def test_a_run_does_not_end_because_there_is_no_memory_to_tell_how_it_is_doing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(headway, "convergence", lambda draws: np.empty(2**50))
    assert run(tmp_path).record.schedule.draws == DRAWS
    assert told(tmp_path).draws < DRAWS


def test_mixing_of_a_long_run_looks_at_draws_far_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that it takes no more memory than of a short one."""
    monkeypatch.setattr(headway, "MOST_DRAWS", 12)
    done = run(tmp_path, seconds=10**6)
    mixing = told(tmp_path).mixing["gibbs_error"]
    expected = convergence(done.draws["gibbs_error"][..., ::4])
    assert mixing.effective_sample_size == pytest.approx(expected.effective_sample_size, rel=1e-12)


@pytest.mark.parametrize("cost", [0.0, 0.5])
def test_mixing_is_computed_rarely(cost: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """When draws have grown by a tenth, and never for more than its share of the time."""
    now, computed = [0.0], []

    def slow(draws: np.ndarray[Any, Any]) -> Any:
        now[0] += cost
        computed.append(draws.shape[-1])
        return convergence(draws)

    monkeypatch.setattr(headway, "convergence", slow)
    draws = 2000
    record = Record(Schedule(0, draws))
    values = np.random.default_rng(0).normal(size=(1, 2, draws))
    record.draws["own"] = values
    record.statistics.update(acceptance=values, divergent=values, energy_error=values)
    meter = Meter(record, lambda: now[0])
    for step in range(10, draws + 1):
        now[0] += 0.1
        meter.look(step)()
    growth = [later / earlier for earlier, later in zip(computed, computed[1:], strict=False)]
    assert min(growth) >= GROWTH and len(computed) > 3
    assert cost * (len(computed) - 1) <= SHARE * now[0]
    if not cost:
        assert max(growth) < GROWTH + 0.1
