"""Predictive intervals cover what they say, for any number of draws, and no other law."""

import numpy as np
import pytest
import torch
from scipy import stats

from nishimori.measurement.intervals import PredictiveIntervals
from nishimori.models.randomness import Randomness

NOISE_VARIANCE, SAMPLES, INSTANCES = 0.4, 7, 3000


def coverage(draws: int, chains: int, spread: float = 1.0, left: float = 0.0) -> tuple[float, float, float]:
    """Mean, its standard error and the nominal value, for F and F* drawn independently around a common centre, F with
    variance `spread` of which `left` is averaged out."""
    generator = torch.Generator().manual_seed(draws)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    centre = normal(INSTANCES, 1, SAMPLES)
    randomness = Randomness.of(3, "", range(INSTANCES), range(chains))
    intervals = PredictiveIntervals(draws, chains, NOISE_VARIANCE)
    for draw in range(draws):
        mean = centre + (spread - left) ** 0.5 * normal(INSTANCES, chains, SAMPLES)
        intervals.update(draw, mean, torch.full_like(mean, left) if left else None, randomness)
    read_back = PredictiveIntervals.from_host(draws, chains, NOISE_VARIANCE, intervals.to_host())
    covered = read_back.coverage(centre + normal(INSTANCES, 1, SAMPLES))
    assert covered is not None and covered[0].shape == covered[1].shape == (INSTANCES,)
    if spread == 1.0:
        difference = covered[0] - covered[1]
        assert abs(difference.mean()) < 4 * difference.std() / np.sqrt(INSTANCES)
        assert abs(stats.skew(difference)) < 0.3 < -stats.skew(covered[0]) or draws * chains < 40
    return float(covered[0].mean()), float(covered[0].std() / np.sqrt(INSTANCES)), intervals.nominal


@pytest.mark.parametrize(("draws", "chains"), [(40, 1), (100, 2), (5, 8), (4, 1)])
def test_coverage_is_exact(draws: int, chains: int) -> None:
    value, error, nominal = coverage(draws, chains)
    assert nominal == (0.95 if draws * chains >= 40 else 0.5)
    assert abs(value - nominal) < 4 * error
    assert error < 0.01


def test_what_is_averaged_out_is_added_again() -> None:
    value, error, nominal = coverage(50, 2, left=0.6)
    assert abs(value - nominal) < 4 * error


@pytest.mark.parametrize("spread", [0.8, 1.25])
def test_another_spread_of_predictions_is_seen(spread: float) -> None:
    """Negative control."""
    value, error, nominal = coverage(50, 2, spread)
    assert abs(value - nominal) > 5 * error


def test_without_draws_there_is_no_coverage() -> None:
    intervals = PredictiveIntervals(10, 1, NOISE_VARIANCE)
    assert intervals.coverage(torch.zeros(1, 1, 3)) is None and intervals.to_host() == {}
