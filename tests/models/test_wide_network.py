"""The kernel of infinitely wide networks: against quadrature, against wide networks, and in its algebra."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

import nishimori as nm
from nishimori.description import ACTIVATIONS, Activation
from nishimori.models.activation_kernel import activation_kernel
from nishimori.models.pair_moments import mean_slope, pair_moment, second_moment
from nishimori.models.wide_network import kernel_of, variance_of, weight_covariance_of
from nishimori_kernels.energy.batched import BatchedNetwork

SAMPLABLE = [name for name, activation in ACTIVATIONS.items() if activation.samplable]
CPU = torch.device("cpu")


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def quadrature(activation: Activation, correlation: float, left: Tensor, right: Tensor, spacing: float) -> Tensor:
    """The plane's trapezium rule in two independent normals."""
    points = torch.arange(-9, 9 + spacing / 2, spacing)
    weights = torch.exp(-(points**2) / 2) * spacing / math.sqrt(2 * math.pi)
    second = correlation * points[:, None] + math.sqrt(1 - correlation**2) * points
    u, v = left.sqrt()[:, None] * points, right.sqrt()[:, None, None] * second
    of_u, of_v = (torch.from_numpy(activation.function(values.numpy())) for values in (u, v))
    return torch.einsum("iz,jzy,z,y->ij", of_u, of_v, weights, weights)


