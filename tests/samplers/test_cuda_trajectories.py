"""Trajectories on a GPU: those of the CPU to rounding, the same bits at every run and after a state was put away, and
random numbers of their own at every replay."""

import pytest
import torch
from targets import fixed_kernel

import nishimori as nm
from nishimori.samplers.base import State, gradient_of
from nishimori.samplers.hmc import HMCKernel
from nishimori.samplers.integrators import INTEGRATORS

pytestmark = pytest.mark.gpu

DEVICE = "cuda"
CHAINS, STEPS = 5, 4
PRECISIONS = ("fp64", "fp32", "tf32", "fp16", "bf16", "bf16x3")
SIZES = ((24, 20), (150, 140, 8))
"""Small enough for a force in one launch, and not."""
precisions = pytest.mark.parametrize("precision", PRECISIONS)
sizes = pytest.mark.parametrize("widths", SIZES, ids=str)


def kernel_on(device: str, precision: str, widths: tuple[int, ...], integrator: str = "leapfrog") -> HMCKernel:
    """Of a target that has recorded nothing yet."""
    problem = nm.matched_teacher(nm.Network(16, widths, "tanh"), nm.GaussianChannel(0.1), 40, 2, test_samples=1)
    return fixed_kernel(nm.Posterior(problem, precision, device), integrator, 0.08, STEPS, CHAINS, jitter=0.5)


def start_of(kernel: HMCKernel) -> State:
    return kernel.init(kernel.target.initial_position(CHAINS, "prior", 0))


def tensors(state: State) -> list[torch.Tensor]:
    return [state.position.to_edge().cpu(), state.energy.cpu(), gradient_of(state).to_edge().cpu()]


def moved(kernel: HMCKernel, state: State, first: int, last: int) -> list[State]:
    """The states that transitions `first` to `last` leave."""
    states = []
    for step in range(first, last):
        state, _ = kernel.step(state, step)
        states.append(state)
    return states


def assert_same_bits(found: list[State], expected: list[State]) -> None:
    for own, other in zip(found, expected, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(tensors(own), tensors(other), strict=True))


@sizes
@pytest.mark.parametrize(("precision", "tolerance"), [("fp64", 1e-9), ("fp32", 1e-3)])
@pytest.mark.parametrize("integrator", INTEGRATORS)
def test_they_are_those_of_the_cpu_to_rounding(integrator, precision, tolerance, widths):
    kernels = [kernel_on(device, precision, widths, integrator) for device in ("cpu", DEVICE)]
    expected, found = (moved(kernel, start_of(kernel), 0, 3) for kernel in kernels)
    for own, other in zip(found, expected, strict=True):
        for a, b in zip(tensors(own), tensors(other), strict=True):
            torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance * float(b.abs().max()))


@sizes
@precisions
def test_two_runs_have_the_same_bits(precision, widths):
    first, second = (kernel_on(DEVICE, precision, widths) for _ in range(2))
    assert_same_bits(moved(first, start_of(first), 0, 6), moved(second, start_of(second), 0, 6))


@sizes
@precisions
def test_a_state_put_away_and_fetched_goes_on_with_the_same_bits(precision, widths):
    """What is put away is the position alone, on the host; energy and gradient are computed from it."""
    kernel = kernel_on(DEVICE, precision, widths)
    expected = moved(kernel, start_of(kernel), 0, 8)
    kept = expected[3].position.to_edge().cpu()
    again = kernel_on(DEVICE, precision, widths)
    position = again.target.layout(CHAINS).from_edge(kept.to(DEVICE))
    assert_same_bits(moved(again, again.init(position), 4, 8), expected[4:])


@sizes
@precisions
def test_replays_draw_afresh_and_the_same_step_draws_the_same(precision, widths):
    """Numbers that a recording had frozen would be the same at every step."""
    kernel = kernel_on(DEVICE, precision, widths)
    start = start_of(kernel)
    first, second, again = (kernel.step(start, step)[1].energy_error for step in (0, 1, 0))
    assert torch.equal(first, again)
    assert not torch.isclose(first, second, rtol=1e-6, atol=0).any()
    assert not torch.isclose(first[:, :-1], first[:, 1:], rtol=1e-6, atol=0).any(), "chains share their numbers"


@sizes
@pytest.mark.parametrize(("precision", "tolerance"), [("tf32", 1e-2), ("fp16", 2e-2), ("bf16", 0.1), ("bf16x3", 1e-3)])
@pytest.mark.parametrize("integrator", ["leapfrog", "minimum_norm_rotation"])
def test_a_force_that_moves_the_weights_itself_follows_the_same_trajectory(
    integrator, precision, tolerance, widths, monkeypatch
):
    """As one whose gradient is handed over: to rounding, in units of the way that is gone."""
    kernel = kernel_on(DEVICE, precision, widths, integrator)
    start = start_of(kernel)
    found, info = kernel.step(start, 0)
    monkeypatch.setattr(nm.Posterior, "mover", lambda self, chains: None)
    other = kernel_on(DEVICE, precision, widths, integrator)
    expected, _ = other.step(start_of(other), 0)
    moved_chains = info.accepted.cpu()
    assert moved_chains.any()
    way, off = ((tensors(found)[0] - tensors(state)[0])[moved_chains].norm() for state in (start, expected))
    assert float(off) < tolerance * float(way)
