"""Convergence diagnostics and the verdict: each way to be wrong is seen."""

import math
from dataclasses import replace

import numpy as np
import pytest

from nishimori.measurement.convergence import (
    ChainTooShort,
    Convergence,
    autocorrelation_time,
    convergence,
    decay_time,
    monte_carlo_variance,
    nested_r_hat,
    stuck_chains,
)
from nishimori.measurement.error_bars import Estimate
from nishimori.measurement.identities import check
from nishimori.measurement.student import student_to_normal
from nishimori.measurement.verdict import Behaviour, judge

GENERATOR = np.random.default_rng(3)


def autoregressive(correlation: float, shape: tuple[int, int, int]) -> np.ndarray:
    """Stationary chains with lag-one correlation `correlation` and unit variance."""
    noise = GENERATOR.standard_normal(shape)
    chains = np.empty(shape)
    chains[..., 0] = noise[..., 0]
    for step in range(1, shape[-1]):
        chains[..., step] = correlation * chains[..., step - 1] + math.sqrt(1 - correlation**2) * noise[..., step]
    return chains


def test_effective_sample_size_and_monte_carlo_error_of_a_known_process() -> None:
    correlation, shape = 0.6, (20, 4, 500)
    result = convergence(autoregressive(correlation, shape))
    inflation = (1 + correlation) / (1 - correlation)
    assert result.effective_sample_size == pytest.approx(np.prod(shape) / inflation, rel=0.1)
    assert result.monte_carlo_variance.mean() == pytest.approx(inflation / 2000, rel=0.15)
    assert result.r_hat < 1.02


def test_chains_that_disagree_raise_r_hat() -> None:
    draws = autoregressive(0.2, (5, 4, 200))
    draws[:, 2:] += 1.0
    assert convergence(draws).r_hat > 1.1


def test_one_instance_in_many_that_did_not_converge_raises_r_hat() -> None:
    draws = autoregressive(0.2, (24, 4, 200))
    assert convergence(draws).r_hat < 1.01
    draws[7, 2:] += 4.0
    result = convergence(draws)
    assert result.split_r_hat > 1.05
    assert result.worst_r_hat > 1.5


def test_chains_of_unequal_spread_raise_the_rank_normalised_r_hat_alone() -> None:
    """Their means agree: what differs is folded in."""
    draws = autoregressive(0.2, (5, 4, 300))
    draws[:, 2:] *= 3.0
    result = convergence(draws)
    assert result.r_hat > 1.1
    assert result.split_r_hat < 1.03


def test_tails_are_explored_less_than_the_bulk_where_rare_excursions_last() -> None:
    """A slow amplitude beside fast signs: the mean is well known, the 5 and 95 % quantiles are not."""
    amplitude = np.exp(autoregressive(0.98, (10, 4, 500)))
    result = convergence(amplitude * autoregressive(0.0, (10, 4, 500)))
    assert result.tail_sample_size < 0.5 * result.effective_sample_size


def test_nested_r_hat_is_that_of_arviz_where_both_can_be_had() -> None:
    from arviz_stats.base.array import array_stats

    draws = autoregressive(0.4, (3, 6, 20))
    draws[:, 3:] += 0.4
    expected = [
        array_stats.rhat_nested(one, [0, 0, 0, 1, 1, 1], method="identity", chain_axis=0, draw_axis=1) for one in draws
    ]
    np.testing.assert_allclose(nested_r_hat(draws, ((0, 1, 2), (3, 4, 5))), expected, rtol=1e-12)


def test_nested_r_hat_of_many_chains_of_one_draw() -> None:
    """At stationarity E[B / W] is one over the chains of a superchain; a start that is not forgotten shows."""
    draws = GENERATOR.standard_normal((400, 64, 1))
    superchains = (range(32), range(32, 64))
    excess = nested_r_hat(draws, superchains) ** 2 - 1
    assert excess.mean() == pytest.approx(1 / 32, abs=4 * excess.std() / 20)
    draws[:, 32:] += 1.0
    assert nested_r_hat(draws, superchains).mean() > 1.1
    with pytest.raises(ValueError, match="two or more superchains of equal size"):
        nested_r_hat(draws, ((0, 1), (2,)))


def test_too_short_a_chain_is_refused_with_the_current_value() -> None:
    """The autocorrelation time of an AR(1) process is (1 + rho) / (1 - rho) = 9 at rho = 0.8."""
    long = autoregressive(0.8, (20, 4, 2000))
    assert autocorrelation_time(long) == pytest.approx(9.0, rel=0.05)
    with pytest.raises(ChainTooShort, match="200 draws a chain are too few .* take at least 4") as refusal:
        autocorrelation_time(long[..., :200])
    assert refusal.value.value == pytest.approx(9.0, rel=0.2)
    with pytest.raises(ChainTooShort, match="7 draws a chain; take at least 8") as refusal:
        convergence(long[..., :7], ((0, 1), (2, 3)))
    assert np.isnan(monte_carlo_variance(long[..., :7])).all()
    assert isinstance(refusal.value.value, Convergence)
    assert math.isnan(refusal.value.value.r_hat) and refusal.value.value.nested_r_hat > 1


def test_a_single_chain_is_judged_by_its_halves() -> None:
    draws = autoregressive(0.2, (6, 1, 201))
    assert 0.99 < convergence(draws).r_hat < 1.03
    draws[..., 100:] += 1.0
    assert convergence(draws).r_hat > 1.1


