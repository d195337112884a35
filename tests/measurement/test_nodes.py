"""Rules for the integrals of the mutual information, on the integrands of the equivalent linear model."""

import numpy as np
import pytest

import nishimori as nm
from nishimori.measurement.nodes import noise_rule, sum_rule


@pytest.mark.parametrize(("nodes", "error"), [(4, 2e-4), (6, 5e-6), (8, 2e-7)])
def test_the_integral_over_the_noise_is_the_information_of_theory(nodes: int, error: float):
    """erf, two layers, sample ratio 2: half the integral of the training MMSE, in closed form at every noise."""
    network, noise = nm.Network(1, (1, 1), "erf"), 0.1
    predicted = nm.theory.predict(network, nm.GaussianChannel(noise), 2.0)
    inverse_temperatures, weights = noise_rule(nodes, predicted.sigma[-1], noise)
    assert (np.diff(inverse_temperatures) > 0).all() and 0 < inverse_temperatures[0] and inverse_temperatures[-1] < 1
    errors = [nm.theory.predict(network, nm.GaussianChannel(noise / b), 2.0).train_mmse for b in inverse_temperatures]
    assert weights @ errors == pytest.approx(predicted.mutual_information, abs=error)


@pytest.mark.parametrize(("samples", "nodes", "error"), [(60, 4, 2e-5), (60, 5, 2e-5), (400, 5, 2e-6), (800, 6, 1e-5)])
def test_the_sum_over_samples_from_few_of_them(samples: int, nodes: int, error: float):
    """(1/n) sum_k log(1 + bayes_error(k / d) / Delta) / 2, in closed form at every k."""
    dim = 30 if samples == 60 else 200
    network, channel = nm.Network(1, (1, 1), "erf"), nm.GaussianChannel(0.1)
    ratios = np.maximum(np.arange(samples), 1e-9) / dim
    gains = np.log1p([nm.theory.predict(network, channel, ratio).bayes_error / 0.1 for ratio in ratios]) / 2
    chosen, weights = sum_rule(samples, nodes, dim)
    assert (np.diff(chosen) > 0).all() and len(chosen) == nodes
    assert weights @ gains[chosen] / samples == pytest.approx(gains.mean(), abs=error)


@pytest.mark.parametrize(("samples", "nodes"), [(1, 1), (5, 5), (6, 5), (8, 5), (9, 8), (3, 7), (1000, 1)])
def test_a_sum_is_exact_for_polynomials_also_where_nodes_are_nearly_all(samples: int, nodes: int):
    chosen, weights = sum_rule(samples, nodes, 4.0)
    assert (np.diff(chosen) > 0).all() and chosen[0] >= 0 and chosen[-1] < samples
    logs = np.log1p(np.arange(samples) / 4.0)
    for degree in range(min(nodes, samples)):
        assert weights @ logs[chosen] ** degree == pytest.approx((logs**degree).sum(), rel=1e-9)
