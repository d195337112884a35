"""Trajectories whose launches are recorded have the bits of those that are launched one by one."""

import pytest
import torch
from targets import fixed_kernel

import nishimori as nm
from nishimori.chains.loop import Schedule, chain_loop
from nishimori.chains.record import Record
from nishimori.measurement.observers import observer_of
from nishimori.models.randomness import Randomness
from nishimori.samplers import recorded as recording
from nishimori.samplers.integrators import INTEGRATORS

pytestmark = pytest.mark.gpu


def posterior(precision: str, widths: tuple[int, ...] = (24, 20)) -> nm.Posterior:
    problem = nm.matched_teacher(nm.Network(16, widths, "tanh"), nm.GaussianChannel(0.1), 40, 2, test_samples=1)
    return nm.Posterior(problem, precision, "cuda")


def chain(target: nm.Posterior, integrator: str, step_sizes: tuple[float, ...] = (0.1,)) -> list[torch.Tensor]:
    """Positions, energies and gradients of a few transitions, with one kernel a step size."""
    seen, state = [], None
    for step_size in step_sizes:
        kernel = fixed_kernel(target, integrator, step_size, 4, chains=3, jitter=0.5)
        state = state or kernel.init(target.initial_position(3, "prior", 0))
        for step in range(5):
            state, _ = kernel.step(state, step)
            assert state.gradient is not None
            seen += [state.position.flat, state.energy, state.gradient.flat]
    return seen


@pytest.mark.parametrize("precision", ["fp64", "fp32", "tf32", "fp16", "bf16", "bf16x3"])
@pytest.mark.parametrize("integrator", INTEGRATORS)
def test_a_recording_changes_no_bit(integrator, precision, monkeypatch):
    recorded = posterior(precision)
    found = chain(recorded, integrator, (0.1, 0.05))
    assert len(recorded.recordings) == 1, "two step sizes, one recording"
    monkeypatch.setattr(recording, "MOST_RECORDED", 0)
    launched = posterior(precision)
    expected = chain(launched, integrator, (0.1, 0.05))
    assert not launched.recordings
    assert all(torch.equal(own, other) for own, other in zip(found, expected, strict=True))


def test_numbers_of_chains_have_recordings_of_their_own():
    target = posterior("fp32")
    for chains in (2, 3):
        kernel = fixed_kernel(target, "leapfrog", 0.1, 3, chains=chains)
        kernel.step(kernel.init(target.initial_position(chains, "prior", 0)), 0)
    assert len(target.recordings) == 2


def test_networks_that_are_not_small_are_recorded_too():
    for precision in ("fp32", "bf16"):
        target = posterior(precision, widths=(150, 140, 8))
        assert all(value.isfinite().all() for value in chain(target, "leapfrog"))
        assert len(target.recordings) == 1


@pytest.mark.filterwarnings("ignore:Synchronization debug mode")
@pytest.mark.parametrize("recorded", [True, False])
def test_the_host_waits_for_nothing(recorded, monkeypatch):
    """Neither in a transition nor for what is observed of it, until its block of numbers is received."""
    if not recorded:
        monkeypatch.setattr(recording, "MOST_RECORDED", 0)
    target = posterior("fp32")
    kernel = fixed_kernel(target, "leapfrog", 0.1, 4, chains=4, jitter=0.5)
    observer = observer_of(target, [(0, 1), (2, 3)], {}, False, Randomness.of(0, "", target.instances, range(4)))
    schedule = Schedule(0, 40)
    record = Record(schedule)
    state = kernel.init(target.initial_position(4, "prior", 0))
    for transition in chain_loop(kernel, state, schedule):
        if transition.step == 8:
            torch.cuda.set_sync_debug_mode("error")
        if transition.step + 1 == schedule.transitions:
            torch.cuda.set_sync_debug_mode("default")
        record.keep(transition, observer(transition.state, transition.step, True).values)
    assert torch.isfinite(torch.from_numpy(record.draws["overlap"])).all()
