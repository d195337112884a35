"""Sampled students that believe in a wrong noise variance, beside the renormalised kernel (some minutes)."""

import numpy as np
import pytest
from scipy import stats

import nishimori as nm
from nishimori.chains.progress import silent

INPUT_DIM, INSTANCES, TRUE = 60, 24, 0.1
COMPARED = (
    "training_energy",
    "train_gibbs_error",
    "posterior_mean_error",
    "posterior_variance",
    "gibbs_error",
    "overlap",
    "replica_overlap",
)
TELLING = ("training_energy", "posterior_variance")
"""Little of their spread is that of the teachers' amplitudes."""


@pytest.mark.validate
@pytest.mark.parametrize("believed", [TRUE / 4, 4 * TRUE])
@pytest.mark.parametrize("width_ratio", [0.5, 1.0])
def test_the_data_renormalise_the_kernel(believed: float, width_ratio: float) -> None:
    """Measured values agree with Q, and the posterior variance does not with Q = 1.

    Teachers are wide: the amplitude of narrow ones varies, which moves averages by a few per cent at this size.
    """
    network = nm.Network(INPUT_DIM, (round(width_ratio * INPUT_DIM),), "erf")
    channel, true = nm.GaussianChannel(believed), nm.GaussianChannel(TRUE)
    problem = nm.mismatched_teacher(
        network,
        channel,
        samples=2 * INPUT_DIM,
        instances=INSTANCES,
        seed=1,
        test_samples=400,
        teacher_network=nm.Network(INPUT_DIM, (4 * INPUT_DIM,), "erf"),
        teacher_channel=true,
    )
    sampler = nm.HMC("minimum_norm")
    run = nm.sample(nm.Posterior(problem, device="cpu"), sampler, warmup=60, draws=150, seed=2, progress=silent)
    assert run.verdict.passed, run.verdict.failures
    found = {}
    for name, ratios in (("Q", None), ("1", ())):
        theory = nm.theory.predict_mismatched(network, channel, 2.0, teacher_channel=true, width_ratios=ratios)
        found[name] = {of: _z(run, of, getattr(theory, of)) for of in COMPARED}
        print(f"believed {believed:g} ratio {width_ratio:g} at {theory.renormalisation:.4f}: {found[name]}")
    assert max(abs(z) for z in found["Q"].values()) < 4
    assert abs(found["1"]["posterior_variance"]) > 5
    squares = {name: sum(found[name][of] ** 2 for of in TELLING) for name in found}
    assert squares["Q"] < squares["1"] / 4


def _z(run: nm.Run, name: str, expected: float) -> float:
    estimate = run.estimates[name]
    t = (estimate.value - expected) / estimate.standard_error
    return round(float(np.sign(t) * stats.norm.isf(stats.t.sf(abs(t), INSTANCES - 1))), 2)
