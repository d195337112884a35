"""A network whose readout is fixed: its linear weights, its norms, and the exact checks of a run."""

import math

import torch

import nishimori as nm
from nishimori.chains.progress import silent
from nishimori.measurement.identities import number_of_checks
from nishimori.measurement.overlaps import effective_weights, layer_norms


def problem_of(network: nm.Network, instances: int = 2) -> nm.Problem:
    return nm.matched_teacher(
        network, nm.GaussianChannel(0.1), samples=16, instances=instances, seed=8, test_samples=50
    )


def test_effective_weights_are_the_linear_network() -> None:
    """For the identity activation F(x) = v . x / sqrt(d) exactly, with a = (1, ..., 1)."""
    problem = problem_of(nm.Network(6, (4, 3), "identity", readout="fixed"))
    teacher = problem.known_teacher()
    vector = effective_weights(teacher.weights, problem.network)[:, 0]
    linear = torch.einsum("imd,id->im", problem.inputs, vector) / math.sqrt(6)
    torch.testing.assert_close(linear, teacher.latent, rtol=1e-12, atol=1e-13)
    assert sorted(layer_norms(teacher.weights, problem.network)) == ["layer_norm_1", "layer_norm_2"]


def test_a_run_passes_its_exact_checks_and_counts_them() -> None:
    problem = problem_of(nm.Network(8, (6, 4), "tanh", readout="fixed"), instances=24)
    record = nm.CalibrationRecord(problem.instances, (0.15,) * 24, 8)
    target = nm.Posterior(problem, device="cpu")
    run = nm.sample(target, chains=1, warmup=40, draws=150, seed=4, calibration=record, progress=silent)
    names = [check.name for check in run.checks]
    assert {"layer_norm_1", "layer_norm_2"} == {name for name in names if name.startswith("layer_norm")}
    assert number_of_checks(run.plan, problem.network) == sum(check.exact for check in run.checks)
    assert all(abs(check.z) < 4 for check in run.checks), run.checks
