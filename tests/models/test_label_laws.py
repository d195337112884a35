"""Channels on tensors: against their definitions in numpy, autodiff, extremes, and the frequencies of drawn labels."""

import math
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

import nishimori as nm
from nishimori.description import Channel
from nishimori.models.label_laws import label_law
from nishimori.models.layout import Position
from nishimori.models.wide_network import WideNetwork
from nishimori.sampling.auto import candidates_for
from nishimori_kernels.energy import reference

CPU = torch.device("cpu")
CLASSES = [nm.ProbitChannel(0.09), nm.ProbitChannel(4.0), nm.LogisticChannel(0.2), nm.LogisticChannel(3.0)]
SINE = nm.OutputFunction(np.sin, np.cos, lambda x: -np.sin(x), "sine", odd=True)
TORCH_SINE = replace(SINE, torch_function=torch.sin, torch_derivative=torch.cos)
OUTPUTS = [nm.OutputChannel(name, 0.3) for name in ("identity", "tanh", "relu", SINE, TORCH_SINE)]
CHANNELS = [nm.GaussianChannel(0.3), *CLASSES, *OUTPUTS]
LATENT = torch.tensor([-1e4, -40.0, -3.0, -0.7, -1e-3, 0.2, 1.3, 9.0, 50.0, 1e4], dtype=torch.float64)
LABELS = torch.tensor([[-1.0], [1.0]], dtype=torch.float64)


@pytest.mark.parametrize(
    ("dtype", "tolerance", "rounding"), [(torch.float64, 1e-11, 3e-15), (torch.float32, 2e-5, 1e-13)]
)
@pytest.mark.parametrize("channel", CHANNELS, ids=str)
def test_laws_equal_the_channels_also_at_extremes(
    channel: Channel, dtype: torch.dtype, tolerance: float, rounding: float
) -> None:
    """`rounding`: where tanh is 1 to seven digits, label 1 leaves the rounding of 1 times a derivative of 1e-7."""
    law, latent, labels = label_law(channel, CPU), LATENT.to(dtype), LABELS.to(dtype)
    rounded = latent.double().numpy()
    expected = channel.log_likelihood(LABELS.numpy(), rounded)
    found = law.log_likelihood(labels, latent)
    assert found.dtype == torch.float64
    np.testing.assert_allclose(found.numpy(), expected, rtol=tolerance, atol=1e-300)
    slope = law.slope(labels, latent)
    assert slope.dtype == dtype and bool(torch.isfinite(slope).all())
    np.testing.assert_allclose(slope.numpy(), -channel.derivative(LABELS.numpy(), rounded), tolerance, rounding)


