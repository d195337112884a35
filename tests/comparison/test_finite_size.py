"""Fits of A + B/d and A + B/d^g on points drawn from known laws."""

import math

import numpy as np
import pytest
from scipy import optimize, stats

from nishimori.comparison.align import z_score
from nishimori.comparison.finite_size import POWERS, SizedPoints, fit_limit, fit_power

SIZES = np.array([24.0, 36.0, 48.0, 72.0, 96.0])
LIMIT, SLOPE = 0.11, 0.9
ERRORS = np.array([0.004, 0.002, 0.003, 0.001, 0.002])


def points(values: np.ndarray, errors: np.ndarray = ERRORS, instances: int = 10**9) -> SizedPoints:
    return SizedPoints(SIZES, values, errors, [instances] * len(SIZES))


def noisy(generator: np.random.Generator, power: float = 1.0, slope: float = SLOPE) -> SizedPoints:
    return points(LIMIT + slope * SIZES**-power + ERRORS * generator.standard_normal(len(SIZES)))


def covered(hits: list[bool], probability: float) -> bool:
    """Within four standard errors of a binomial frequency."""
    return abs(sum(hits) / len(hits) - probability) < 4 * math.sqrt(probability * (1 - probability) / len(hits))


def test_the_fit_is_that_of_numpy() -> None:
    measured = noisy(np.random.default_rng(0))
    fit = fit_limit(measured)
    coefficients, covariance = np.polyfit(1 / SIZES, measured.values, 1, w=1 / ERRORS, cov="unscaled")
    assert [fit.slope, fit.limit] == pytest.approx(coefficients, rel=1e-10)
    assert [fit.slope_standard_error, fit.standard_error] == pytest.approx(np.sqrt(np.diag(covariance)), rel=1e-8)
    residuals = (measured.values - np.polyval(coefficients, 1 / SIZES)) / ERRORS
    assert fit.chi_square == pytest.approx(residuals @ residuals, rel=1e-10)
    assert fit.degrees_of_freedom == 3
    assert fit.p_value == pytest.approx(stats.chi2.sf(fit.chi_square, 3), rel=1e-10)


def test_two_sizes_leave_a_line_and_no_chi_square() -> None:
    fit = fit_limit(SizedPoints(SIZES[:2], np.array([0.3, 0.25]), np.array([0.03, 0.04]), [9, 9]))
    assert fit.limit == pytest.approx(3 * 0.25 - 2 * 0.3)
    assert fit.standard_error == pytest.approx(math.hypot(3 * 0.04, 2 * 0.03))
    assert fit.degrees_of_freedom == 0 and fit.chi_square == 0 and math.isnan(fit.p_value)


def test_error_bars_of_limit_and_slope_cover_and_chi_square_is_one() -> None:
    generator = np.random.default_rng(1)
    fits = [fit_limit(noisy(generator)) for _ in range(2000)]
    limits = [(fit.limit - LIMIT) / fit.standard_error for fit in fits]
    assert stats.kstest(limits, "norm").pvalue > 0.001
    assert stats.kstest([(fit.slope - SLOPE) / fit.slope_standard_error for fit in fits], "norm").pvalue > 0.001
    assert stats.kstest([fit.p_value for fit in fits], "uniform").pvalue > 0.001
    assert covered([abs(limit) < 1 for limit in limits], 0.6827)


def test_a_wrong_power_is_seen_in_chi_square_and_in_the_limit() -> None:
    generator = np.random.default_rng(2)
    wrong = [noisy(generator, power=0.5) for _ in range(200)]
    slow = [fit_limit(points(one.values, ERRORS / 4)) for one in wrong]
    assert np.median([fit.p_value for fit in slow]) < 1e-6
    assert np.median([abs(fit.limit - LIMIT) / fit.standard_error for fit in slow]) > 5
    assert stats.kstest([fit_limit(one, power=0.5).p_value for one in wrong], "uniform").pvalue > 0.001


