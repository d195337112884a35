"""Log predictive densities of a Gaussian posterior, whose predictive law is known."""

import numpy as np
import pytest

from nishimori.description import GaussianChannel
from nishimori.measurement.predictive import PredictiveDensity

INSTANCES, CHAINS, ROWS, DRAWS = 2000, 2, 5, 20


def filled(draws: int = DRAWS) -> tuple[PredictiveDensity, np.ndarray]:
    """F ~ N(0, 1), label noise 0.5; the density and its exact mean log, log N(label; 0, 1.5)."""
    random = np.random.default_rng(3)
    labels = random.normal(scale=1.5**0.5, size=(INSTANCES, 1, ROWS))
    density, channel = PredictiveDensity(draws), GaussianChannel(0.5)
    for draw in range(draws):
        density.update(draw, channel.log_likelihood(labels, random.normal(size=(INSTANCES, CHAINS, ROWS))))
    return density, GaussianChannel(1.5).log_likelihood(labels, 0.0).mean((1, 2))


def test_the_jackknife_removes_the_bias():
    """Negative control: without it the bias of 40 draws shows."""
    density, exact = filled()
    corrected, variance = density.mean_log()
    error = corrected - exact
    standard_error = float(error.std() / INSTANCES**0.5)
    assert abs(error.mean()) < 3 * standard_error
    naive = density._without(np.zeros(density.batches, dtype=bool)) - exact
    assert naive.mean() < -5 * float(naive.std() / INSTANCES**0.5)
    assert float(variance.mean()) == pytest.approx(float(error.var()), rel=0.25)


def test_batches_and_halves():
    density, _ = filled()
    first, second = density.halves()
    assert first.shape == (INSTANCES,) and abs(first - second).max() > 0
    assert density.counts.tolist() == [2 * CHAINS] * 10
    single, _ = filled(1)
    assert single.halves() == [] and np.isnan(single.mean_log()[1]).all()
    with pytest.raises(ValueError, match="no draw"):
        PredictiveDensity(3).mean_log()
