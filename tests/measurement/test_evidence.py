"""Means of weights whose law is known: log-normal, E w = 1."""

import numpy as np
import pytest

from nishimori.measurement.evidence import EvidenceBounds, WeightMean
from nishimori.measurement.information import (
    Bracket,
    GaussianReference,
    Information,
    Integrand,
    Measured,
    Sum,
    Summed,
)
from nishimori.measurement.information_report import information_document, information_estimates

INSTANCES, SPREAD = 4000, 1.0


def log_normal(chains: int) -> np.ndarray:
    """log w of weights with E w = 1, [instances, chains]."""
    return np.random.default_rng(4).normal(-(SPREAD**2) / 2, SPREAD, (INSTANCES, chains))


def mean_and_error(values: np.ndarray) -> tuple[float, float]:
    return float(values.mean()), float(values.std() / len(values) ** 0.5)


@pytest.mark.parametrize("chains", [1, 4, 16])
def test_the_bounds_hold_and_close_with_more_chains(chains: int):
    """log Z = 0 with one and the same law of w and r; for one chain the bounds are off by half the variance."""
    bounds = EvidenceBounds.of(log_normal(chains), log_normal(chains))
    for value, sign in ((bounds.lower, -1), (bounds.upper, 1)):
        mean, error = mean_and_error(value)
        assert sign * mean > 0
        if chains == 1:
            assert abs(sign * mean - SPREAD**2 / 2) < 4 * error
    assert float((bounds.upper - bounds.lower).mean()) < 1.1 * SPREAD**2 / chains**0.7


def test_the_wrong_direction_is_no_lower_bound():
    """Negative control: log mean(r) in place of -log mean(1 / r) of the same weights lies on the other side."""
    inverse = -log_normal(16)
    mean, error = mean_and_error(WeightMean.of(inverse).log)
    assert mean > 10 * error


def test_effective_samples_and_variance():
    log_weights = np.log(np.array([[1.0, 1.0, 1.0], [1.0, 1e-30, 1e-30], [3.0, 1.0, 2.0]]))
    mean = WeightMean.of(log_weights)
    np.testing.assert_allclose(mean.effective_samples, [3, 1, 36 / 14])
    np.testing.assert_allclose(mean.log, np.log([1, 1 / 3, 2]), atol=1e-12)
    np.testing.assert_allclose(mean.variance, [0, 1, (3 * 14 / 36 - 1) / 2], atol=1e-12)
    assert np.isnan(WeightMean.of(log_weights[:, :1]).variance).all()


def test_the_variance_is_the_spread_over_repeats():
    """To lowest order in the spread of the weights."""
    mean = WeightMean.of(0.3 * log_normal(50))
    assert float(mean.variance.mean()) == pytest.approx(float(mean.log.var()), rel=0.1)


def test_a_control_variate_moves_noise_not_the_mean():
    """Evidence known exactly: information and its controlled twin are the arithmetic of their definitions."""
    rng = np.random.default_rng(0)
    log_z, log_density = rng.normal(-50, 3, (2, 5))
    bounds = EvidenceBounds.of(log_z[:, None], -log_z[:, None])
    likelihood, own = rng.normal(-20, 1, (2, 5))
    result = Information.of(Measured("ais", 10, likelihood, bounds, GaussianReference(log_density, own), 0.8))
    assert result.mutual_information.gap.value == pytest.approx(0, abs=1e-12)
    assert result.mutual_information.lower.value == pytest.approx((likelihood - log_z).mean() / 10)
    assert result.controlled is not None and result.divergence is not None and result.reference is not None
    assert result.divergence.upper.value == pytest.approx((log_z - log_density).mean() / 10)
    assert result.controlled.midpoint == pytest.approx(result.reference.value - result.divergence.midpoint)


def test_an_estimate_without_bounds_is_the_arithmetic_of_its_definition():
    random = np.random.default_rng(5)
    total, divergence, own, likelihood = random.normal(3, 1, (4, 6))
    integrand = Integrand(np.array([1.0]), np.array([[0.2], [0.4]]))
    sums = Sum(total, np.full(6, 0.5)), Sum(divergence, np.full(6, 0.2))
    found = Summed(*sums, integrand, 0.8, ("it moves",))
    reference = GaussianReference(np.zeros(6), own)
    result = Information.of(Measured("immse", 10, likelihood, found, reference, 0.8))
    assert result.best is result.controlled and result.controlled is not None and result.divergence is not None
    assert result.controlled.midpoint == pytest.approx((own - divergence).mean() / 10)
    assert result.controlled.middle.monte_carlo_variance == pytest.approx(0.2 / 6 / 100)
    assert result.divergence.gap.value == 0 and result.divergence.estimate.value == result.divergence.midpoint
    assert result.mutual_information.midpoint == pytest.approx(total.mean() / 10)
    assert result.log_evidence.midpoint == pytest.approx((likelihood - total).mean() / 10)
    alone = Information.of(Measured("immse", 10, likelihood, found, None, 0.8))
    assert alone.controlled is None and alone.best is alone.mutual_information
    estimates = information_estimates(result, 2.5)
    per_dim, information = estimates["mutual_information_per_dim"], estimates["mutual_information"]
    assert per_dim.value == pytest.approx(2.5 * information.value)
    assert per_dim.standard_error == pytest.approx(2.5 * information.standard_error)
    document = information_document(result, {"method": "immse", "nodes": 1, "rungs": None})
    assert document["settings"] == {"nodes": 1} and document["alarms"] == ["it moves"]
    assert document["integrand"] == {
        "nodes": [1.0],
        "values": [pytest.approx(0.3)],
        "standard_errors": [pytest.approx(0.1)],
    }


def test_half_the_gap_is_an_error_of_its_own():
    values = np.array([1.0, 2.0, 3.0])
    bracket = Bracket.of(values - 0.5, values + 0.5, np.zeros(3), np.zeros(3))
    assert bracket.midpoint == 2 and bracket.gap.value == 1
    assert bracket.estimate.standard_error == pytest.approx((1 / 3 + 1 / 4) ** 0.5)
