"""Generators of inputs: their moments against their draws, and the data sets that are made of them."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from nishimori.description import GaussianChannel, Network
from nishimori.description.activations import ACTIVATIONS
from nishimori.description.input_moments import InputMoments, power_law
from nishimori.models.inputs import (
    GaussianInputs,
    HiddenManifoldInputs,
    IndependentInputs,
    InputGenerator,
    ModuleInputs,
    estimated_moments,
)
from nishimori.models.problem import matched_teacher

SAMPLES = 20_000
CHANNEL = GaussianChannel(0.1)


def off_diagonal(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    return matrix[~np.eye(len(matrix), dtype=bool)]


@pytest.mark.parametrize("name", ["sign", "erf", "relu", "tanh"])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_random_layers_have_the_moments_of_their_equivalent(name: str, depth: int) -> None:
    """On average over entries: the slope of measured on predicted is 1, up to corrections of order 1/latent."""
    generator = HiddenManifoldInputs(120, 80, ACTIVATIONS[name], depth)
    measured, known = estimated_moments(generator, 80, SAMPLES), generator.moments
    assert np.abs(measured.mean).max() < 0.15
    for found, predicted in [(measured.covariance, known.covariance), (measured.cross, known.cross)]:
        square = found.shape[0] == found.shape[1]
        x, y = (off_diagonal(predicted), off_diagonal(found)) if square else (predicted.ravel(), found.ravel())
        assert x @ y / (x @ x) == pytest.approx(1.0, abs=0.03)
        assert np.std(y - x) < 0.35 * np.std(x) + 2 / np.sqrt(SAMPLES)
    assert np.diag(measured.covariance).mean() == pytest.approx(np.diag(known.covariance).mean(), rel=0.03)


def test_equivalent_inputs_are_normal_with_the_same_moments() -> None:
    known = HiddenManifoldInputs(30, 12, ACTIVATIONS["sign"]).moments
    generator = GaussianInputs(known)
    draws = 100_000
    measured = estimated_moments(generator, generator.numbers, draws)
    assert np.abs(measured.covariance - known.covariance).max() < 6 * np.sqrt(2 / draws)
    assert np.abs(measured.cross[:, :12] - known.cross).max() < 6 * np.sqrt(1 / draws)
    rows = generator(torch.randn(draws, generator.numbers, dtype=torch.float64, generator=torch.manual_seed(0)))
    kurtosis = (rows**4).mean(0) / (rows**2).mean(0) ** 2
    assert float((kurtosis - 3).abs().max()) < 6 * np.sqrt(24 / draws)


def test_a_module_has_the_moments_that_its_parameters_say() -> None:
    """A linear layer: Omega = W W^T, Phi = W, and its bias is taken off."""
    module = torch.nn.Linear(5, 8)
    with torch.no_grad():
        module.bias.fill_(3.0)
    generator = ModuleInputs(module, latent_dim=5)
    weights = module.weight.detach().double().numpy()
    np.testing.assert_allclose(generator.moments.mean, 3.0, atol=0.02)
    np.testing.assert_allclose(generator.moments.covariance, weights @ weights.T, atol=0.02)
    np.testing.assert_allclose(generator.moments.cross, weights, atol=0.02)
    rows = generator(torch.randn(3, 50_000, 5, dtype=torch.float64, generator=torch.manual_seed(0)))
    assert rows.shape == (3, 50_000, 8) and rows.dtype == torch.float64
    assert float(rows.mean((0, 1)).abs().max()) < 0.02


@pytest.mark.parametrize(
    "generator",
    [
        HiddenManifoldInputs(10, 6, ACTIVATIONS["relu"], depth=2),
        IndependentInputs(power_law(10, 1.0)),
        GaussianInputs(np.diag(power_law(10, 1.0)) + 0.1),
        ModuleInputs(torch.nn.Sequential(torch.nn.Linear(4, 10), torch.nn.Tanh()), 4, samples=1000),
    ],
    ids=["layers", "power_law", "covariance", "module"],
)
def test_data_sets_are_made_of_them(generator: InputGenerator) -> None:
    """A larger data set extends a smaller one, and one among more instances is the same, both to the bit."""
    network = Network(10, (8,), "tanh")
    small = matched_teacher(network, CHANNEL, 20, 2, test_samples=30, inputs=generator)
    large = matched_teacher(network, CHANNEL, 300, 3, test_samples=40, inputs=generator)
    assert torch.equal(small.inputs, large.inputs[:2, :20]) and torch.equal(small.labels, large.labels[:2, :20])
    assert small.test_inputs is not None and large.test_inputs is not None
    assert torch.equal(small.test_inputs, large.test_inputs[:2, :30])
    wide = matched_teacher(network, CHANNEL, 4000, 1, inputs=generator).inputs[0].numpy()
    covariance = wide.T @ wide / len(wide)
    assert np.abs(covariance - generator.moments.covariance).max() < 0.35


def test_what_is_no_law_of_inputs_is_refused() -> None:
    for covariance, said in [
        (np.ones((2, 3)), "must be a symmetric matrix"),
        (np.array([[1.0, 2.0], [2.0, 1.0]]), "no negative eigenvalues"),
        (np.full((2, 2), np.nan), "finite numbers"),
    ]:
        with pytest.raises(ValueError, match=said):
            GaussianInputs(covariance)
    with pytest.raises(ValueError, match="no inputs have these moments"):
        GaussianInputs(InputMoments(np.zeros(2), np.eye(2), 2 * np.eye(2)))
    with pytest.raises(ValueError, match=r"must give finite rows \[2, input_dim\]"):
        ModuleInputs(torch.nn.Flatten(0), 3)
    with pytest.raises(ValueError, match="inputs have dimension 10, the network's input_dim is 9"):
        matched_teacher(Network(9, (4,), "tanh"), CHANNEL, 5, inputs=IndependentInputs(np.ones(10)))
