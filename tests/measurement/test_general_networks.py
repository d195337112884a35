"""Observables, checks and control variates of networks with biases, weight variances and an activation a layer."""

import dataclasses
import math

import numpy as np
import pytest
import torch

import nishimori as nm
from nishimori.chains.progress import silent
from nishimori.measurement.identities import number_of_checks
from nishimori.measurement.kernel_reference import KernelReference
from nishimori.measurement.layer_overlaps import KINDS, LayerOverlaps
from nishimori.measurement.overlaps import effective_weights, layer_norms
from nishimori.sampling import Run

BIASED = nm.Network(8, (6,), "relu", bias_variance=0.5, weight_variance=(1.5, 0.8))
MIXED = nm.Network(8, (6, 5), ("tanh", "erf"), weight_variance=(1.5, 0.8, 1.2))
EVERYTHING = nm.Network(8, (6, 5), ("tanh", "relu"), "fixed", 0.3)


def problem_of(network: nm.Network, instances: int, samples: int = 16) -> nm.Problem:
    return nm.matched_teacher(network, nm.GaussianChannel(0.2), samples, instances, seed=8, test_samples=50)


def run(problem: nm.Problem, layer_overlaps: tuple[str, ...] = ()) -> Run:
    count = len(problem.instances)
    record = nm.CalibrationRecord(problem.instances, (0.15,) * count, 8)
    target = nm.Posterior(problem, device="cpu")
    return nm.sample(
        target,
        chains=1,
        warmup=40,
        draws=100,
        seed=4,
        start="both",
        calibration=record,
        layer_overlaps=layer_overlaps,
        progress=silent,
    )


@pytest.mark.parametrize("network", [BIASED, MIXED, EVERYTHING], ids=repr)
def test_a_run_passes_its_exact_checks_and_counts_them(network: nm.Network):
    found = run(problem_of(network, 24), ("weights",))
    names = {check.name for check in found.checks}
    assert {name for name in names if "_norm_" in name} == set(layer_norms(found.state.position, network))
    assert len(network.block_names) == sum("_norm_" in name for name in names)
    assert number_of_checks(found.plan, network, layer_overlaps=("weights",)) == sum(
        check.exact for check in found.checks
    )
    assert all(abs(check.z) < 4 for check in found.checks if check.exact), found.checks


@pytest.mark.parametrize(
    ("field", "value"), [("bias_variance", 3.0), ("weight_variance", (0.3, 0.8)), ("activation", "identity")]
)
def test_a_student_with_another_prior_fails_them(field: str, value: object):
    """The negative control: each of the three enters the posterior."""
    problem = problem_of(BIASED, 24)
    student = dataclasses.replace(problem, network=dataclasses.replace(BIASED, **{field: value}))
    assert max(abs(check.z) for check in run(student).checks if check.exact) > 4


@pytest.mark.parametrize("readout", ["gaussian", "fixed"])
def test_effective_weights_are_the_linear_network_and_biases_shift_it(readout: str):
    network = nm.Network(6, (4, 3), "identity", readout, weight_variance=(1.5, 0.7, 2.0))
    biased = dataclasses.replace(network, bias_variance=0.4)
    for one in (network, biased):
        teacher, problem = problem_of(one, 2, 5).known_teacher(), problem_of(one, 2, 5)
        vector = effective_weights(teacher.weights, one)[:, 0]
        linear = torch.einsum("imd,id->im", problem.inputs, vector) / math.sqrt(6)
        shift = teacher.latent - linear
        torch.testing.assert_close(shift, shift[:, :1].expand_as(shift), rtol=0, atol=1e-12)
        assert (float(shift.abs().min()) > 1e-3) == bool(one.bias_variance)
    drawn = nm.Posterior(problem_of(biased, 2, 5), "fp64", "cpu").initial_position(4000, "prior", 3)
    norms = effective_weights(drawn, biased).square().mean(-1)
    error = float(norms.std()) / math.sqrt(norms.numel())
    assert abs(float(norms.mean()) - 2.1) < 4 * error


def test_layer_overlaps_leave_biases_out():
    network = nm.Network(5, (4, 3), ("erf", "relu"), bias_variance=0.5)
    posterior = nm.Posterior(problem_of(dataclasses.replace(network, input_dim=5), 3), "fp64", "cpu")
    overlaps = LayerOverlaps(posterior, KINDS, [(0, 1)])
    assert overlaps.flips == [True, False]
    values = overlaps(posterior.initial_position(2, "teacher", seed=1))
    assert [name for name in overlaps.names if name.startswith("weight")] == [f"weight_overlap_{n}" for n in (1, 2, 3)]
    for name in overlaps.names:
        np.testing.assert_allclose(values[name].numpy(), np.stack([overlaps.norms[name]] * 2, 1), rtol=1e-12)


def z_of(values: np.ndarray | torch.Tensor) -> float:
    values = np.asarray(values)
    return float(values.mean() / (values.std(ddof=1) / len(values) ** 0.5))


@pytest.mark.parametrize("widths", [(4,), (4, 3)])
def test_the_control_variate_averages_over_teachers(widths: tuple[int, ...]):
    """400 teachers: -log N(y; 0, C) of their labels, and the squared error of the kernel's prediction."""
    activation = ("erf", "sin")[: len(widths)]
    network = nm.Network(5, widths, activation, bias_variance=0.4, weight_variance=1.3)
    problem = nm.matched_teacher(network, nm.GaussianChannel(0.2), 9, 400, seed=1, test_samples=7)
    reference = KernelReference(problem, draws=4)
    assert reference.exact == (len(widths) == 1)
    given, constant = reference.information, 9 / 2 * np.log(2 * np.pi * np.e * 0.2)
    assert abs(z_of(-given.log_density - constant - given.information)) < 3.5
    teacher = problem.known_teacher()
    error = (reference.wide.predictions() - teacher.test_latent).square().mean(-1)
    assert abs(z_of(error - reference.squared_error)) < 3.5
    vectors = effective_weights(teacher.weights, network)[:, 0]
    squares = (reference.wide.effective_weights - vectors).square().mean(-1) / network.effective_variance
    assert abs(z_of(1 - squares - reference.overlap)) < 3.5
    unbiased = dataclasses.replace(problem, network=dataclasses.replace(network, bias_variance=0.0))
    other = KernelReference(unbiased, draws=4).information  # the negative control
    assert abs(z_of(-other.log_density - constant - other.information)) > 10
