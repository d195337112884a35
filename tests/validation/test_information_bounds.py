"""The bounds on the mutual information at d = 30, n = 60, 1200 rungs and four chains (a minute or two on one core)."""

import numpy as np
import pytest

import nishimori as nm
from nishimori.exactness.linear_network_posterior import LinearNetworkPosterior
from nishimori.models.problem import Problem

INSTANCES, CHAINS, RUNGS, SAMPLES = 48, 4, 1200, 60


def problem_of(activation: str) -> Problem:
    network = nm.Network(30, (30,), activation)
    return nm.matched_teacher(network, nm.GaussianChannel(0.1), SAMPLES, INSTANCES, seed=7, test_samples=1)


def z_of(values: np.ndarray) -> float:
    return float(values.mean() / (values.std(ddof=1) / len(values) ** 0.5))


@pytest.mark.validate
def test_erf_networks_are_bracketed_to_half_a_hundredth() -> None:
    result = nm.information(nm.Posterior(problem_of("erf"), "fp32", "cpu"), rungs=RUNGS, chains=CHAINS, seed=1)
    _print(result)
    assert -0.005 < result.mutual_information.gap.value <= 0.005
    assert result.controlled is not None and result.divergence is not None and result.reference is not None
    assert result.controlled.lower.standard_error < result.mutual_information.lower.standard_error / 5
    assert result.divergence.upper.value > -3 * result.divergence.upper.standard_error
    assert result.controlled.lower.value < result.reference.value + 3 * result.controlled.lower.standard_error


@pytest.mark.validate
def test_linear_networks_agree_with_the_exact_evidence() -> None:
    problem = problem_of("identity")
    result = nm.information(nm.Posterior(problem, "fp32", "cpu"), rungs=RUNGS, chains=CHAINS, seed=1)
    exact = np.array([LinearNetworkPosterior.of(problem, place).log_evidence for place in range(INSTANCES)])
    bounds = result.evidence
    assert bounds is not None
    _print(result)
    divergence = exact / SAMPLES - nm.WideNetwork(problem).log_evidence.numpy()
    sides = z_of(exact - bounds.lower), z_of(bounds.upper - exact)
    print(f"exact KL / n {divergence.mean():.5f}, standard errors from the exact evidence {np.round(sides, 2)}")
    assert min(sides) > -3
    assert abs(z_of((bounds.lower + bounds.upper) / 2 - exact)) < 3
    assert -0.011 < result.mutual_information.gap.value <= 0.011


def _print(result) -> None:
    for name in ("mutual_information", "controlled", "divergence"):
        bracket = getattr(result, name)
        ends = (f"{end.value:.5f} ({end.standard_error:.5f})" for end in (bracket.lower, bracket.upper, bracket.gap))
        print(name, *ends)
    print(f"reference {result.reference.value:.5f}, acceptance {result.acceptance:.3f}")
