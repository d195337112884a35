"""What chains are said to take is near what tensors hold."""

import gc
from collections.abc import Sequence
from types import FunctionType, ModuleType

import pytest
import torch
from targets import fixed_kernel

import nishimori as nm
from nishimori.models.footprint import Footprint, footprint
from nishimori_kernels.energy import dispatch

CHAINS = 3
NEAR = 1.5


def problem(activation: str, widths: Sequence[int]) -> nm.Problem:
    network = nm.Network(70, tuple(widths), activation)
    return nm.matched_teacher(network, nm.GaussianChannel(0.1), samples=90, instances=2, test_samples=60)


def held(*roots: object, without: Sequence[object]) -> int:
    """Bytes of all tensors that can be reached from `roots`, each memory once."""
    seen, memories, waiting = {id(each) for each in without}, {}, list(roots)
    while waiting:
        found = waiting.pop()
        if id(found) in seen or isinstance(found, type | ModuleType | FunctionType):
            continue
        seen.add(id(found))
        if isinstance(found, torch.Tensor):
            memory = found.untyped_storage()
            memories[memory.data_ptr()] = memory.nbytes()
        waiting += gc.get_referents(found)
    return sum(memories.values())


@pytest.fixture(autouse=True)
def all_chains_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU."""
    monkeypatch.setattr(dispatch, "BLOCK_BYTES", 2**40)
    monkeypatch.setattr(dispatch, "_is_numba", lambda *_: False)


def assert_near(actual: int, expected: int) -> None:
    assert expected / NEAR < actual < expected * NEAR, (actual, expected)


@pytest.mark.parametrize("widths", [(80,), (40, 100), (60, 50, 40)], ids=str)
@pytest.mark.parametrize("activation", ["tanh", "erf", "sin"])
@pytest.mark.parametrize("precision", ["fp32", "fp64"])
def test_activations_and_data_of_a_posterior(precision, activation, widths):
    target = nm.Posterior(problem(activation, widths), precision, "cpu", "torch")
    position = target.initial_position(CHAINS, "prior", 0)
    target.energy_and_gradient(position)
    target.latent(position, "test")
    known = footprint(target)
    assert_near(held(target, without=[target.problem]), known.data + CHAINS * known.activations)


@pytest.mark.parametrize("activation", ["tanh", "erf"])
@pytest.mark.parametrize("precision", ["bf16", "fp16", "tf32"])
def test_buffers_of_a_coarse_force_beside_the_exact_forward_pass(precision, activation):
    coarse = pytest.importorskip("nishimori_kernels.energy.coarse")
    gpu = pytest.importorskip("nishimori_kernels.energy.gpu")
    target = nm.Posterior(problem(activation, (60, 80)), precision, "cpu", "emulated")
    position = target.initial_position(CHAINS, "prior", 0)
    for inputs in ("train", "test"):
        target.latent(position, inputs)
    widths, kernel = target.problem.network.widths, gpu.TRITON_ACTIVATIONS[activation]
    force = coarse.CoarseNetwork(target.rows("train"), widths, kernel, CHAINS, precision)
    known = footprint(target)
    assert_near(held(target, force, without=[target.problem]), known.data + CHAINS * known.activations)


@pytest.mark.parametrize("form", ["weight", "kernel"])
def test_a_readout_that_is_integrated_out_adds_to_it(form):
    target = nm.CollapsedPosterior(problem("tanh", (80,)), "fp64", "cpu", form)
    position = target.initial_position(CHAINS, "prior", 0)
    target.energy_and_gradient(position)
    target.predictions(position, "test")
    weights = target.posterior.initial_position(CHAINS, "prior", 0)
    for inputs in ("train", "test"):
        target.posterior.latent(weights, inputs)
    actual = held(target, target._readout(position), without=[target.problem])
    known = footprint(target)
    assert footprint(target.posterior).activations < known.activations
    assert actual < known.data + CHAINS * known.activations < 2.5 * actual, "the rest is workspace"


def test_vectors_of_a_transition():
    target = nm.Posterior(problem("tanh", (80,)), "fp64", "cpu", "torch")
    kernel = fixed_kernel(target, "leapfrog", 0.01, 2, CHAINS)
    state = kernel.init(target.initial_position(CHAINS, "prior", 0))
    moved, _ = kernel.step(state, 0)
    momentum = state.position.empty_like()
    assert_near(held(state, moved, momentum, without=[]), CHAINS * footprint(target).vectors)


def test_as_many_chains_as_fit():
    known = Footprint(data=100, vectors=20, activations=30)
    assert known.of(3) == 250
    assert [known.chains_within(free) for free in (0, 149, 150, 249, 250)] == [0, 0, 1, 2, 3]
