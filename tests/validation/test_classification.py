"""Classes by networks of tanh 2x, one and two hidden layers, against the replica conjecture in the limit of three sizes
(some ten minutes on one core). Corrections are taken to fall as 1/d: A + B/d is fitted, A compared.
"""

from functools import cache

import numpy as np
import pytest

import nishimori as nm
from nishimori.comparison.align import z_score
from nishimori.comparison.finite_size import LimitFit, SizedPoints, fit_limit
from nishimori.measurement.error_bars import Estimate
from nishimori.theory import Prediction

CHANNEL, RATIO = nm.ProbitChannel(0.05), 2.0
BY_DEPTH = pytest.mark.parametrize("depth", [1, 2])


def network_of(depth: int, dim: int) -> nm.Network:
    return nm.Network(dim, (dim,) * depth, "tanh2")


def posterior_of(depth: int, dim: int, instances: int) -> nm.Posterior:
    samples = round(RATIO * dim)
    problem = nm.matched_teacher(network_of(depth, dim), CHANNEL, samples, instances, seed=dim, test_samples=500)
    return nm.Posterior(problem, "fp32", "cpu")


def predicted(depth: int) -> Prediction:
    return nm.theory.predict(network_of(depth, 1), CHANNEL, RATIO)


@cache
def estimates_of(depth: int, dim: int, instances: int) -> dict[str, Estimate]:
    sampler = nm.HMC(target_acceptance=0.9)
    run = nm.sample(posterior_of(depth, dim, instances), sampler, chains=1, warmup=40, draws=80, start="both", seed=2)
    assert not [check.name for check in run.checks if check.exact and check.p_value < 1e-4]
    return run.estimates


@cache
def information_of(depth: int, dim: int, instances: int) -> Estimate:
    """Its standard error holds half the gap of the two bounds."""
    return nm.information(posterior_of(depth, dim, instances), "ais", rungs=400, seed=3).best.estimate


def limit_of(sizes: tuple[int, ...], estimates: list[Estimate], instances: int) -> LimitFit:
    values, errors = np.array([(one.value, one.standard_error) for one in estimates]).T
    return fit_limit(SizedPoints(np.array(sizes, dtype=float), values, errors, [instances] * len(sizes)))


def judge(name: str, fit: LimitFit, expected: float, estimates: list[Estimate]) -> None:
    z = z_score(fit.limit, fit.standard_error, expected, fit.instances)
    points = ", ".join(f"{one.value:.4f} ({one.standard_error:.4f})" for one in estimates)
    print(f"{name}: {points}; limit {fit.limit:.4f} ({fit.standard_error:.4f}), theory {expected:.4f}, z = {z:.2f}")
    assert fit.standard_error < 0.04 * expected
    assert abs(z) < 3


@pytest.mark.validate
@BY_DEPTH
@pytest.mark.parametrize("name", ["classification_error", "gibbs_classification_error"])
def test_errors_of_classes_lead_to_the_conjecture(depth: int, name: str) -> None:
    sizes, instances = (16, 28, 48), 96
    estimates = [estimates_of(depth, dim, instances)[name] for dim in sizes]
    judge(f"L={depth} {name}", limit_of(sizes, estimates, instances), getattr(predicted(depth), name), estimates)


@pytest.mark.validate
@BY_DEPTH
def test_information_of_classes_leads_to_the_conjecture(depth: int) -> None:
    sizes, instances = (12, 20, 32), 128
    estimates = [information_of(depth, dim, instances) for dim in sizes]
    fit = limit_of(sizes, estimates, instances)
    judge(f"L={depth} mutual_information", fit, predicted(depth).mutual_information, estimates)
