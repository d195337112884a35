"""A NaN in one chain stays there: it is told, with where and since when, and touches no other chain."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from spoilt import Spoilt

import nishimori as nm
from nishimori.adaptation.calibration import CalibrationRecord
from nishimori.chains.loop import Schedule
from nishimori.chains.progress import silent
from nishimori.chains.record import Record
from nishimori.chains.start import ChainPlan
from nishimori.measurement.finite import NotFinite, not_finite_after, not_finite_chains
from nishimori.models.layout import Position
from nishimori.samplers.base import Info, Kernel, Sampler, State
from nishimori.sampling import Run
from nishimori.sampling.parts import RunParts

WARMUP, DRAWS = 6, 20
INSTANCE, CHAIN = 1, 2
SAMPLERS: dict[str, Sampler] = {
    "hmc": nm.HMC("rotation", step_size=0.1, num_steps=3),
    "mala": nm.MALA(step_size=0.05),
    "langevin": nm.UnderdampedLangevin(step_size=0.1, num_steps=2),
    "pcn": nm.PCN(step_size=0.2),
    "mclmc": nm.MCLMC(step_size=0.2, num_steps=2),
    "mclmc without a test": nm.MCLMC(step_size=0.2, num_steps=2, adjusted=False),
}


@dataclass(frozen=True)
class Poisoned:
    """One weight of one chain is NaN when transition `at` begins."""

    kernel: Kernel
    at: int

    def init(self, position: Position) -> State:
        return self.kernel.init(position)

    def step(self, state: State, step: int) -> tuple[State, Info]:
        if step == self.at:
            position = state.position.clone()
            position.blocks[0][INSTANCE, CHAIN, 0, 0] = float("nan")
            state = replace(state, position=position)
        return self.kernel.step(state, step)


@dataclass(frozen=True)
class Refused:
    """No proposal has an energy, and every chain stays."""

    kernel: Kernel

    def init(self, position: Position) -> State:
        return self.kernel.init(position)

    def step(self, state: State, step: int) -> tuple[State, Info]:
        info = self.kernel.step(state, step)[1]
        nothing, nowhere = torch.zeros_like(info.accepted), torch.full_like(info.energy_error, float("nan"))
        return state, replace(info, accepted=nothing, energy_error=nowhere, divergent=~nothing)


@pytest.fixture(scope="module")
def target() -> nm.Posterior:
    problem = nm.matched_teacher(nm.Network(6, (5,), "tanh"), nm.GaussianChannel(0.2), 8, 3, test_samples=3)
    return nm.Posterior(problem, "fp64", "cpu")


def record_of(target: nm.Posterior, sampler: Sampler) -> CalibrationRecord:
    return nm.sample(target, sampler, chains=2, warmup=0, draws=1, progress=silent).calibration


def run(target: nm.Posterior, sampler: Sampler, record: CalibrationRecord, thin: int = 1) -> Run:
    return nm.sample(
        target, sampler, chains=2, warmup=WARMUP, draws=DRAWS, thin=thin, calibration=record, progress=silent
    )


def poisoned(target: nm.Posterior, sampler: Sampler, record: CalibrationRecord, at: int, thin: int = 1) -> Run:
    return run(target, Spoilt(sampler, moves=lambda kernel: Poisoned(kernel, at)), record, thin)


def lost(found: Run) -> list[str]:
    return [failure for failure in found.verdict.failures if "not finite" in failure]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_other_chains_are_untouched(sampler: str, target: nm.Posterior) -> None:
    kind, at = SAMPLERS[sampler], 9
    record = record_of(target, kind)
    clean, found = run(target, kind, record), poisoned(target, kind, record, at)
    others = np.ones((3, 4), bool)
    others[INSTANCE, CHAIN] = False
    mine, theirs = RunParts.of(found), RunParts.of(clean)
    for group in ("draws", "warmup", "statistics"):
        for name, values in theirs.segment[group].items():
            if values.ndim >= 3 and values.shape[1] == 4:
                assert np.array_equal(values[others], mine.segment[group][name][others]), name
                assert np.isfinite(values).all(), name
    for name, values in theirs.state["state"].items():
        assert np.array_equal(values[others], mine.state["state"][name][others]), name
    assert np.isnan(found.draws["gibbs_error"][INSTANCE, CHAIN, at - WARMUP :]).all()
    assert np.isfinite(found.draws["gibbs_error"][INSTANCE, CHAIN, : at - WARMUP]).all()
    assert found.statistics["divergent"][INSTANCE, CHAIN, at:].all()
    (sentence,) = lost(found)
    assert sentence.startswith("chain 2 of instance 1 is not finite from transition 9 on; leave its instance out")
    assert not found.verdict.passed and not lost(clean)


@pytest.mark.parametrize("thin", [1, 2, 3, 7])
def test_the_transition_is_the_first_whatever_is_observed(thin: int, target: nm.Posterior) -> None:
    sampler = SAMPLERS["hmc"]
    record = record_of(target, sampler)
    for at in (0, 3, 5, 6, 7, 8, 9, 10, WARMUP + thin * DRAWS - 1):
        (sentence,) = lost(poisoned(target, sampler, record, at, thin))
        assert f"chain 2 of instance 1 is not finite from transition {at} on;" in sentence


@pytest.mark.parametrize(("at", "thin"), [(0, 1), (3, 2), (WARMUP, 1), (8, 3), (13, 2)])
def test_it_is_counted_from_the_first_observation_on(at: int, thin: int, target: nm.Posterior) -> None:
    sampler = SAMPLERS["hmc"]
    found = poisoned(target, sampler, record_of(target, sampler), at, thin)
    schedule = found.record.schedule
    for step in range(1, schedule.transitions + 1):
        drawn = schedule.draws_by(step)
        observed = WARMUP + thin * drawn if drawn else min(step, WARMUP)
        assert not_finite_after(found.record, step) == (observed > at)
    assert not_finite_after(found.record, schedule.transitions, found.draws.keys()) == 0


def test_what_was_infinite_for_a_moment_does_not_hide_what_is_lost_for_good() -> None:
    """Of three chains one is infinite and comes back, one comes back and is lost later, one is as it should be."""
    record = Record(Schedule(2, 6))
    energy_error = record.statistics["energy_error"] = np.zeros((1, 3, 8))
    draws = record.draws["energy"] = np.zeros((1, 3, 6))
    record.warmup["energy"] = np.zeros((1, 3, 3))
    record.warmup["energy"][0, :2, 1] = np.inf
    draws[0, 1, 3:], energy_error[0, 1, 5:] = np.nan, np.nan
    plan = ChainPlan.of(3, "prior")
    assert not_finite_chains(record, plan, [7]) == [NotFinite(instance=7, chain=1, transition=5)]
    assert [not_finite_after(record, step) for step in range(1, 9)] == [2, 0, 0, 0, 0, 1, 1, 1]


def test_a_chain_that_is_stuck_is_finite(target: nm.Posterior) -> None:
    """The negative control: no proposal has an energy, and the chain has numbers all the same."""
    sampler = SAMPLERS["hmc"]
    found = run(target, Spoilt(sampler, moves=Refused), record_of(target, sampler))
    assert np.isnan(found.statistics["energy_error"]).all()
    assert not any(not_finite_after(found.record, step) for step in range(1, WARMUP + DRAWS + 1))
    assert not lost(found) and any("stuck" in failure for failure in found.verdict.failures)


def test_a_function_of_the_user_may_be_infinite() -> None:
    target = nm.DensityTarget(lambda x: -(x**2).sum(-1) / 2, dim=3)
    observables = {"pole": lambda x: 1 / (x[..., 0] > -9).double().sub(1)}
    found = nm.sample(
        target,
        nm.HMC(step_size=0.3, num_steps=3),
        chains=2,
        warmup=2,
        draws=10,
        observables=observables,
        progress=silent,
    )
    assert np.isinf(found.draws["pole"]).all() and not lost(found)
