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

CHANNEL = GaussianChannel(0.1)
BATCHES, SAMPLES = 10, 2000
SIZES = ((30, 20), (120, 80))
"""Input and latent dimensions."""
SHIFT = {True: 2.0, False: 4.0}
"""Over the latent dimension, at most the shift of all covariances together by what is not Gaussian: of odd layers, and
of relu."""
SCATTER = {True: {1: 0.2, 2: 0.9, 3: 1.1}, False: {1: 0.8, 2: 2.4, 3: 3.5}}
"""Over its root, at most that of single ones, relative to their root mean square, by depth. Both as measured; that they
fall so is what the theorem says."""


def off_diagonal(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    return matrix[~np.eye(len(matrix), dtype=bool)]


class Batches:
    """Moments of independent batches of draws beside what is predicted of them."""

    def __init__(self, name: str, depth: int, sizes: tuple[int, int], seed: int = 0) -> None:
        self.latent = sizes[1]
        generator = HiddenManifoldInputs(*sizes, ACTIVATIONS[name], depth, seed)
        found = [estimated_moments(generator, sizes[1], SAMPLES, batch) for batch in range(BATCHES)]
        known, unbiased = generator.moments, SAMPLES / (SAMPLES - 1)
        self.mean = np.mean([one.mean for one in found], axis=0)
        self.variance = np.array([unbiased * np.diag(one.covariance).mean() for one in found])
        self.known_variance = float(np.diag(known.covariance).mean())
        self.entries = np.array([[*off_diagonal(one.covariance), *one.cross.ravel()] for one in found])
        self.predicted = np.array([*off_diagonal(known.covariance), *known.cross.ravel()])

    def slope(self) -> tuple[float, float]:
        """Of entries on what is predicted of them, and its Monte Carlo error."""
        return with_error(self.entries @ self.predicted / (self.predicted @ self.predicted))

    def scatter(self) -> tuple[float, float]:
        """Square of the error of predictions relative to them, from pairs of different batches and so free of Monte
        Carlo bias, and its jackknife error."""
        apart = self.entries - self.predicted
        without = [self._pairs(np.delete(apart, batch, axis=0)) for batch in range(BATCHES)]
        return self._pairs(apart), float(np.std(without) * (BATCHES - 1) ** 0.5)

    def _pairs(self, apart: NDArray[np.float64]) -> float:
        total, count = apart.sum(0), len(apart)
        return float((total @ total - (apart**2).sum()) / (count * (count - 1)) / (self.predicted @ self.predicted))


def with_error(values: NDArray[np.float64]) -> tuple[float, float]:
    return float(values.mean()), float(values.std(ddof=1) / len(values) ** 0.5)


def is_within(found: tuple[float, float], expected: float, shift: float) -> bool:
    """To four Monte Carlo errors, beyond a `shift`."""
    return abs(found[0] - expected) < 4 * found[1] + shift


@pytest.mark.parametrize("name", ["sign", "erf", "relu", "tanh"])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_random_layers_have_the_moments_of_their_equivalent(name: str, depth: int) -> None:
    """Up to what falls with the size, by its law; means are 0 by symmetry, or taken off, in a first layer."""
    odd, scatters = ACTIVATIONS[name].odd, []
    for sizes in SIZES:
        batches = Batches(name, depth, sizes)
        shift = SHIFT[odd] / batches.latent
        assert is_within(batches.slope(), 1.0, shift)
        assert is_within(with_error(batches.variance / batches.known_variance), 1.0, shift)
        scatters.append(batches.scatter())
        assert is_within(scatters[-1], 0.0, SCATTER[odd][depth] ** 2 / batches.latent)
        beyond = 0.0 if odd or depth == 1 else 0.5 / batches.latent**0.5
        assert np.abs(batches.mean).max() < 5 * (batches.known_variance / (BATCHES * SAMPLES)) ** 0.5 + beyond
    (small, error), (large, other) = scatters
    assert large < small / 2 + 4 * (error + other)


@pytest.mark.parametrize("depth", [1, 2])
def test_other_moments_than_those_of_the_equivalent_are_seen(depth: int) -> None:
    """A slope of 1.04 for each layer's own, and layers of another seed."""
    batches, shift = Batches("erf", depth, SIZES[1]), SHIFT[True] / SIZES[1][1]
    limit = SCATTER[True][depth] ** 2 / batches.latent
    batches.predicted *= 1.04**2
    assert not is_within(batches.slope(), 1.0, shift)
    batches.predicted = Batches("erf", depth, SIZES[1], seed=1).predicted
    assert not is_within(batches.slope(), 1.0, shift) and not is_within(batches.scatter(), 0.0, limit)


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
    covariance = weights @ weights.T
    variances = np.diag(covariance)
    found, draws = generator.moments, generator.samples
    assert np.all(np.abs(found.mean - 3.0) < 5 * np.sqrt(variances / draws))
    products = np.outer(variances, variances) + covariance**2
    assert np.all(np.abs(found.covariance - covariance) < 5 * np.sqrt(products / draws))
    products = variances[:, None] + weights**2 + 9.0  # the mean is not taken off the products with the latent
    assert np.all(np.abs(found.cross - weights) < 5 * np.sqrt(products / draws))
    rows = generator(torch.randn(3, 50_000, 5, dtype=torch.float64, generator=torch.manual_seed(0)))
    assert rows.shape == (3, 50_000, 8) and rows.dtype == torch.float64
    assert np.all(np.abs(rows.mean((0, 1)).numpy()) < 5 * np.sqrt(variances * (1 / draws + 1 / 150_000)))


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
    assert largest_z(matched_teacher(network, CHANNEL, 4000, 1, inputs=generator).inputs[0], generator) < 5


def test_data_sets_of_others_are_seen() -> None:
    layers = [HiddenManifoldInputs(10, 6, ACTIVATIONS["relu"], depth=2, seed=seed) for seed in (0, 1)]
    rows = matched_teacher(Network(10, (8,), "tanh"), CHANNEL, 4000, 1, inputs=layers[0]).inputs[0]
    assert largest_z(rows, layers[0]) < 5 < largest_z(rows, layers[1])


def largest_z(rows: torch.Tensor, generator: InputGenerator) -> float:
    """Of second moments of rows, each against that of other draws of the generator, in its own Monte Carlo errors."""
    draws = 40_000
    other = generator(torch.randn(draws, generator.numbers, dtype=torch.float64, generator=torch.manual_seed(1)))
    products = [(one[:, :, None] * one[:, None]).flatten(1) for one in (rows, other)]
    apart = products[0].mean(0) - products[1].mean(0)
    variance = products[0].var(0) / len(rows) + products[1].var(0) / draws
    return float((apart / variance.sqrt()).abs().max())


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
