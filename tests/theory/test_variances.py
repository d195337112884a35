"""Theory of networks with weight variances, biases and an activation a layer: against quadrature, the kernel of
infinitely wide networks, and those networks at growing input dimension."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from scipy import integrate

import nishimori as nm
from nishimori.description import ACTIVATIONS
from nishimori.measurement.overlaps import effective_weights
from nishimori.models.forward import variances_of
from nishimori.models.pair_moments import pair_moment
from nishimori.models.wide_network import variance_of
from nishimori.theory import OutsideTheTheorem, conjectured_linear_model, equivalent_linear_model, predict
from nishimori_kernels.energy import reference

CHANNEL = nm.GaussianChannel(0.1)


def average(function, variance: float) -> float:
    """E function(sqrt(variance) Z) by scipy's adaptive quadrature."""
    density = math.sqrt(2 * math.pi)
    return integrate.quad(lambda z: function(math.sqrt(variance) * z) * math.exp(-z * z / 2) / density, -12, 12)[0]


def test_tanh_with_two_variances_is_the_recursion_by_quadrature():
    """s = (2.3, 1.4) and input variance r = 1.7; s_1 r in the place of s_1 is the same."""
    model = equivalent_linear_model(nm.Network(1, (1, 1), "tanh", weight_variance=(2.3, 1.4, 1.0)), 1.7)
    derivatives, squares, total = [], [], 1.7
    for variance in (2.3, 1.4):
        derivatives.append(average(lambda x: 1 - math.tanh(x) ** 2, variance * total))
        squares.append(average(lambda x: math.tanh(x) ** 2, variance * total))
        total = squares[-1]
    signal = 2.3 * 1.4 * (derivatives[0] * derivatives[1]) ** 2
    assert model.sigma == pytest.approx((2.3 * 1.7, 1.4 * squares[0], squares[1]), rel=1e-10)
    assert (model.eta**2, model.signal) == pytest.approx((signal, 1.7 * signal), rel=1e-10)
    assert model.gamma == pytest.approx(squares[1] - 1.7 * signal, rel=1e-9)
    network = nm.Network(1, (1, 1), "tanh", weight_variance=(2.3 * 1.7, 1.4, 1.0))
    same = equivalent_linear_model(network)
    assert (same.sigma, same.signal, same.gamma) == (
        model.sigma,
        pytest.approx(model.signal),
        pytest.approx(model.gamma),
    )
    for bias in (0.0, 0.4):
        wide = dataclasses.replace(network, bias_variance=bias)
        narrow = dataclasses.replace(wide, weight_variance=(2.3, 1.4, 1.0))
        predicted = predict(narrow, CHANNEL, 2.0, input_spectrum=[1.7, 1.7])
        assert predicted.bayes_error == pytest.approx(predict(wide, CHANNEL, 2.0).bayes_error, rel=1e-10)


MIXED = nm.Network(1, (1, 1, 1), ("tanh", "erf", "sin"), weight_variance=(1.6, 0.7, 2.1, 1.3))


@pytest.mark.parametrize("bias", [0.0, 0.5])
@pytest.mark.parametrize("activation", [("tanh", "erf", "sin"), ("relu", "tanh", "relu")])
def test_the_linear_model_is_the_kernel_to_first_order(activation, bias: float):
    """By the pair moments that the samplers' control variate uses, another implementation: values at 0 and 1, slope."""
    network = dataclasses.replace(MIXED, activation=activation, bias_variance=bias)
    model = conjectured_linear_model(network)

    def kernel(overlap: float) -> float:
        scale, *scales = network.weight_variances
        covariance, variance = torch.tensor([[scale * overlap + bias]]), torch.tensor([scale + bias])
        for phi, scale in zip(network.activations, scales, strict=True):
            moments = (
                pair_moment(phi, covariance, variance, variance),
                pair_moment(phi, variance[None], variance, variance),
            )
            covariance, variance = (scale * moment + bias for moment in moments)
            variance = variance[0]
        return float(covariance)

    step = 1e-3
    slope = (kernel(step) - kernel(-step)) / (2 * step)
    assert model.sigma[-1] == pytest.approx(float(variance_of(network, torch.ones(1, 1))), rel=1e-8)
    assert model.bias_variance == pytest.approx(kernel(0.0), rel=1e-7, abs=1e-12)
    assert model.eta**2 == pytest.approx(slope, rel=1e-4)
    assert model.gamma == pytest.approx(model.sigma[-1] - kernel(0.0) - slope, rel=1e-3)


def test_the_proved_model_is_the_conjectured_one_without_biases():
    proved, conjectured = equivalent_linear_model(MIXED), conjectured_linear_model(MIXED)
    assert conjectured.sigma == pytest.approx(proved.sigma, rel=1e-10)
    assert (conjectured.eta, conjectured.gamma) == pytest.approx((proved.eta, proved.gamma), rel=1e-8)
    assert conjectured.alignment == pytest.approx(1, abs=1e-8)


def test_variances_may_be_carried_by_the_activation():
    """phi(sqrt(s) x) with unit variances is phi with variance s; a readout's variance multiplies signal and noise."""
    stretched = nm.Network(1, (1, 1), "tanh", weight_variance=(4.0, 4.0, 1.0))
    assert predict(stretched, CHANNEL, 2.0).bayes_error == pytest.approx(
        predict(nm.Network(1, (1, 1), "tanh2"), CHANNEL, 2.0).bayes_error, rel=1e-10
    )
    louder = predict(nm.Network(1, (1,), "erf", weight_variance=(1.0, 4.0)), nm.GaussianChannel(0.4), 2.0)
    plain = predict(nm.Network(1, (1,), "erf"), CHANNEL, 2.0)
    assert louder.bayes_error == pytest.approx(4 * plain.bayes_error, rel=1e-12)
    assert louder.mutual_information == pytest.approx(plain.mutual_information, rel=1e-12)