def test_decay_time_of_an_exponential() -> None:
    trace = 0.4 + 0.6 * np.exp(-np.arange(60) / 7.0)
    assert decay_time(trace, 0.4) == pytest.approx(7.0, rel=0.01)
    assert decay_time(np.ones(20), 0.0) == math.inf


def test_stuck_chains_are_found() -> None:
    accepted = np.ones((2, 3, 10))
    accepted[1, 2] = 0
    assert stuck_chains(accepted) == [(1, 2)]


def test_student_to_normal_keeps_tail_probabilities() -> None:
    """Golden: t = 2.131449545559 is the two-sided 5 % point for 15 degrees of freedom (printed tables), 1.959963985
    the normal's."""
    assert student_to_normal(2.131449545559323, 15) == pytest.approx(1.959963984540054, abs=1e-9)
    assert student_to_normal(-2.131449545559323, 15) == pytest.approx(-1.959963984540054, abs=1e-9)
    assert math.isfinite(student_to_normal(1e6, 15))
    assert math.isnan(student_to_normal(1.0, 0))


def converged(**changes: float) -> dict[str, Convergence]:
    good = Convergence(500.0, 400.0, 1.01, 1.01, 1.01, 1.02, np.zeros(4), np.ones(4))
    return {"overlap": replace(good, **changes)}  # type: ignore[arg-type]


GOOD = {
    "estimates": {"bayes_error": Estimate(0.1, 0.01, 1e-6)},
    "convergences": converged(),
    "checks": [check("virial", "holds", np.array([0.1, -0.1, 0.05, -0.04]))],
    "behaviour": Behaviour(0.0, [], 2.0, 20),
    "checks_in_experiment": 10,
}


def verdict(**changes: object) -> tuple[str, ...]:
    return judge(**{**GOOD, **changes}).failures  # type: ignore[arg-type]


def test_a_good_point_passes() -> None:
    assert verdict() == ()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"checks": [check("virial", "holds", 1 + 1e-3 * GENERATOR.standard_normal(16))]}, "virial failed"),
        ({"checks": [check("virial", "holds", np.array([1.0]))]}, "at least two instances"),
        ({"estimates": {"bayes_error": Estimate(0.1, 0.01, 3e-5)}}, "Monte Carlo variance"),
        ({"estimates": {"bayes_error": Estimate(0.1, math.nan, math.nan)}}, "at least two instances"),
        ({"estimates": {"bayes_error": Estimate(0.1, 0.01, math.nan)}}, "Monte Carlo variance"),
        ({"convergences": converged(r_hat=1.06)}, "overlap: R-hat 1.060"),
        ({"convergences": converged(split_r_hat=1.07)}, "split R-hat 1.070"),
        ({"convergences": converged(nested_r_hat=1.08)}, "nested R-hat between starts 1.080"),
        ({"convergences": converged(effective_sample_size=99.0)}, "effective sample size 99"),
        ({"convergences": converged(tail_sample_size=98.0)}, "sample size of the tails 98"),
        ({"convergences": converged(effective_sample_size=math.nan, r_hat=math.nan)}, "could not be computed"),
        ({"behaviour": replace(GOOD["behaviour"], stuck=[(0, 1)])}, "stuck"),  # type: ignore[type-var]
        ({"behaviour": replace(GOOD["behaviour"], divergent_fraction=0.001)}, "diverged"),  # type: ignore[type-var]
        ({"behaviour": replace(GOOD["behaviour"], decay_time=4.1)}, "five decay times"),  # type: ignore[type-var]
        ({"behaviour": replace(GOOD["behaviour"], decay_time=math.inf)}, "five decay times"),  # type: ignore[type-var]
    ],
)
def test_each_failure_is_named(changes: dict[str, object], words: str) -> None:
    failures = verdict(**changes)
    assert len(failures) >= 1
    assert words in failures[0]


def test_criteria_are_listed_whole_and_a_sentence_once() -> None:
    unknown = {**converged(r_hat=math.nan, split_r_hat=math.nan), "energy": converged(r_hat=math.nan)["overlap"]}
    outcome = judge(**{**GOOD, "convergences": unknown})  # type: ignore[arg-type]
    assert len(outcome.failures) == 1 and not outcome.passed
    names = [criterion.name for criterion in outcome.criteria]
    assert names.count("r_hat") == names.count("tail_sample_size") == 2
    assert {"p_value", "monte_carlo_ratio", "stuck_chains", "divergent_fraction", "warmup"} <= set(names)


def test_superchains_without_two_starts_are_not_judged() -> None:
    assert verdict(convergences=converged(nested_r_hat=math.nan)) == ()


def test_an_asymptotic_check_is_told_and_not_judged() -> None:
    wrong = check("relation", "holds for large networks", np.array([1.0, 1.1, 0.9, 1.05]), exact=False)
    assert wrong.p_value < 1e-3 and verdict(checks=[wrong]) == ()


def test_the_level_is_shared_among_the_checks_of_the_experiment() -> None:
    """z = 3.6 (p = 3e-4) alone is an alarm, among a hundred checks it is not."""
    differences = GENERATOR.standard_normal(40)
    differences = differences - differences.mean() + 4.0 / math.sqrt(40) * differences.std(ddof=1)
    suspicious = check("virial", "holds", differences)
    assert 1e-5 < suspicious.p_value < 1e-3
    assert verdict(checks=[suspicious], checks_in_experiment=1)
    assert not verdict(checks=[suspicious], checks_in_experiment=100)
