"""The same problem on another device; and the names of devices and precisions."""

import pytest
import torch

import nishimori as nm
from nishimori.chains.progress import silent
from nishimori.description import Channel

GAUSSIAN = nm.GaussianChannel(0.1)
OTHERS = [nm.ProbitChannel(0.1), nm.LogisticChannel(0.2), nm.OutputChannel("tanh", 0.1), nm.OutputChannel("relu", 0.1)]


def problem(channel: Channel = GAUSSIAN) -> nm.Problem:
    network = nm.Network(24, (24, 24), "tanh")
    return nm.matched_teacher(network, channel, samples=48, instances=6, seed=1, test_samples=50)


@pytest.mark.gpu
@pytest.mark.parametrize("channel", [GAUSSIAN, *OTHERS], ids=str)
def test_energy_and_gradient_on_cuda_equal_the_cpu(channel: Channel) -> None:
    drawn = problem(channel)
    on_cpu, on_cuda = (nm.Posterior(drawn, precision="fp64", device=device) for device in ("cpu", "cuda"))
    energies, gradients = [], []
    for target in (on_cpu, on_cuda):
        energy, gradient = target.energy_and_gradient(target.initial_position(3, "prior", seed=2))
        energies.append(energy.cpu())
        gradients.append(gradient.to_edge().cpu())
    torch.testing.assert_close(energies[1], energies[0], rtol=1e-10, atol=1e-8)
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-9, atol=1e-8)


@pytest.mark.gpu
@pytest.mark.parametrize("channel", [GAUSSIAN, *OTHERS], ids=str)
def test_a_run_on_cuda_passes_its_exact_checks(channel: Channel) -> None:
    run = nm.sample(nm.Posterior(problem(channel), device="cuda"), chains=2, warmup=30, draws=100, progress=silent)
    assert all(abs(check.z) < 4 for check in run.checks)
    assert 0.6 < run.acceptance < 0.95


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match="fp8.*use one of fp32, fp64"):
        nm.Posterior(problem(), precision="fp8")
    with pytest.raises(ValueError, match='"auto", "cpu" or "cuda"'):
        nm.Posterior(problem(), device="tpu")


def test_an_activation_without_a_kernel_is_refused() -> None:
    with pytest.raises(ValueError, match="sign.*cannot be sampled"):
        nm.matched_teacher(nm.Network(4, (4,), "sign"), nm.GaussianChannel(0.1), samples=4)


def test_a_false_friend_of_a_registered_activation_is_refused() -> None:
    cubic = nm.Activation(lambda z: z**3, lambda z: 3 * z**2, "tanh", odd=True)
    with pytest.raises(ValueError, match="not the 'tanh'"):
        nm.matched_teacher(nm.Network(4, (4,), cubic), nm.GaussianChannel(0.1), samples=4)