def test_each_layer_has_its_own_activation():
    both = equivalent_linear_model(nm.Network(1, (1, 1), ("tanh", "erf")))
    first, second = ACTIVATIONS["tanh"].second_moment(1.0), ACTIVATIONS["erf"]
    assert both.sigma == pytest.approx((1, first, second.second_moment(first)))
    other = equivalent_linear_model(nm.Network(1, (1, 1), ("erf", "tanh")))
    assert abs(other.eta - both.eta) > 1e-3


def test_what_rests_on_what():
    assert predict(MIXED, CHANNEL, 2.0).basis == "theorem"
    biased = nm.Network(1, (1,), "tanh", bias_variance=0.5)
    prediction = predict(biased, CHANNEL, 2.0)
    assert prediction.basis == "conjecture"
    assert prediction.function_overlap == pytest.approx(prediction.sigma[-1] - prediction.bayes_error)
    with pytest.raises(OutsideTheTheorem, match="proved for networks without biases"):
        equivalent_linear_model(biased)
    with pytest.raises(OutsideTheTheorem, match="has biases of variance 0.5.*: use GaussianChannel"):
        predict(biased, nm.ProbitChannel(0.1), 2.0)
    with pytest.raises(OutsideTheTheorem, match="'relu' is not declared odd"):
        predict(nm.Network(1, (1, 1), ("tanh", "relu"), bias_variance=0.5), CHANNEL, 2.0)


@pytest.mark.parametrize("activation", ["erf", ("erf", "relu")], ids=str)
def test_wide_networks_with_biases_approach_it_as_one_over_the_dimension(activation):
    """At alpha = 2 from d = 40 to 160. The information holds the bias as well, log(1 + n K(0) / (Delta + gamma)) /
    2n."""
    depth = 2 if isinstance(activation, tuple) else 1
    missing = []
    for size, instances in ((40, 48), (160, 6)):
        network = nm.Network(size, (1,) * depth, activation, bias_variance=0.5, weight_variance=1.3)
        limit = predict(network, CHANNEL, 2.0, conjecture=True)
        wide = nm.WideNetwork(nm.matched_teacher(network, CHANNEL, 2 * size, instances, seed=1, test_samples=100))
        assert limit.bias_variance is not None
        shared = math.log1p(2 * size * limit.bias_variance / (0.1 + limit.gamma)) / (4 * size)
        errors = np.array(
            [
                (wide.bayes_error() - limit.bayes_error).mean() / limit.bayes_error,
                (wide.mutual_information - shared - limit.mutual_information).mean() / limit.mutual_information,
            ]
        )
        missing.append(errors)
        without = predict(dataclasses.replace(network, bias_variance=0.0), CHANNEL, 2.0, conjecture=True)
        assert abs(float(wide.bayes_error().mean()) / without.bayes_error - 1) > 3 * abs(errors[0])
    assert (abs(missing[0]) < 0.05).all(), missing
    assert (abs(missing[1]) < 0.015).all(), missing


def test_the_alignment_is_the_correlation_of_gains():
    """One layer of tanh: E m(b) and E m(b)^2 of a unit's mean gain m(b) = E_x phi'(u) given its bias, by quadrature."""
    model = conjectured_linear_model(nm.Network(1, (1,), "tanh", bias_variance=0.8, weight_variance=(1.3, 1.0)))

    def gain(bias: float) -> float:
        return average(lambda x: 1 - math.tanh(x + bias) ** 2, 1.3)

    mean, square = average(gain, 0.8), average(lambda bias: gain(bias) ** 2, 0.8)
    assert model.alignment == pytest.approx(mean**2 / square, rel=1e-7)
    assert model.alignment < 0.97


def test_the_alignment_is_that_of_gradients_and_products_of_weights():
    """Wide networks of two layers: E_x grad F, over independent halves of the inputs, beside W_1^T W_2^T a."""
    network = nm.Network(100, (200, 200), ("relu", "tanh"), bias_variance=1.5, weight_variance=(1.3, 2.0, 0.8))
    chains, rows = 48, torch.randn(1000, 100, generator=torch.Generator().manual_seed(4))
    target = nm.Posterior(nm.Problem(network, CHANNEL, rows, torch.zeros(1000)), "fp64", "cpu")
    weights = target.initial_position(chains, "prior", 1)
    products = effective_weights(weights, network)[0] / 10
    names, inputs = [phi.name for phi in network.activations], rows[None].requires_grad_()
    halves = []
    for chain in range(chains):
        blocks = [block[:, chain : chain + 1] for block in weights.blocks]
        latent = reference.latent(blocks, inputs, names, variances_of(network))
        (gradients,) = torch.autograd.grad(latent.sum(), inputs)
        halves.append(gradients.view(2, 500, 100).mean(1))
    first, second = torch.stack(halves, 1)
    moments = torch.stack(
        [((first + second) * products).sum(-1) / 2, (first * second).sum(-1), products.square().sum(-1)]
    )
    cross, squares, norms = moments.mean(1).tolist()
    found = cross**2 / squares / norms
    deviations = 2 * moments[0] / cross - moments[1] / squares - moments[2] / norms
    error = found * float(deviations.std()) / math.sqrt(chains)
    alignment = conjectured_linear_model(network).alignment
    assert abs(found - alignment) < 4 * error, (found, alignment, error)
    assert abs(found - 1) > 8 * error
