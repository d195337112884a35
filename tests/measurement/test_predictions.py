"""The Bayes error from products of independent posterior means: unbiased, where the square of one mean is not."""

import numpy as np
import pytest
import torch

from nishimori.measurement.predictions import PredictionMeans

INSTANCES, CHAINS, TEST, DRAWS, NOISE = 400, 3, 50, 8, 0.7
PAIRS = [(0, 1), (0, 2), (1, 2)]


@pytest.fixture(scope="module")
def synthetic() -> tuple[PredictionMeans, torch.Tensor, float]:
    """Chains that scatter independently about a posterior mean m with F* - m of known size."""
    generator = torch.Generator().manual_seed(5)
    truth = torch.zeros(INSTANCES, 1, TEST)
    mean = 0.5 * torch.randn(INSTANCES, 1, TEST, generator=generator)
    means = PredictionMeans(DRAWS)
    for draw in range(DRAWS):
        means.update(draw, mean + NOISE * torch.randn(INSTANCES, CHAINS, TEST, generator=generator))
    return means, truth, float(mean.square().mean())


def deviation(values: torch.Tensor, expected: float) -> float:
    return float((values.mean() - expected) / (values.std() / len(values) ** 0.5))


def test_product_is_unbiased(synthetic: tuple[PredictionMeans, torch.Tensor, float]) -> None:
    means, truth, expected = synthetic
    value, _ = means.bayes_error(truth, PAIRS)
    assert abs(deviation(value, expected)) < 4


def test_square_of_one_mean_is_biased(synthetic: tuple[PredictionMeans, torch.Tensor, float]) -> None:
    """Negative control: the biased estimator is off by NOISE^2 / DRAWS, and the same test sees it."""
    means, truth, expected = synthetic
    biased = (means.mean() - truth)[:, 0].square().mean(-1)
    assert deviation(biased, expected) > 10
    assert float(biased.mean()) == pytest.approx(expected + NOISE**2 / DRAWS, rel=0.03)


def test_jackknife_variance_is_the_monte_carlo_variance() -> None:
    """Repeats at one fixed posterior mean: the spread over repeats is Monte Carlo alone."""
    generator = torch.Generator().manual_seed(6)
    mean = 0.5 * torch.randn(1, 1, TEST, generator=generator)
    means = PredictionMeans(40)
    for draw in range(40):
        means.update(draw, mean + NOISE * torch.randn(2000, CHAINS, TEST, generator=generator))
    value, variance = means.bayes_error(torch.zeros(2000, 1, TEST), PAIRS)
    assert float(variance.mean()) == pytest.approx(float(value.var()), rel=0.1)


def test_a_single_batch_has_no_variance() -> None:
    means = PredictionMeans(1)
    means.update(0, torch.ones(2, 2, 3))
    assert torch.isnan(means.bayes_error(torch.zeros(2, 1, 3), [(0, 1)])[1]).all()


def test_no_draw_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one draw"):
        PredictionMeans(3).mean()


def test_batches_cover_all_draws() -> None:
    means = PredictionMeans(23)
    for draw in range(23):
        means.update(draw, torch.full((1, 1, 1), float(draw)))
    assert means.counts.sum() == 23
    assert np.isclose(float(means.mean()), 11.0)
