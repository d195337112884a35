"""Branches of n = alpha d^2 at d = 15 and 30 on their predicted curves (some minutes on one core)."""

from typing import Any

import pytest

import nishimori as nm
from nishimori.measurement.kernel_reference import KernelReference
from nishimori.sampling import Run
from nishimori.theory.quadratic_samples import QuadraticSamples

CHANNEL, INSTANCES = nm.GaussianChannel(0.1), 4
SMALL, LARGE = 15, 30


def sampled(dim: int, sample_ratio: float, start: str, step_size: float, transitions: int) -> Run:
    network = nm.Network(dim, (dim,), "tanh2_nonlinear", readout="fixed")
    problem = nm.matched_teacher(network, CHANNEL, round(sample_ratio * dim**2), INSTANCES, seed=5, test_samples=1000)
    sampler = nm.HMC(step_size=step_size, num_steps=round(0.6 / step_size))
    settings: dict[str, Any] = {"chains": 1, "warmup": transitions, "draws": transitions, "start": start, "seed": 2}
    return nm.sample(nm.Posterior(problem, device="cpu"), sampler, **settings, layer_overlaps=("weights",))


@pytest.mark.validate
def test_the_informed_branch_is_on_its_curve() -> None:
    """Within three standard errors and what is left of the deviation at half the size, were it of order 1 / d."""
    small, large = (sampled(dim, 2.5, "teacher", 0.13 / dim**0.5, 40) for dim in (SMALL, LARGE))
    model = QuadraticSamples.of_network(large.target.problem.network, CHANNEL)  # pyright: ignore
    informed, uninformed = model.informed(2.5), model.uninformed(2.5)
    assert informed is not None
    for name in ("gibbs_error", "weight_overlap_1"):
        expected = informed.observables[name]
        deviation, allowance = large.estimates[name].value - expected, abs(small.estimates[name].value - expected) / 2
        error = (large.estimates[name].standard_error ** 2 + small.estimates[name].standard_error ** 2 / 4) ** 0.5
        print(name, expected, small.estimates[name], large.estimates[name])
        assert abs(deviation) < 3 * error + allowance
        assert allowance + 3 * error < abs(expected - uninformed.observables[name]) / 10


@pytest.mark.validate
def test_the_uninformed_branch_is_the_infinitely_wide_network() -> None:
    """Below the spinodal, where theory has the plateau, from both starts; the allowance as above. The wide network is
    the closer to the plateau the larger d."""
    plateaus, deviations, errors = [], [], []
    for dim in (SMALL, LARGE):
        run = sampled(dim, 0.5, "both", 0.2 / dim**0.5, 40)
        wide = 2 * KernelReference(run.target.problem).squared_error.numpy()  # pyright: ignore
        differences = run.draws["gibbs_error"].mean((1, 2)) - wide
        plateaus.append(wide.mean())
        deviations.append(differences.mean())
        errors.append(differences.std(ddof=1) / INSTANCES**0.5)
    print(plateaus, deviations, errors)
    assert abs(deviations[1]) < abs(deviations[0]) / 2 + 3 * (errors[1] ** 2 + errors[0] ** 2 / 4) ** 0.5
    assert errors[1] < 0.1
    assert abs(plateaus[1] - 2) < abs(plateaus[0] - 2)
