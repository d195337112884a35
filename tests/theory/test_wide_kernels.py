"""Kernels of infinite width beside finite networks and their derivatives by autodiff, and beside other code here."""

import math

import numpy as np
import pytest

from nishimori.description.activations import ACTIVATIONS, Activation, activation
from nishimori.theory.mehler import pair_averages
from nishimori.theory.nngp import kernel
from nishimori.theory.wide_kernels import CLOSED_FORMS, activation_kernels, wide_kernels

Array = np.ndarray
INPUTS = np.random.default_rng(3).standard_normal((4, 3))
WEIGHTS, BIAS = (1.4, 0.8, 1.9), 0.3


def finite_kernels(name: str, width: int, draws: int) -> tuple[Array, Array]:
    """Of drawn networks of two hidden layers: (w / N) phi phi^T + b of the last one and J J^T of all parameters, by
    autodiff, [draws, inputs, inputs] each."""
    import torch
    from torch.func import functional_call, jacrev

    phi = {"relu": torch.relu, "tanh": torch.tanh, "erf_sqrt2": lambda u: torch.erf(u / math.sqrt(2))}[name]
    generator, rows = torch.Generator().manual_seed(7), torch.tensor(INPUTS)
    shapes = [(width, 3), (width, width), (1, width)]

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for layer, shape in enumerate(shapes):
                self.register_parameter(f"w{layer}", torch.nn.Parameter(torch.randn(shape, generator=generator)))
                self.register_parameter(f"b{layer}", torch.nn.Parameter(torch.randn(shape[0], generator=generator)))

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            hidden = x
            for layer, (scale, shape) in enumerate(zip(WEIGHTS, shapes, strict=True)):
                x = phi(hidden) if layer else hidden
                weight, shift = getattr(self, f"w{layer}"), getattr(self, f"b{layer}")
                hidden = math.sqrt(scale / shape[1]) * x @ weight.T + math.sqrt(BIAS) * shift
            return hidden[:, 0], x

    features, tangents = [], []
    for _ in range(draws):
        net = Net()
        parameters = {key: value.detach() for key, value in net.named_parameters()}
        jacobians, last = jacrev(lambda p, net=net: functional_call(net, p, (rows,)), has_aux=True)(parameters)
        flat = torch.cat([part.reshape(len(rows), -1) for part in jacobians.values()], dim=1)
        tangents.append((flat @ flat.T).numpy())
        features.append((WEIGHTS[-1] / width * last @ last.T + BIAS).detach().numpy())
    return np.array(features), np.array(tangents)


def worst(found: Array, expected: Array) -> float:
    """The largest |z| of a mean over draws."""
    errors = found.std(axis=0, ddof=1) / math.sqrt(len(found))
    return float(np.abs((found.mean(axis=0) - expected) / errors).max())


@pytest.mark.parametrize("name", ["erf_sqrt2", "relu", "tanh"])
def test_kernels_of_wide_networks_by_autodiff(name: str) -> None:
    """24 draws of width 768, whose bias of order 1 / width is a fifth of a standard error; other variances are seen."""
    features, tangents = finite_kernels(name, 768, 24)
    kernels = wide_kernels(INPUTS, activation(name), 2, WEIGHTS, BIAS)
    assert worst(features, kernels.covariance) < 4 and worst(tangents, kernels.tangent) < 4
    other = wide_kernels(INPUTS, activation(name), 2, WEIGHTS[::-1], BIAS)
    assert worst(tangents, other.tangent) > 8 and worst(features, other.covariance) > 8


def test_deviations_fall_as_the_root_of_the_width() -> None:
    kernels = wide_kernels(INPUTS, activation("erf_sqrt2"), 2, WEIGHTS, BIAS)
    spread = []
    for width in (32, 512):
        found = finite_kernels("erf_sqrt2", width, 40)
        pairs = zip(found, (kernels.covariance, kernels.tangent), strict=True)
        spread.append([float(np.sqrt(np.mean((one - wide) ** 2))) for one, wide in pairs])
    np.testing.assert_allclose(np.divide(*spread), 4.0, rtol=0.3)


