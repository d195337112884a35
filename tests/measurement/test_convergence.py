"""Convergence diagnostics and the verdict: each way to be wrong is seen."""

import math
from dataclasses import replace

import numpy as np
import pytest

from nishimori.measurement.convergence import Convergence, convergence, decay_time, stuck_chains
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
    assert result.r_hat > 1.05
    assert result.worst_r_hat > 1.5


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


GOOD = {
    "estimates": {"bayes_error": Estimate(0.1, 0.01, 1e-6)},
    "convergences": {"bayes_error": Convergence(500.0, 1.01, 1.02, np.zeros(4))},
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
        ({"convergences": {"overlap": Convergence(500.0, 1.06, 1.2, np.zeros(4))}}, "R-hat 1.060"),
        ({"convergences": {"overlap": Convergence(99.0, 1.01, 1.02, np.zeros(4))}}, "effective sample size 99"),
        (
            {"convergences": {"overlap": Convergence(math.nan, math.nan, math.nan, np.zeros(4))}},
            "could not be computed",
        ),
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


def test_the_level_is_shared_among_the_checks_of_the_experiment() -> None:
    """z = 3.6 (p = 3e-4) alone is an alarm, among a hundred checks it is not."""
    differences = GENERATOR.standard_normal(40)
    differences = differences - differences.mean() + 4.0 / math.sqrt(40) * differences.std(ddof=1)
    suspicious = check("virial", "holds", differences)
    assert 1e-5 < suspicious.p_value < 1e-3
    assert verdict(checks=[suspicious], checks_in_experiment=1)
    assert not verdict(checks=[suspicious], checks_in_experiment=100)