@pytest.mark.parametrize("channel", CHANNELS[:-2] + CHANNELS[-1:], ids=str)
def test_slopes_are_those_of_autodiff(channel: Channel) -> None:
    law, latent = label_law(channel, CPU), torch.linspace(-4, 4.1, 30, dtype=torch.float64).requires_grad_()
    (gradient,) = torch.autograd.grad(law.log_likelihood(LABELS, latent).sum(), latent)
    slopes = law.slope(LABELS, latent.detach()).sum(0)
    torch.testing.assert_close(slopes, -gradient, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("channel", CLASSES, ids=str)
def test_moments_of_a_class_are_those_of_its_probabilities(channel: Channel) -> None:
    law = label_law(channel, CPU)
    probabilities = law.log_likelihood(LABELS, LATENT).exp()
    mean = (probabilities * LABELS).sum(0)
    torch.testing.assert_close(law.mean(LATENT), mean, rtol=1e-12, atol=1e-15)
    torch.testing.assert_close(law.variance(LATENT), 4 * probabilities.prod(0), rtol=1e-8, atol=1e-15)


def deviation_of_frequencies(channel: Channel, of: Channel) -> float:
    """Largest deviation of mean labels drawn by `channel` from E[label | F] of another, in standard errors."""
    latent = torch.tensor([-1.0, -0.2, 0.0, 0.1, 0.6], dtype=torch.float64)
    noise = torch.randn(200_000, 5, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    drawn = label_law(channel, CPU).draw(latent, noise)
    law = label_law(of, CPU)
    return float(((drawn.mean(0) - law.mean(latent)) / (law.variance(latent) / len(noise)).sqrt()).abs().max())


@pytest.mark.parametrize("channel", [*CLASSES, *OUTPUTS[1:3]], ids=str)
def test_labels_are_drawn_by_the_law(channel: Channel) -> None:
    assert deviation_of_frequencies(channel, channel) < 4


def test_labels_of_another_temperature_are_noticed() -> None:
    """Negative control."""
    assert deviation_of_frequencies(nm.LogisticChannel(0.5), nm.LogisticChannel(0.55)) > 6


def test_logistic_noise_has_the_variance_the_channel_says() -> None:
    channel = nm.LogisticChannel(0.7)
    noise = torch.randn(400_000, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    logistic = channel.temperature * (torch.special.log_ndtr(noise) - torch.special.log_ndtr(-noise))
    error = float((logistic.square().var() / len(noise)).sqrt())
    assert abs(float(logistic.square().mean()) - channel.noise_variance) < 4 * error
    assert nm.LogisticChannel.of_noise_variance(channel.noise_variance).temperature == pytest.approx(0.7, rel=1e-15)


def by_autodiff(posterior: nm.Posterior, position: Position) -> tuple[torch.Tensor, list[torch.Tensor]]:
    problem = posterior.problem
    leaves = [block.double().clone().requires_grad_() for block in position.blocks]
    latent = reference.latent(leaves, problem.inputs, "tanh")
    likelihood = label_law(problem.channel, CPU).log_likelihood(problem.labels.unsqueeze(1), latent).sum(-1)
    energy = torch.stack([leaf.square().flatten(2).sum(-1) for leaf in leaves]).sum(0) / 2 - likelihood
    return energy.detach(), list(torch.autograd.grad(energy.sum(), leaves))


@pytest.mark.parametrize(
    ("precision", "implementation", "tolerance"),
    [("fp64", "auto", 1e-11), ("fp32", "numba", 3e-5), ("fp32", "torch", 3e-5)],
)
@pytest.mark.parametrize("widths", [(), (1,), (5, 63)], ids=str)
@pytest.mark.parametrize("channel", [CLASSES[0], CLASSES[2], OUTPUTS[1], OUTPUTS[2], OUTPUTS[4]], ids=str)
def test_the_posterior_equals_autodiff(
    channel: Channel, widths: tuple[int, ...], precision: str, implementation: Any, tolerance: float
) -> None:
    problem = nm.matched_teacher(nm.Network(7, widths, "tanh"), channel, samples=9, instances=2)
    posterior = nm.Posterior(problem, precision, "cpu", implementation)
    position = posterior.initial_position(3, "prior", seed=5)
    expected, gradients = by_autodiff(posterior, position)
    energy, force = posterior.energy_and_gradient(position)
    torch.testing.assert_close(energy, expected, rtol=tolerance, atol=0)
    assert torch.equal(energy, posterior.energy(position))
    scale = max(float(gradient.abs().max()) for gradient in gradients)
    for actual, wanted in zip(force.blocks, gradients, strict=True):
        torch.testing.assert_close(actual.double(), wanted, rtol=0, atol=tolerance * scale)


def test_channels_share_teachers_inputs_and_noise() -> None:
    network = nm.Network(4, (3,), "tanh")
    gaussian, probit = (
        nm.matched_teacher(network, channel, 50) for channel in (nm.GaussianChannel(0.2), nm.ProbitChannel(0.2))
    )
    assert torch.equal(gaussian.inputs, probit.inputs)
    assert torch.equal(gaussian.labels.sign(), probit.labels)


def test_an_own_output_function_is_checked_and_needs_torch_functions_on_cuda() -> None:
    label_law(nm.OutputChannel(TORCH_SINE, 0.1), torch.device("cuda"))
    with pytest.raises(ValueError, match="'sine' has numpy functions alone and cannot run on cuda: give its torch"):
        label_law(nm.OutputChannel(SINE, 0.1), torch.device("cuda"))
    with pytest.raises(ValueError, match="torch_derivative of output function 'sine' differs from its derivative"):
        label_law(nm.OutputChannel(replace(TORCH_SINE, torch_derivative=torch.sin), 0.1), CPU)
    with pytest.raises(ValueError, match="one of torch_function and torch_derivative: give both or neither"):
        replace(SINE, torch_function=torch.sin)


def test_what_needs_gaussian_noise_is_refused_with_a_sentence() -> None:
    problem = nm.matched_teacher(nm.Network(4, (3,), "tanh"), nm.ProbitChannel(0.1), 5)
    for precision in ("bf16", "tf32"):
        with pytest.raises(ValueError, match="forces of the Gaussian channel alone; use fp32 or fp64"):
            nm.Posterior(problem, precision, "cpu")
    with pytest.raises(ValueError, match="integrated out exactly for the Gaussian channel alone; use Repriorised"):
        nm.CollapsedPosterior(problem, device="cpu")
    for refused in (WideNetwork, partial(nm.information, control=True)):
        with pytest.raises(ValueError, match="solved exactly for the Gaussian channel alone; .*control=False"):
            refused(problem)
    with pytest.raises(ValueError, match="integrated out exactly for the Gaussian channel alone"):
        nm.information(problem, "collapsed")
    with pytest.raises(ValueError, match="no signal-to-noise ratio; use GaussianChannel"):
        nm.information(problem, "immse")
    assert {target for target, _ in candidates_for(problem)} == {"plain"}
    assert nm.Posterior(problem, "auto", "cpu").precisions() == ("fp32",)


def test_the_slope_on_the_wrong_side_is_that_of_the_tail() -> None:
    """Probit: F / Delta; logistic: 1 / T (leading terms)."""
    far = torch.tensor([-1e4])
    one = torch.ones(1)
    assert float(label_law(nm.ProbitChannel(0.25), CPU).slope(one, far)) == pytest.approx(-4e4, rel=1e-5)
    assert float(label_law(nm.LogisticChannel(0.25), CPU).slope(one, far)) == pytest.approx(-4, rel=1e-6)
    assert math.copysign(1, float(label_law(nm.ProbitChannel(0.25), CPU).slope(-one, -far))) == 1
