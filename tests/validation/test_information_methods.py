"""Every method of measuring the mutual information at d = 30, n = 60 (some minutes each on one core).

Linear networks against their exact evidence, with the KL of other data sets of the same law as control; erf networks
against one another and below the infinitely wide network, as is exact at depth 1.
"""

from functools import cache
from typing import Any

import numpy as np
import pytest

import nishimori as nm
from nishimori.exactness.linear_network_posterior import LinearNetworkPosterior
from nishimori.measurement.information import Bracket, Information
from nishimori.models.problem import Problem

INSTANCES, SAMPLES, MORE_INSTANCES = 48, 60, 300
SETTINGS: dict[str, dict[str, Any]] = {
    "ais": {"rungs": 1200, "chains": 4},
    "collapsed": {"rungs": 300, "chains": 1},
    "immse": {"warmup": 200, "draws": 400},
    "chain_rule": {"chains": 2, "warmup": 200, "draws": 400},
}
LARGEST_GAP = {"identity": 0.01, "erf": 0.005}


def problem_of(activation: str, instances: int = INSTANCES, seed: int = 7) -> Problem:
    network = nm.Network(30, (30,), activation)
    return nm.matched_teacher(network, nm.GaussianChannel(0.1), SAMPLES, instances, seed=seed, test_samples=200)


@cache
def exact_divergence() -> tuple[float, float]:
    """E KL / n of linear networks and its standard error, from data sets of its own."""
    problem = problem_of("identity", MORE_INSTANCES, seed=8)
    evidence = [LinearNetworkPosterior.of(problem, place).log_evidence for place in range(MORE_INSTANCES)]
    values = np.array(evidence) / SAMPLES - nm.WideNetwork(problem).log_evidence.numpy()
    return float(values.mean()), float(values.std(ddof=1)) / MORE_INSTANCES**0.5


@cache
def measured(activation: str, method: str) -> Information:
    result = nm.information(nm.Posterior(problem_of(activation), "fp32", "cpu"), method, seed=1, **SETTINGS[method])
    for name in ("mutual_information", "controlled", "divergence"):
        bracket = getattr(result, name)
        ends = (f"{end.value:.5f} ({end.standard_error:.5f})" for end in (bracket.lower, bracket.upper, bracket.gap))
        print(activation, method, name, *ends)
    return result


def sides(bracket: Bracket | None) -> Bracket:
    assert bracket is not None
    return bracket


@pytest.mark.validate
@pytest.mark.parametrize("method", SETTINGS)
def test_linear_networks_agree_with_the_exact_value(method: str) -> None:
    result = measured("identity", method)
    exact, own_error = exact_divergence()
    divergence = sides(result.divergence)
    print(f"exact KL / n {exact:.5f} ({own_error:.5f})")
    error = np.hypot(own_error, divergence.middle.standard_error)
    assert divergence.lower.value - 3 * error < exact < divergence.upper.value + 3 * error
    assert abs(divergence.midpoint - exact) < 3 * error
    information = sides(result.controlled)
    reference = nm.WideNetwork(problem_of("identity")).mutual_information.numpy().mean()
    assert abs(information.midpoint - (reference - exact)) < 3 * error
    assert abs(result.mutual_information.midpoint - (reference - exact)) < 3 * np.hypot(
        error, result.mutual_information.middle.standard_error
    )
    assert -LARGEST_GAP["identity"] < information.gap.value <= LARGEST_GAP["identity"]
    assert result.alarms == ()


@pytest.mark.validate
@pytest.mark.parametrize("method", SETTINGS)
def test_erf_networks_lie_below_the_wide_one_and_methods_agree(method: str) -> None:
    result, other = measured("erf", method), measured("erf", "collapsed")
    own, theirs = sides(result.controlled), sides(other.controlled)
    assert result.reference is not None
    assert own.gap.value <= LARGEST_GAP["erf"]
    divergence = sides(result.divergence).middle
    assert divergence.value > -3 * divergence.standard_error
    assert own.midpoint <= result.reference.value + 3 * divergence.standard_error
    error = np.hypot(divergence.standard_error, sides(other.divergence).middle.standard_error)
    assert abs(own.midpoint - theirs.midpoint) < 3 * error
    assert result.alarms == ()
