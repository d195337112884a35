"""Error bars over the disorder, on synthetic instances whose spread is known."""

import math

import numpy as np
import pytest

from nishimori.measurement.error_bars import controlled_mean, disorder_mean, disorder_ratio

GENERATOR = np.random.default_rng(11)


def test_mean_and_its_parts() -> None:
    disorder, noise = 0.3, 0.1
    values = 1 + disorder * GENERATOR.standard_normal((3000, 16)) + noise * GENERATOR.standard_normal((3000, 16))
    estimates = [disorder_mean(row, np.full(16, noise**2)) for row in values]
    variance = np.mean([estimate.standard_error**2 for estimate in estimates])
    assert variance == pytest.approx((disorder**2 + noise**2) / 16, rel=0.03)
    assert estimates[0].monte_carlo_variance == pytest.approx(noise**2 / 16)


def test_ratio_covers_its_truth() -> None:
    """Ratio of means of correlated quantities: 95 % intervals (Student t) cover the truth in 93 to 97 %."""
    from scipy import stats

    norms = np.exp(0.4 * GENERATOR.standard_normal((4000, 24)))
    numerators = 0.6 * norms + 0.1 * GENERATOR.standard_normal((4000, 24))
    reach = stats.t.ppf(0.975, 23)
    covered = 0
    for numerator, norm in zip(numerators, norms, strict=True):
        estimate = disorder_ratio(numerator, norm, np.zeros(24))
        covered += abs(estimate.value - 0.6) < reach * estimate.standard_error
    assert 0.93 < covered / 4000 < 0.97


def test_monte_carlo_ratio() -> None:
    estimate = disorder_mean(np.array([1.0, 2.0, 3.0]), np.full(3, 0.2))
    assert estimate.monte_carlo_ratio == pytest.approx(0.2 / (1.0 - 0.2))
    assert disorder_mean(np.array([1.0, 1.1]), np.full(2, 1.0)).monte_carlo_ratio == math.inf


def test_one_instance_has_no_error_bar() -> None:
    assert math.isnan(disorder_mean(np.array([1.0]), np.array([0.1])).standard_error)


@pytest.mark.parametrize("further", [0, 40])
def test_the_error_bar_of_a_controlled_mean_is_its_spread(further: int) -> None:
    """What is known and what is measured of an instance are correlated; further values are of their own."""
    repeats, instances = 4000, 12
    known = 1 + 0.3 * GENERATOR.standard_normal((repeats, instances))
    others = 1 + 0.3 * GENERATOR.standard_normal((repeats, further))
    measured = 0.5 * known + 0.1 * GENERATOR.standard_normal((repeats, instances))
    noise = np.full(instances, 0.01)
    estimates = [controlled_mean(*rows, noise) for rows in zip(known, others, measured, strict=True)]
    values = np.array([estimate.value for estimate in estimates])
    variance = float(np.mean([estimate.standard_error**2 for estimate in estimates]))
    assert variance == pytest.approx(values.var(), rel=0.1)
    assert values.mean() == pytest.approx(0.5, abs=4 * (variance / repeats) ** 0.5)
    assert estimates[0].monte_carlo_variance == pytest.approx(0.01 / instances)