@pytest.mark.parametrize("correlation", [0.0, 0.3, -0.9, 0.999, 1.0])
@pytest.mark.parametrize("name", SAMPLABLE)
def test_a_pair_moment_agrees_with_quadrature(name: str, correlation: float):
    """Smooth ones to 1e-9; relu, whose kink costs the rule h^2, to 5e-5."""
    left, right = torch.tensor([0.3, 1.0, 2.2]), torch.tensor([1.1, 0.6])
    covariance = correlation * (left[:, None] * right).sqrt()
    found = pair_moment(ACTIVATIONS[name], covariance, left, right)
    spacing, tolerance = (1 / 32, 5e-5) if name == "relu" else (1 / 12, 1e-9)
    expected = quadrature(ACTIVATIONS[name], correlation, left, right, spacing)
    torch.testing.assert_close(found, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", SAMPLABLE)
def test_the_mean_slope_is_that_of_the_activation(name: str):
    variance = torch.tensor([0.2, 1.0, 3.0], dtype=torch.float64)
    expected = torch.tensor(
        [ACTIVATIONS[name].mean_derivative(float(value)) for value in variance], dtype=torch.float64
    )
    torch.testing.assert_close(mean_slope(ACTIVATIONS[name], variance), expected, rtol=0, atol=1e-9)
    assert float(mean_slope(ACTIVATIONS[name], torch.zeros(1, dtype=torch.float64))) == 0


def test_the_weights_of_a_linear_network_are_those_of_ridge_regression():
    """F = v . x / sqrt(d): Cov(F, v) = x / sqrt(d), and B y is the ridge estimate."""
    problem = nm.matched_teacher(nm.Network(6, (9,), "identity"), nm.GaussianChannel(0.3), 8, 4, seed=2, test_samples=3)
    wide, inputs = nm.WideNetwork(problem), problem.inputs / math.sqrt(6)
    torch.testing.assert_close(weight_covariance_of(problem.network, problem.inputs[0]), inputs[0])
    gram = inputs.transpose(1, 2) @ inputs + 0.3 * torch.eye(6, dtype=torch.float64)
    ridge = torch.linalg.solve(gram, inputs.transpose(1, 2) @ problem.labels.unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(wide.effective_weights, ridge)
    shrunk = torch.linalg.solve(gram, inputs.transpose(1, 2) @ inputs).diagonal(dim1=1, dim2=2).mean(-1)
    torch.testing.assert_close(wide.overlap, shrunk)


@pytest.mark.parametrize("name", SAMPLABLE)
def test_the_diagonal_is_the_second_moment_of_the_activation(name: str):
    variance = torch.tensor([0.0, 0.2, 1.0, 3.0])
    expected = torch.tensor([ACTIVATIONS[name].second_moment(float(value)) for value in variance])
    torch.testing.assert_close(second_moment(ACTIVATIONS[name], variance), expected, rtol=0, atol=1e-12)
    own = pair_moment(ACTIVATIONS[name], variance.diag(), variance, variance).diagonal()
    torch.testing.assert_close(own, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", SAMPLABLE)
def test_the_kernel_is_the_mean_over_networks_of_one_hidden_layer(name: str):
    """At any width, here 3: 20,000 networks; and with the wrong activation (the negative control) it is not."""
    inputs, draws = normal(4, 5), 20_000
    batched = BatchedNetwork(inputs.unsqueeze(0), (3,), activation_kernel(ACTIVATIONS[name], CPU, torch.float64), draws)
    hidden = batched.forward_hidden([normal(1, draws, 3, 5, seed=1)])[0]
    products = torch.einsum("cws,cwt->cst", hidden, hidden) / 3
    error = products.std(0) / math.sqrt(draws)
    expected = kernel_of(nm.Network(5, (3,), name), inputs, inputs)
    assert float(((products.mean(0) - expected) / error).abs().max()) < 4
    other = kernel_of(nm.Network(5, (3,), "sin" if name != "sin" else "erf"), inputs, inputs)
    assert float(((products.mean(0) - other) / error).abs().max()) > 8


@pytest.mark.parametrize("name", ["tanh2", "erf", "relu"])
def test_very_wide_deep_networks_have_the_kernel(name: str):
    """Two layers of 500, the mean of 32 networks: within what widths and draws leave."""
    inputs, width, draws = normal(4, 5), 500, 32
    kernel = activation_kernel(ACTIVATIONS[name], CPU, torch.float64)
    batched = BatchedNetwork(inputs.unsqueeze(0), (width, width), kernel, draws)
    weights = [normal(1, draws, width, 5, seed=1), normal(1, draws, width, width, seed=2)]
    hidden = batched.forward_hidden(weights)[0]
    expected = kernel_of(nm.Network(5, (width, width), name), inputs, inputs)
    found = torch.einsum("cws,cwt->st", hidden, hidden) / (width * draws)
    assert float((found - expected).abs().max()) < 0.06 * float(expected.diagonal().max())


@pytest.mark.parametrize("name", SAMPLABLE)
def test_kernels_are_symmetric_positive_and_recursive(name: str):
    inputs = normal(40, 6)
    kernels = [kernel_of(nm.Network(6, (1,) * depth, name), inputs, inputs) for depth in range(4)]
    for depth, kernel in enumerate(kernels):
        torch.testing.assert_close(kernel, kernel.T, rtol=0, atol=1e-14)
        assert float(torch.linalg.eigvalsh(kernel).min()) > -1e-9
        own = variance_of(nm.Network(6, (1,) * depth, name), inputs)
        torch.testing.assert_close(kernel.diagonal(), own, rtol=0, atol=1e-9)
    for below, above in zip(kernels, kernels[1:], strict=False):
        variance = below.diagonal()
        again = pair_moment(ACTIVATIONS[name], below, variance, variance)
        torch.testing.assert_close(again, above, rtol=0, atol=2e-9)


GOLDEN = [("tanh", 1, 0.394294490398), ("tanh", 2, 0.236450410499), ("tanh2", 2, 0.561600637194)]
"""sigma_L by the quadrature of another implementation; tanh2 agrees with Cui, Krzakala and Zdeborova's notebook."""


@pytest.mark.parametrize(("name", "depth", "sigma"), GOLDEN)
def test_a_typical_input_has_the_variance_of_the_limit(name: str, depth: int, sigma: float):
    found = variance_of(nm.Network(9, (1,) * depth, name), torch.ones(1, 9))
    assert float(found) == pytest.approx(sigma, abs=1e-10)


def test_without_hidden_layers_it_is_linear_regression():
    """The posterior of the weights instead of the process: means, variances and evidence by another route."""
    problem = nm.matched_teacher(nm.Network(4), nm.GaussianChannel(0.3), 7, 2, test_samples=5)
    wide = nm.WideNetwork(problem)
    features, test = problem.inputs / 2, problem.rows("test") / 2
    precision = torch.eye(4) + features.transpose(1, 2) @ features / 0.3
    mean = torch.linalg.solve(precision, (features.transpose(1, 2) @ problem.labels.unsqueeze(-1)) / 0.3)
    torch.testing.assert_close(wide.predictions(), (test @ mean).squeeze(-1))
    variance = (test * torch.linalg.solve(precision, test.transpose(1, 2)).transpose(1, 2)).sum(-1)
    torch.testing.assert_close(wide.bayes_error(), variance.mean(-1))
    torch.testing.assert_close(wide.mutual_information, torch.logdet(precision) / 14)
    covariance = features @ features.transpose(1, 2) + 0.3 * torch.eye(7)
    law = torch.distributions.MultivariateNormal(torch.zeros(2, 7), covariance)
    torch.testing.assert_close(wide.log_evidence, law.log_prob(problem.labels) / 7)
    smoothed = (wide.smoother() @ problem.labels.unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(smoothed, wide.predictions())


@pytest.mark.parametrize(("depth", "information", "error"), [(1, -0.31, -0.17), (2, -0.25, -0.16)])
def test_the_limit_is_approached_as_one_over_the_dimension(depth: int, information: float, error: float):
    """d times what is missing at d = 100, alpha = 2: the coefficients of erf, found by another implementation."""
    network, channel = nm.Network(100, (1,) * depth, "erf"), nm.GaussianChannel(0.1)
    wide = nm.WideNetwork(nm.matched_teacher(network, channel, 200, 12, test_samples=200))
    limit = nm.theory.predict(network, channel, sample_ratio=2.0)
    for values, predicted, expected in (
        (wide.mutual_information, limit.mutual_information, information),
        (wide.bayes_error(), limit.bayes_error, error),
    ):
        missing = 100 * (values - predicted)
        assert abs(float(missing.mean()) - expected) < 4 * float(missing.std()) / math.sqrt(12) + 0.03


def test_an_activation_with_a_kink_of_ones_own_is_refused():
    own = Activation(np.abs, np.sign, "absolute")
    inputs = normal(3, 2)
    with pytest.raises(ValueError, match="kernel of activation 'absolute' is not known"):
        kernel_of(nm.Network(2, (1,), own), inputs, inputs)


def test_a_smooth_activation_of_ones_own_has_a_kernel():
    """erf without its closed form."""
    own = Activation(ACTIVATIONS["erf"].function, ACTIVATIONS["erf"].derivative, "mine", odd=True)
    inputs = normal(6, 4)
    found, expected = (kernel_of(nm.Network(4, (1, 1), name), inputs, inputs) for name in (own, "erf"))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)