def test_error_bars_from_few_teachers_are_judged_by_student() -> None:
    """Each point is the mean over 8 teachers with the error bar that those 8 give; read as known errors they fail."""
    generator, teachers = np.random.default_rng(3), 8
    right, wrong = [], []
    for _ in range(3000):
        draws = LIMIT + SLOPE / SIZES + ERRORS * math.sqrt(teachers) * generator.standard_normal((teachers, len(SIZES)))
        mean, error = draws.mean(0), draws.std(0, ddof=1) / math.sqrt(teachers)
        fit, sure = fit_limit(points(mean, error, teachers)), fit_limit(points(mean, error))
        assert teachers <= fit.instances <= 1 + len(SIZES) * (teachers - 1)
        right.append(z_score(fit.limit, fit.standard_error, LIMIT, fit.instances))
        wrong.append((sure.limit - LIMIT) / sure.standard_error)
    assert stats.kstest(right, "norm").pvalue > 0.001
    assert covered([abs(z) < 2 for z in right], 0.9545)
    assert stats.kstest(wrong, "norm").pvalue < 1e-4
    assert not covered([abs(z) < 2 for z in wrong], 0.9545)


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_an_exact_law_is_recovered(power: float) -> None:
    fit = fit_power(points(LIMIT + SLOPE * SIZES**-power, ERRORS / 10))
    assert fit.power == pytest.approx(power, rel=1e-4)
    assert fit.limit == pytest.approx(LIMIT, rel=1e-4)
    assert fit.chi_square == pytest.approx(0, abs=1e-6)
    assert fit.at(1 / SIZES) == pytest.approx(LIMIT + SLOPE * SIZES**-power, rel=1e-5)


def test_the_power_agrees_with_a_general_least_squares_fit() -> None:
    measured = points(noisy(np.random.default_rng(4), slope=4.0).values)
    fit = fit_power(measured)
    (limit, slope, power), _ = optimize.curve_fit(
        lambda d, limit, slope, power: limit + slope * d**-power, SIZES, measured.values, (0.1, 4.0, 1.0), ERRORS
    )
    assert [fit.limit, fit.slope, fit.power] == pytest.approx([limit, slope, power], rel=1e-3)


def test_intervals_of_power_and_limit_cover() -> None:
    """A steep law, so that the power is well determined and the interval closes on both sides."""
    generator = np.random.default_rng(5)
    powers, limits = [], []
    for _ in range(150):
        fit = fit_power(noisy(generator, slope=20.0))
        low, high = fit.power_interval
        assert low is not None and high is not None
        powers.append(low < 1 < high)
        limits.append(fit.limit_interval[0] < LIMIT < fit.limit_interval[1])
    assert covered(powers, 0.6827)
    assert covered(limits, 0.6827)


def test_the_ends_of_the_power_raise_chi_square_by_one() -> None:
    measured = noisy(np.random.default_rng(6), slope=20.0)
    fit = fit_power(measured)
    for end in fit.power_interval:
        assert end is not None
        assert fit_limit(measured, end).chi_square == pytest.approx(fit.chi_square + 1, rel=1e-8)


def test_a_power_that_nothing_determines_has_open_ends() -> None:
    fit = fit_power(points(np.full(len(SIZES), LIMIT) + ERRORS * [0.1, -0.1, 0.1, -0.1, 0.1]))
    assert fit.power_interval == (None, None) and not fit.determined
    assert POWERS[0] <= fit.power <= POWERS[1]
    assert fit.limit_interval[0] < LIMIT < fit.limit_interval[1]


def test_too_few_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="two different sizes"):
        SizedPoints(np.array([24.0, 24.0]), np.ones(2), np.ones(2), [9, 9])
    with pytest.raises(ValueError, match="four different sizes"):
        fit_power(SizedPoints(SIZES[:3], np.ones(3), np.ones(3), [9] * 3))
