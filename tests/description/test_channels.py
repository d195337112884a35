"""Log-likelihoods and their derivatives: finite differences, tails, normalisation, refusals."""

import math

import numpy as np
import pytest
from scipy import integrate, special

from nishimori.description import GaussianChannel, LogisticChannel, OutputChannel, OutputFunction, ProbitChannel
from nishimori.description.channels import channel_named

CUBIC = OutputFunction(lambda x: x**3, lambda x: 3 * x**2, lambda x: 6 * x, "cubic", odd=True)
CONTINUOUS = [GaussianChannel(0.3), *(OutputChannel(name, 0.2) for name in ("identity", "tanh", "relu", CUBIC))]
LATENT = np.linspace(-2.9, 3.1, 13)  # not 0, where relu has its kink


@pytest.mark.parametrize("channel", [*CONTINUOUS, ProbitChannel(0.4), LogisticChannel(0.4)])
@pytest.mark.parametrize("label", [-1.0, 1.0])
def test_derivatives_are_those_of_the_log_likelihood(channel, label):
    step = 1e-5
    values = [channel.log_likelihood(label, LATENT + shift) for shift in (-step, step)]
    slopes = [channel.derivative(label, LATENT + shift) for shift in (-step, step)]
    assert channel.derivative(label, LATENT) == pytest.approx((values[1] - values[0]) / (2 * step), rel=1e-6, abs=1e-7)
    second = channel.second_derivative(label, LATENT)
    assert second.shape == LATENT.shape
    assert second == pytest.approx((slopes[1] - slopes[0]) / (2 * step), rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("channel", CONTINUOUS)
def test_densities_of_labels_integrate_to_one(channel):
    total = integrate.quad(lambda label: math.exp(channel.log_likelihood(label, 0.7)), -8, 8, points=[0.5])[0]
    assert total == pytest.approx(1, rel=1e-9)


@pytest.mark.parametrize("channel", [ProbitChannel(0.0), ProbitChannel(0.4), LogisticChannel(0.4)])
def test_probabilities_of_the_classes_add_up_to_one(channel):
    assert sum(np.exp(channel.log_likelihood(side, LATENT)) for side in (-1, 1)) == pytest.approx(1, rel=1e-14)


def test_probit_in_the_tails():
    """Mills' ratio expanded at infinity: log Phi(-t) = -t^2/2 - log(t sqrt(2 pi)) - 1/t^2 + ..., t = 1e6."""
    channel, far = ProbitChannel(1.0), np.array([1e6])
    value = -0.5e12 - math.log(1e6 * math.sqrt(2 * math.pi))
    assert channel.log_likelihood(1, -far)[0] == pytest.approx(value, rel=1e-15)
    assert channel.derivative(1, -far)[0] == pytest.approx(1e6 + 1e-6, rel=1e-15)
    assert channel.second_derivative(1, -far)[0] == pytest.approx(-1, rel=1e-11)
    assert [channel.derivative(1, far)[0], channel.second_derivative(1, far)[0]] == [0, 0]
    assert channel.log_likelihood(-1, far) == channel.log_likelihood(1, -far)


@pytest.mark.parametrize("margin", [-99.99, -100.01, -150.0])
def test_probit_curvature_is_continuous_where_its_series_begins(margin):
    """-1 + 1/t^2 - 6/t^4 + 50/t^6 - 518/t^8, one term more than the code has."""
    square = 1 / margin**2
    expected = -1 + square - 6 * square**2 + 50 * square**3 - 518 * square**4
    assert ProbitChannel(1.0).second_derivative(1, margin) == pytest.approx(expected, rel=1e-11)


def test_logistic_in_the_tails():
    channel = LogisticChannel(0.5)
    assert channel.log_likelihood(1, [-1e6, 1e6]) == pytest.approx([-2e6, 0], rel=1e-15)
    assert channel.derivative(1, [-1e6, 1e6]) == pytest.approx([2, 0], rel=1e-15)
    assert channel.derivative(-1, 1e6) == pytest.approx(-2, rel=1e-15)
    assert channel.second_derivative(1, [-1e6, 0, 1e6]) == pytest.approx([0, -1, 0])


@pytest.mark.parametrize("temperature", [-0.1, 0, math.nan, math.inf, "0.1", True, None])
def test_impossible_temperatures_are_refused(temperature):
    with pytest.raises(ValueError, match="temperature must be a finite number greater than 0, got .*: give the output"):
        LogisticChannel(temperature)


def test_channels_have_names():
    assert channel_named("gaussian", 0.1) == GaussianChannel(0.1)
    assert channel_named("probit", 0.1) == ProbitChannel(0.1)
    assert channel_named("relu", 0.1) == OutputChannel("relu", 0.1)
    named = channel_named("logistic", LogisticChannel(0.3).noise_variance)
    assert isinstance(named, LogisticChannel) and named.temperature == pytest.approx(0.3, rel=1e-15)


def test_probit_scales_with_its_noise():
    channel = ProbitChannel(4.0)
    assert channel.log_likelihood(1, 3.0) == pytest.approx(math.log(special.ndtr(1.5)), rel=1e-14)
    assert channel.derivative(1, 3.0) == pytest.approx(ProbitChannel(1.0).derivative(1, 1.5) / 2, rel=1e-14)


def test_probit_without_noise():
    channel = ProbitChannel(0)
    assert channel.log_likelihood([1, 1, -1, 1], [2.0, -2.0, -2.0, 0.0]) == pytest.approx(
        [0, -math.inf, 0, -math.log(2)]
    )
    with pytest.raises(ValueError, match="no derivative: give a noise_variance above 0"):
        channel.derivative(1, 0.5)
    with pytest.raises(ValueError, match="no derivative"):
        channel.second_derivative(1, 0.5)


@pytest.mark.parametrize("channel", [ProbitChannel, lambda noise: OutputChannel("tanh", noise)])
@pytest.mark.parametrize("noise", [-0.1, math.nan, math.inf, "0.1", False, None])
def test_impossible_noise_is_refused(channel, noise):
    with pytest.raises(ValueError, match="noise_variance must be .*finite variance.*: give the square"):
        channel(noise)


def test_an_output_needs_noise():
    with pytest.raises(ValueError, match="greater than 0, got 0"):
        OutputChannel("tanh", 0)


def test_an_unknown_output_function_is_refused():
    with pytest.raises(ValueError, match="output function 'cosh' is unknown: choose one of identity, tanh, relu, or"):
        OutputChannel("cosh", 0.1)


def test_a_label_that_is_no_class_is_refused():
    with pytest.raises(ValueError, match="neither -1 nor 1: give the sign"):
        ProbitChannel(0.1).log_likelihood([1, 0], 0.3)


def test_equal_channels_are_equal():
    assert OutputChannel("tanh", 0.1) == OutputChannel("tanh", 0.1)
    assert OutputChannel("relu", 0.1) != OutputChannel("tanh", 0.1)
