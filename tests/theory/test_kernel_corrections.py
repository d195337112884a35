"""Feature kernels at finite width, to first order: beside importance sampling over networks of the prior, closed forms
of linear networks, sampled fluctuations and finite differences."""

import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray
from one_input_networks import learned

from nishimori.description.activations import activation
from nishimori.theory.fourth_moments import fourth_moments, sampled_fourth_moments
from nishimori.theory.kernel_corrections import (
    Evidence,
    deep_linear_changes,
    divergence_from_prior,
    evidence_gain,
    kernel_changes,
    kernel_fluctuations,
    sampled_kernel_changes,
)
from nishimori.theory.kernel_maps import kernel_map

Array = NDArray[np.float64]
NAMES = ["identity", "sin", "erf", "erf_sqrt2", "relu", "tanh"]
RULE = np.polynomial.hermite_e.hermegauss(40)


def data(samples: int = 5, dim: int = 12, outputs: int = 2) -> tuple[Array, Array]:
    generator = np.random.default_rng(0)
    return generator.standard_normal((samples, dim)), 1.5 * generator.standard_normal((samples, outputs))


def prior_kernels(
    inputs: Array, widths: tuple[int, ...], name: str, draws: int, seed: int, weight: float = 1.0
) -> list[Array]:
    """K^(l) [draws, p, p] of networks of the prior, layer by layer: given K^(l-1), units are independent N(0, w K)."""
    generator, phi = np.random.default_rng(seed), activation(name)
    batches = []
    for count in [2000] * (draws // 2000):
        below, found = np.broadcast_to(inputs @ inputs.T / inputs.shape[1], (count, len(inputs), len(inputs))), []
        for width in widths:
            normals = generator.standard_normal((count, width, len(inputs)))
            features = phi.function(normals @ np.linalg.cholesky(weight * below).transpose(0, 2, 1))
            below = features.transpose(0, 2, 1) @ features / width
            found.append(below)
        batches.append(found)
    return [np.concatenate(layer) for layer in zip(*batches, strict=True)]


def weighed(kernels: list[Array], evidence: Evidence) -> list[tuple[Array, Array]]:
    """<K^(l)> - E K^(l) by importance sampling from the prior, and standard errors (of a ratio, to first order)."""
    logs = np.array([evidence.log(kernel) for kernel in kernels[-1]])
    weights = np.exp(logs - logs.max())
    weights /= weights.mean()
    found = []
    for kernel in kernels:
        posterior = np.mean(weights[:, None, None] * kernel, axis=0)
        pieces = weights[:, None, None] * (kernel - posterior) - (kernel - kernel.mean(axis=0))
        found.append((posterior - kernel.mean(axis=0), pieces.std(axis=0) / np.sqrt(len(logs))))
    return found


def deviations(found: tuple[Array, Array], predicted: Array) -> Array:
    places = np.triu_indices(len(predicted))
    return ((found[0] - predicted) / found[1])[places]


@pytest.mark.parametrize("name", NAMES)
def test_fourth_moments_of_two_variables_are_those_of_a_product_rule(name: str) -> None:
    """Gauss and Hermite's, in coordinates where the variables are independent; relu by polar symmetry."""
    covariance = np.array([[0.9, 0.35], [0.35, 0.6]])
    found = fourth_moments(activation(name), covariance)
    if name == "relu":
        assert found[0, 0, 0, 0] == pytest.approx(3 * 0.9**2 / 2, rel=1e-12)
        return
    points, weights = RULE
    grid = np.stack(np.meshgrid(points, points, indexing="ij"), axis=-1) @ np.linalg.cholesky(covariance).T
    law, phi = np.outer(weights, weights) / (2 * np.pi), activation(name).function(grid)
    tolerance = 2e-4 if name == "tanh" else 1e-9 if name != "erf" else 1e-5
    for a, b, c, d in ((0, 0, 0, 0), (0, 0, 0, 1), (0, 1, 1, 0), (1, 1, 1, 0)):
        expected = float(np.sum(law * phi[..., a] * phi[..., b] * phi[..., c] * phi[..., d]))
        assert found[a, b, c, d] == pytest.approx(expected, abs=tolerance)


@pytest.mark.parametrize("name", NAMES)
def test_fourth_moments_by_quadrature_in_closed_form_and_sampled(name: str) -> None:
    """A copy of the activation under another name has no closed form."""
    inputs, _ = data(4)
    covariance, phi = inputs @ inputs.T / 12, activation(name)
    exact = fourth_moments(phi, covariance)
    plain = fourth_moments(dataclasses.replace(phi, name="copy"), covariance)
    np.testing.assert_allclose(plain, exact, atol=1e-10)
    value, error = sampled_fourth_moments(phi, covariance, np.random.default_rng(3).standard_normal((40_000, 4)))
    assert np.abs((value - exact) / error).max() < 4
    assert np.abs((value - 1.2 * exact) / error).max() > 5


def test_closed_forms_take_dependent_inputs_and_quadrature_refuses_them() -> None:
    inputs = np.concatenate([data(4, 3)[0], data(4, 3)[0][:1]])
    covariance, normals = inputs @ inputs.T / 3, np.random.default_rng(5).standard_normal((40_000, 5))
    for name in ("identity", "sin", "erf_sqrt2"):
        value, error = sampled_fourth_moments(activation(name), covariance, normals)
        assert np.abs((value - fourth_moments(activation(name), covariance)) / error).max() < 4
    with pytest.raises(ValueError, match="too close to linear dependence"):
        fourth_moments(activation("tanh"), covariance)


@pytest.mark.parametrize("name", NAMES)
def test_slopes_of_a_kernel_are_its_differences(name: str) -> None:
    inputs, phi = data()[0], activation(name)
    covariance = inputs @ inputs.T / 12
    change = np.random.default_rng(1).standard_normal((2, 5, 5))
    change, gradient = change + change.transpose(0, 2, 1)
    ends = [kernel_map(phi, covariance + 1e-5 * sign * change).kernel for sign in (1, -1)]
    mapped, difference = kernel_map(phi, covariance), (ends[0] - ends[1]) / 2e-5
    np.testing.assert_allclose(np.einsum("abcd,cd->ab", mapped.derivative(), change), difference, atol=1e-7)
    assert np.sum(mapped.pulled_back(gradient) * change) == pytest.approx(np.sum(gradient * difference), abs=1e-6)


def test_linear_networks_have_a_closed_form() -> None:
    """Through all fourth moments and slopes, at unlike widths."""
    inputs, labels = data()
    evidence, widths = Evidence(labels, 0.3, 1.3), (10, 25, 40)
    changes = kernel_changes(kernel_fluctuations(inputs, widths, activation("identity"), 1.3), evidence)
    for found, expected in zip(changes, deep_linear_changes(inputs, widths, evidence), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-10)


@pytest.mark.parametrize("width", [25, 100, 400])
@pytest.mark.parametrize("name", ["erf_sqrt2", "identity"])
def test_one_hidden_layer_beside_importance_sampling(name: str, width: int) -> None:
    """Two outputs, of little signal, so that what is of order 1/n^2 hides in the error; not so another noise variance,
    or another number of outputs."""
    inputs, labels = data()
    evidence, draws = Evidence(0.5 * labels, 0.5), min(20_000, 4_000_000 // width)
    (found,) = weighed(prior_kernels(inputs, (width,), name, draws, 7), evidence)
    fluctuations = kernel_fluctuations(inputs, (width,), activation(name))
    (predicted,) = kernel_changes(fluctuations, evidence)
    if width > 25:
        assert np.abs(deviations(found, predicted)).max() < 3.5
    for other in (Evidence(0.5 * labels, 1.0), Evidence(0.5 * labels[:, :1], 0.5)):
        assert np.abs(deviations(found, kernel_changes(fluctuations, other)[0])).max() > 6


@pytest.mark.parametrize("name", ["erf_sqrt2", "identity"])
def test_two_hidden_layers_beside_importance_sampling(name: str) -> None:
    inputs, labels = data()
    evidence, widths = Evidence(0.5 * labels, 0.5, 1.2), (160, 240)
    found = weighed(prior_kernels(inputs, widths, name, 20_000, 11, 1.2), evidence)
    changes = kernel_changes(kernel_fluctuations(inputs, widths, activation(name), 1.2), evidence)
    alone = kernel_changes(kernel_fluctuations(inputs, widths[1:], activation(name), 1.2), evidence)
    for one, predicted in zip(found, changes, strict=True):
        assert np.abs(deviations(one, predicted)).max() < 3.5
    assert np.abs(deviations(found[1], alone[0])).max() > 5


@pytest.mark.parametrize("name", ["erf_sqrt2", "relu"])
def test_fluctuations_beside_networks_of_the_prior(name: str) -> None:
    """Cov(K^(1), K^(2)) and Cov(K^(2), K^(2)) at width 300, where the next order is within the error."""
    inputs, widths = data(4)[0], (300, 300)
    kernels = prior_kernels(inputs, widths, name, 8000, 13)
    covariances = kernel_fluctuations(inputs, widths, activation(name)).covariances
    last = kernels[1] - kernels[1].mean(axis=0)
    places = np.ravel_multi_index(np.triu_indices(4), (4, 4))
    for kernel, predicted in zip(kernels, covariances, strict=True):
        products = np.einsum("rab,rcd->rabcd", kernel - kernel.mean(axis=0), last).reshape(len(last), 16, 16)
        error = products.std(axis=0) / np.sqrt(len(last))
        z = ((products.mean(axis=0) - predicted.reshape(16, 16)) / error)[np.ix_(places, places)]
        assert np.abs(z).max() < 4.2 and np.sqrt(np.mean(z**2)) < 1.4


def test_the_evidence_pulls_by_its_gradient_and_gains() -> None:
    inputs, labels = data()
    evidence, change = Evidence(labels, 0.3, 1.2), np.diag([1.0, 2, 0, 0, 1])
    kernel = inputs @ inputs.T / 12
    slope = (evidence.log(kernel + 1e-5 * change) - evidence.log(kernel - 1e-5 * change)) / 2e-5
    assert evidence_gain(change, kernel, evidence) == pytest.approx(slope, rel=1e-7)
    fluctuations = kernel_fluctuations(inputs, (50,), activation("erf_sqrt2"), 1.2)
    for scale in (0.1, 1.0, 3.0):
        one = Evidence(scale * labels, 0.3, 1.2)
        assert evidence_gain(kernel_changes(fluctuations, one)[0], fluctuations.kernels[0], one) > 0


@pytest.mark.parametrize("outputs", [1, 3])
def test_one_input_leaves_a_next_order_in_one_over_width(outputs: int) -> None:
    """Of a linear network: n (<K> - E K) and n KL by quadrature, extrapolated from two widths; not so another number of
    outputs."""
    inputs, labels = np.array([[1.3, -0.4, 0.8]]), np.array([[1.4, -0.3, 0.9]])[:, :outputs]
    evidence, other = Evidence(labels, 0.5, 1.2), Evidence(labels[:, :1].repeat(4, axis=1), 0.5, 1.2)
    fluctuations = kernel_fluctuations(inputs, (1,), activation("identity"), 1.2)
    first, second = (
        width * np.array(learned(fluctuations.kernels[0].item(), width, evidence)) for width in (1000, 2000)
    )

    def predicted(one: Evidence) -> list[float]:
        return [kernel_changes(fluctuations, one)[0].item(), divergence_from_prior(fluctuations, one)]

    np.testing.assert_allclose(2 * second - first, predicted(evidence), rtol=1e-4)
    assert np.all(np.abs(second - predicted(evidence)) > 1e-4 * np.abs(second))
    assert np.all(np.abs(second / predicted(other) - 1) > 0.3)


def test_the_divergence_from_the_prior_is_an_eighth_of_a_variance() -> None:
    """KL = E_post log(p(Y | W) / Z) by importance sampling, width 200; N KL -> Var(f.M f) / 8."""
    inputs, labels = data(outputs=1)
    evidence = Evidence(labels, 0.5)
    (kernels,) = prior_kernels(inputs, (200,), "erf_sqrt2", 20_000, 17)
    logs = np.array([evidence.log(kernel) for kernel in kernels])
    weights = np.exp(logs - logs.max())
    weights /= weights.mean()
    found = float(np.mean(weights * np.log(weights)))
    predicted = divergence_from_prior(kernel_fluctuations(inputs, (200,), activation("erf_sqrt2")), evidence)
    assert found == pytest.approx(predicted, rel=0.1)


def test_sampled_moments_have_an_error_that_covers_the_exact_ones() -> None:
    inputs, labels = data()
    evidence, normals = Evidence(labels, 0.4), np.random.default_rng(19).standard_normal((40_000, 5))
    exact = kernel_changes(kernel_fluctuations(inputs, (50, 50), activation("erf_sqrt2")), evidence)
    batches = sampled_kernel_changes(inputs, (50, 50), activation("erf_sqrt2"), evidence, normals)
    means, errors = batches.mean(axis=0), batches.std(axis=0, ddof=1) / np.sqrt(len(batches))
    for layer, one in enumerate(exact):
        assert np.abs(deviations((means[layer], errors[layer]), one)).max() < 4
    with pytest.raises(ValueError, match="give at least 40 draws"):
        sampled_kernel_changes(inputs, (50,), activation("erf_sqrt2"), evidence, normals[:30])


def test_arguments_that_are_none_are_refused() -> None:
    inputs, labels = data()
    with pytest.raises(ValueError, match="noise_variance must be positive"):
        Evidence(labels, 0.0)
    with pytest.raises(ValueError, match="has no feature kernel; give widths"):
        kernel_fluctuations(inputs, (), activation("tanh"))