@pytest.mark.parametrize("name", ["identity", "erf", "erf_sqrt2", "sin", "tanh", "tanh2", "relu"])
def test_they_agree_with_the_kernel_of_inputs_of_one_length(name: str) -> None:
    for variance, covariance in ((0.7, 0.3), (2.5, 0.0), (1.2, 1.1)):
        matrix = np.array([[variance, covariance], [covariance, variance]])
        found = [float(one[0, 1]) for one in activation_kernels(activation(name), matrix)]
        np.testing.assert_allclose(found, kernel(activation(name), variance, covariance), atol=1e-9)


def test_diagonals_are_averages_over_one_normal() -> None:
    variances = np.array([0.05, 0.9, 12.0])
    matrix = np.outer(np.sqrt(variances), np.sqrt(variances)) * 0.4 + 0.6 * np.diag(variances)
    for phi in ACTIVATIONS.values():
        if phi.samplable:
            moments, _ = activation_kernels(phi, matrix)
            np.testing.assert_allclose(np.diagonal(moments), [phi.second_moment(s) for s in variances], rtol=1e-9)


@pytest.mark.parametrize("name", sorted(set(CLOSED_FORMS) - {"relu"}))
def test_closed_forms_are_the_series(name: str) -> None:
    factor = np.random.default_rng(1).standard_normal((6, 4))
    covariance = factor @ factor.T
    for exact, function in zip(
        activation_kernels(activation(name), covariance),
        (activation(name).function, activation(name).derivative),
        strict=True,
    ):
        np.testing.assert_allclose(pair_averages(function, covariance), exact, atol=1e-9)


@pytest.mark.parametrize("name", ["erf_sqrt2", "relu", "tanh"])
def test_they_agree_with_the_infinitely_wide_network_of_a_problem(name: str) -> None:
    import torch

    from nishimori.description import Network
    from nishimori.models.wide_network import kernel_of

    network = Network(3, (5, 5), name, bias_variance=BIAS, weight_variance=WEIGHTS)
    rows = torch.tensor(INPUTS)
    expected = wide_kernels(INPUTS, activation(name), 2, WEIGHTS, BIAS).covariance
    np.testing.assert_allclose(kernel_of(network, rows, rows).numpy(), expected, atol=1e-9)


def test_a_linear_model_has_the_kernel_of_its_inputs() -> None:
    kernels = wide_kernels(INPUTS, activation("tanh"), 0, 2.0, 0.5)
    np.testing.assert_allclose(kernels.covariance, 2.0 * INPUTS @ INPUTS.T / 3 + 0.5)
    assert kernels.tangent is kernels.covariance


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"inputs": [1.0, 2.0]}, "inputs have shape"),
        ({"inputs": [[1.0, math.nan]]}, "give finite numbers"),
        ({"depth": -1}, "depth must be at least 0"),
        ({"weight_variance": (1.0, 2.0, 3.0)}, "give one, or 2"),
        ({"weight_variance": 0.0}, "must be positive and finite"),
        ({"bias_variance": -0.1}, "bias_variance must be finite"),
        ({"activation": activation("sign")}, "the function jumps"),
        ({"activation": Activation(np.abs, np.sign, "bend")}, "are not resolved"),
        ({"activation": Activation(np.tanh, np.cos, "wrong")}, "is another function's"),
        (
            {"activation": Activation(lambda x: np.exp(x**2 / 8), lambda x: x / 4 * np.exp(x**2 / 8))},
            "does not converge",
        ),
    ],
)
def test_bad_input_is_a_sentence(changed: dict[str, object], said: str) -> None:
    given = {"inputs": 3 * INPUTS, "activation": activation("tanh"), "depth": 1, **changed}
    with pytest.raises(ValueError, match=said):
        wide_kernels(**given)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    "covariance", [[1.0], [[1.0, 0.2], [0.3, 1.0]], [[-1.0]], [[math.inf]], [[1.0, 0.2, 0.1], [0.2, 1.0, 0.0]]]
)
def test_covariances_that_are_none_are_refused(covariance: object) -> None:
    with pytest.raises(ValueError, match="give a covariance matrix"):
        activation_kernels(activation("tanh"), covariance)  # pyright: ignore[reportArgumentType]
