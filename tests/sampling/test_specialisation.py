"""Committees with as many samples as weights: branches by start, and their disagreement."""

import math

import numpy as np
import pytest
import torch

import nishimori as nm
from nishimori.chains.progress import silent
from nishimori.sampling import Run
from nishimori.theory.quadratic_samples import QuadraticSamples, without_linear_part

CHANNEL = nm.GaussianChannel(0.1)


def network_of(dim: int) -> nm.Network:
    return nm.Network(dim, (dim,), "tanh2_nonlinear", readout="fixed")


def run_of(dim: int, samples: int, sampler: nm.HMC, transitions: int, start: str, instances: int = 8) -> Run:
    problem = nm.matched_teacher(network_of(dim), CHANNEL, samples, instances, seed=3, test_samples=100)
    chains = {"chains": 1, "warmup": transitions, "draws": transitions, "start": start, "seed": 1}
    target = nm.Posterior(problem, device="cpu")
    return nm.sample(target, sampler, **chains, layer_overlaps=("weights",), progress=silent)


@pytest.fixture(scope="module")
def torn() -> Run:
    """Where the informed branch begins to be the equilibrium."""
    return run_of(8, 102, nm.HMC(step_size=0.05, num_steps=14), 25, "both")


def deviations(run: Run, start: str) -> float:
    """Of N1, E<(y - F)^2> = Delta, in its own standard errors."""
    energy = run.estimates_of(start)["training_energy"]
    return (energy.value - CHANNEL.noise_variance) / energy.standard_error


def test_starts_that_disagree_are_flagged(torn: Run) -> None:
    checks = {check.name: check for check in torn.checks}
    assert checks["starts_gibbs_error"].p_value < 0.01
    assert not torn.verdict.passed
    teacher, prior = (torn.estimates_of(start) for start in ("teacher", "prior"))
    assert teacher["gibbs_error"].value < 0.6 * prior["gibbs_error"].value
    assert teacher["weight_overlap_1"].value > prior["weight_overlap_1"].value + 0.1


def test_the_informed_branch_obeys_its_identity_and_the_other_does_not(torn: Run) -> None:
    assert abs(deviations(torn, "teacher")) < 3.5
    assert deviations(torn, "prior") > 3


def test_far_above_the_threshold_the_teacher_s_branch_stays_specialised() -> None:
    run = run_of(6, 216, nm.HMC(step_size=0.04, num_steps=15), 25, "teacher")
    assert run.estimates["weight_overlap_1"].value > 0.9 > 0.7 > run.estimates["prior_weight_overlap_1"].value
    exact = [check for check in run.checks if check.exact]
    assert {"train_energy", "function_norm", "layer_norm_1", "stationary_function_norm"} <= {c.name for c in exact}
    assert min(check.p_value for check in exact) > 0.001 / len(exact)
    assert abs(deviations(run, "teacher")) < 3.5


def test_estimates_of_both_starts_are_the_mean_of_those_of_each(torn: Run) -> None:
    teacher, prior = (torn.estimates_of(start) for start in ("teacher", "prior"))
    for name in ("gibbs_error", "overlap", "weight_overlap_1"):
        both = (teacher[name].value + prior[name].value) / 2
        assert both == pytest.approx(torn.estimates[name].value, rel=1e-12)


def test_a_start_without_chains_is_refused() -> None:
    run = run_of(2, 4, nm.HMC(step_size=0.1, num_steps=2), 4, "prior", instances=2)
    assert math.isfinite(run.estimates_of("prior")["gibbs_error"].value)
    with pytest.raises(ValueError, match="starts at 'teacher' here: sample with start=\"both\""):
        run.estimates_of("teacher")


def test_the_theory_s_names_are_those_measured(torn: Run) -> None:
    informed = QuadraticSamples.of_network(network_of(8), CHANNEL).informed(102 / 64)
    assert informed is not None
    measured = {*torn.estimates, "mutual_information", "mutual_information_per_squared_dim"}
    assert set(informed.observables) <= measured


@pytest.mark.parametrize("x", [-1.3, 0.0, 0.4])
def test_without_its_linear_part_an_activation_is_the_same_in_torch(x: float) -> None:
    phi = without_linear_part(
        nm.Activation(
            lambda x: np.tanh(2 * x),
            lambda x: 2 - 2 * np.tanh(2 * x) ** 2,
            "own",
            odd=True,
            torch_function=lambda x: torch.tanh(2 * x),
            torch_derivative=lambda x: 2 - 2 * torch.tanh(2 * x).square(),
        )
    )
    assert phi.torch_function is not None and phi.torch_derivative is not None
    point = torch.tensor([x], dtype=torch.float64)
    assert phi.torch_function(point).item() == pytest.approx(phi.function(point.numpy()).item(), rel=1e-14)
    assert phi.torch_derivative(point).item() == pytest.approx(phi.derivative(point.numpy()).item(), rel=1e-14)
