"""Observables against their definitions, and the exact checks on a small posterior with a control that must fail."""

import math

import numpy as np
import pytest
import torch

import nishimori as nm
from nishimori.chains.progress import silent
from nishimori.measurement.observables import MatchedTeacherObservables
from nishimori.measurement.overlaps import effective_weights
from nishimori.samplers.base import State
from nishimori.sampling import Run
from nishimori_kernels.energy import reference


@pytest.fixture(scope="module")
def posterior() -> nm.Posterior:
    problem = nm.matched_teacher(
        nm.Network(5, (4, 3), "erf"), nm.GaussianChannel(0.2), samples=7, instances=3, seed=2, test_samples=11
    )
    return nm.Posterior(problem, precision="fp64", device="cpu")


def test_values_equal_their_definitions(posterior: nm.Posterior) -> None:
    problem, pairs = posterior.problem, [(0, 2), (1, 3)]
    position = posterior.initial_position(4, "prior", seed=1)
    energy, gradient = posterior.energy_and_gradient(position)
    observed = MatchedTeacherObservables(posterior, pairs)(State(position, energy, gradient))
    values, weights = observed.values, position.blocks
    train = reference.latent(weights, problem.inputs, "erf")
    test = reference.latent(weights, problem.known_teacher().test_inputs, "erf")
    star, test_star = problem.known_teacher().latent[:, None], problem.known_teacher().test_latent[:, None]
    error = test - test_star
    vector = torch.einsum("icpk,ickd,icp->icd", weights[1], weights[0], weights[2]) / math.sqrt(12)
    expected = {
        "training_energy": (problem.labels[:, None] - train).square().mean(-1),
        "train_mmse": (train - star).square().mean(-1) / 2,
        "gibbs_error": error.square().mean(-1),
        "function_overlap": (test * test_star).mean(-1),
        "overlap": (vector * effective_weights(problem.known_teacher().weights, problem.network)).mean(-1),
        "layer_norm_1": weights[0].square().sum((-1, -2)) / 20,
        "layer_norm_2": weights[1].square().sum((-1, -2)) / 12,
        "layer_norm_3": weights[2].square().sum(-1) / 3,
        "bayes_error": torch.stack([(error[:, a] * error[:, b]).mean(-1) for a, b in pairs], dim=1),
        "replica_overlap": torch.stack([(vector[:, a] * vector[:, b]).sum(-1) / 5 for a, b in pairs], dim=1),
        "replica_function_overlap": torch.stack([(test[:, a] * test[:, b]).mean(-1) for a, b in pairs], dim=1),
    }
    for name, value in expected.items():
        torch.testing.assert_close(values[name], value, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(observed.test_predictions, test)


def test_effective_weights_are_the_linear_network() -> None:
    """For the identity activation F(x) = v . x / sqrt(d) exactly."""
    problem = nm.matched_teacher(nm.Network(6, (4, 3), "identity"), nm.GaussianChannel(0.1), samples=5, instances=2)
    weights = problem.known_teacher().weights
    vector = effective_weights(weights, problem.network)[:, 0]
    linear = torch.einsum("imd,id->im", problem.inputs, vector) / math.sqrt(6)
    torch.testing.assert_close(linear, problem.known_teacher().latent, rtol=1e-12, atol=1e-13)


def run(noise_of_student: float | None = None) -> Run:
    """A short run; a student who believes in another noise is not matched to its teacher."""
    network = nm.Network(20, (20,), "tanh")
    problem = nm.matched_teacher(network, nm.GaussianChannel(0.1), samples=40, instances=48, seed=8, test_samples=100)
    target = nm.Posterior(problem, device="cpu")
    record = nm.CalibrationRecord(problem.instances, (0.15,) * 48, 8)
    if noise_of_student is not None:
        object.__setattr__(problem, "channel", nm.GaussianChannel(noise_of_student))
    return nm.sample(target, chains=1, warmup=30, draws=100, seed=4, calibration=record, progress=silent)


def test_matched_student_passes_every_exact_check() -> None:
    assert all(abs(check.z) < 4 for check in run().checks)


def test_mismatched_student_fails() -> None:
    """Negative control: with half the noise believed, <(y - F)^2> is far from what the student expects."""
    by_name = {check.name: check for check in run(noise_of_student=0.05).checks}
    assert abs(by_name["train_energy"].z) > 5
    assert abs(by_name["virial"].z) < 4


def test_nothing_is_missing_from_a_run() -> None:
    result = run()
    assert {"bayes_error", "gibbs_error", "train_mmse", "overlap", "replica_overlap"} <= result.estimates.keys()
    assert result.draws["gibbs_error"].shape == (48, 2, 100)
    assert result.draws["bayes_error"].shape == (48, 1, 100)
    assert result.estimates["generalization_error"].value == result.estimates["bayes_error"].value + 0.1
    diagnostics = result.diagnostics()
    assert diagnostics["observables"]["overlap"]["r_hat"] < 1.1
    assert np.isfinite(diagnostics["decay_time"])


@pytest.mark.parametrize(("chains", "start"), [(1, "both"), (1, "prior"), (2, "prior"), (3, "prior"), (1, "teacher")])
def test_every_plan_can_pass(chains: int, start: str) -> None:
    network = nm.Network(16, (16,), "tanh")
    problem = nm.matched_teacher(network, nm.GaussianChannel(0.1), samples=16, instances=12, seed=8, test_samples=50)
    record = nm.CalibrationRecord(problem.instances, (0.2,) * 12, 7)
    target = nm.Posterior(problem, device="cpu")
    result = nm.sample(target, chains=chains, start=start, warmup=40, draws=300, calibration=record, progress=silent)
    assert result.verdict.failures == ()


def test_contradictions_and_repetitions_are_refused() -> None:
    network, channel = nm.Network(4, (4,), "tanh"), nm.GaussianChannel(0.1)
    with pytest.raises(ValueError, match="one teacher twice"):
        nm.matched_teacher(network, channel, samples=4, instances=[0, 0])
    target = nm.Posterior(nm.matched_teacher(network, channel, samples=4, instances=2), device="cpu")
    record = nm.CalibrationRecord((0, 1), (0.2, 0.2), 7)
    with pytest.raises(ValueError, match="give each chain once"):
        nm.sample(target, calibration=record, only_chains=(1, 1), progress=silent)
    with pytest.raises(ValueError, match="other step sizes"):
        nm.sample(target, nm.HMC(step_size=0.1), calibration=record, progress=silent)
    with pytest.raises(ValueError, match="num_steps 7, the sampler 3"):
        nm.sample(target, nm.HMC(num_steps=3), calibration=record, progress=silent)
