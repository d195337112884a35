"""Mean kernels of networks of the prior: in closed form of one input, none of linear networks, and beside networks."""

import math

import numpy as np
import pytest

from nishimori.description.activations import activation
from nishimori.theory.kernel_corrections import kernel_fluctuations
from nishimori.theory.kernel_maps import kernel_map
from nishimori.theory.prior_kernels import prior_kernel_changes


def test_one_input_has_a_closed_form() -> None:
    """K = (2 / pi) asin(S / (1 + S)), differentiated twice by hand."""
    inputs, weight = np.array([[1.3, -0.4, 0.8]]), 1.4
    below = kernel_fluctuations(inputs, (50,), activation("erf_sqrt2"), weight)
    s = weight * below.kernels[0].item()
    root = math.sqrt(1 + 2 * s)
    curvature = -2 / math.pi * (root + (1 + s) / root) / ((1 + s) ** 2 * root**2)
    first, second = prior_kernel_changes(inputs, (50, 7), activation("erf_sqrt2"), weight)
    assert first.item() == 0
    assert second.item() == pytest.approx(0.5 * weight**2 * curvature * below.covariances[0].item(), rel=1e-5)


def test_linear_networks_have_none() -> None:
    inputs = np.random.default_rng(0).standard_normal((4, 6))
    assert np.abs(prior_kernel_changes(inputs, (10, 20, 30), activation("identity"), 1.3)).max() < 1e-9


@pytest.mark.parametrize("name", ["erf_sqrt2", "relu"])
def test_three_layers_beside_networks_of_the_prior(name: str) -> None:
    """Each layer less what is known of it to have mean 0; not so a layer of which the curvature below is left out."""
    generator, phi, width, weight = np.random.default_rng(1), activation(name), 200, 1.5
    inputs = generator.standard_normal((3, 5))
    known = kernel_fluctuations(inputs, (width, width, width), phi, weight).kernels
    maps = [kernel_map(phi, weight * kernel) for kernel in known]
    slopes = [weight * mapped.derivative() for mapped in maps[:2]]

    def drawn(covariance: np.ndarray) -> np.ndarray:
        features = phi.function(generator.standard_normal((width, 3)) @ np.linalg.cholesky(covariance).T)
        return features.T @ features / width

    found = []
    for _ in range(1500):
        one = drawn(weight * inputs @ inputs.T / 5)
        expected = kernel_map(phi, weight * one).kernel
        two = drawn(weight * one)
        moved = np.einsum("abcd,cd->ab", slopes[0], one - known[0])
        last = kernel_map(phi, weight * two).kernel - np.einsum("abcd,cd->ab", slopes[1], two - expected + moved)
        found.append(width * np.array([expected - moved - known[1], last - known[2]])[:, *np.triu_indices(3)])
    means, errors = np.mean(found, axis=0), np.std(found, axis=0) / math.sqrt(len(found))
    moving = errors > 1e-9  # the diagonal of relu is linear in the covariance
    _, second, third = (width * change for change in prior_kernel_changes(inputs, (width,) * 3, phi, weight))
    predicted = np.array([second, third])[:, *np.triu_indices(3)]
    np.testing.assert_allclose(means[~moving], predicted[~moving], atol=1e-9)
    assert np.abs((means - predicted) / np.where(moving, errors, np.inf)).max() < 4
    alone = np.array([np.zeros((3, 3)), third - np.einsum("abcd,cd->ab", slopes[1], second)])[:, *np.triu_indices(3)]
    assert np.all(np.abs((means - alone) / np.where(moving, errors, np.inf)).max(axis=1) > 5)
