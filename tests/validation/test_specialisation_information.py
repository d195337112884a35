"""Mutual information of as many samples as weights, on both sides of the transition (two minutes on one core).

Annealing crosses the transition neither way: from the prior it stays without the teacher's units, from the teacher with
them. The two bounds then lie apart by far more than the rungs explain, and the truth is between them.
"""

import math
from functools import cache

import numpy as np
import pytest

import nishimori as nm
from nishimori.comparison.finite_size import SizedPoints, fit_limit
from nishimori.measurement.information import Bracket, Information
from nishimori.theory.quadratic_samples import QuadraticSamples

CHANNEL, DIM, INSTANCES = nm.GaussianChannel(0.1), 20, 8
BELOW, ABOVE = 0.8, 2.5


def problem_of(sample_ratio: float, dim: int = DIM) -> nm.Problem:
    network = nm.Network(dim, (dim,), "tanh2_nonlinear", readout="fixed")
    return nm.matched_teacher(network, CHANNEL, round(sample_ratio * dim**2), INSTANCES, seed=3, test_samples=10)


@cache
def measured(sample_ratio: float) -> Information:
    return nm.information(nm.Posterior(problem_of(sample_ratio), "fp32", "cpu"), "ais", rungs=600, seed=1)


def bounds_of(sample_ratio: float) -> Bracket:
    """Against the infinitely wide network, whose information at depth 1 is the larger one exactly."""
    bracket = measured(sample_ratio).controlled
    assert bracket is not None
    for name in ("lower", "upper", "gap"):
        print(sample_ratio, name, getattr(bracket, name))
    return bracket


def model() -> QuadraticSamples:
    return QuadraticSamples.of_network(problem_of(BELOW).network, CHANNEL)


@pytest.mark.validate
def test_below_the_transition_it_is_that_of_the_wide_network_and_of_the_plateau() -> None:
    """The bounds hold the infinitely wide network at this d, and that network leads to log(1 + 1/Delta)/2: theory."""
    bounds, reference = bounds_of(BELOW), measured(BELOW).reference
    assert reference is not None
    error = max(bounds.lower.standard_error, bounds.upper.standard_error)
    print("wide", reference.value, "theory", model().uninformed(BELOW).observables["mutual_information"])
    assert bounds.lower.value - 3 * error < reference.value < bounds.upper.value + 3 * error
    assert bounds.gap.value < 0.06
    sizes = (14, 20, 28)
    wide = [nm.WideNetwork(problem_of(BELOW, dim)).mutual_information.numpy() for dim in sizes]
    values, errors = (
        np.array(row) for row in zip(*((v.mean(), v.std(ddof=1) / INSTANCES**0.5) for v in wide), strict=True)
    )
    fit = fit_limit(SizedPoints(np.array(sizes, dtype=float), values, errors, [INSTANCES] * 3))
    print("limit of the wide network", fit)
    plateau = model().uninformed(BELOW).observables["mutual_information"]
    assert plateau == pytest.approx(math.log(11) / 2, rel=1e-12)
    assert abs(fit.limit - plateau) < 3 * fit.standard_error
    assert fit.standard_error < 0.01 * plateau


@pytest.mark.validate
def test_above_the_transition_it_is_that_of_the_informed_branch() -> None:
    """Between the bounds, both of which are below the plateau; the gap is that of hysteresis."""
    informed, bounds = model().informed(ABOVE), bounds_of(ABOVE)
    assert informed is not None
    expected = informed.observables["mutual_information"]
    plateau = model().uninformed(ABOVE).observables["mutual_information"]
    print("theory", expected, "plateau", plateau)
    assert bounds.lower.value - 3 * bounds.lower.standard_error < expected
    assert expected < bounds.upper.value + 3 * bounds.upper.standard_error
    assert bounds.upper.value + 3 * bounds.upper.standard_error < plateau
    assert bounds_of(BELOW).gap.value + 0.05 < bounds.gap.value < 0.3
