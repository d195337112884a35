"""Estimates of mismatched students against the exact posterior of the linear model, and what is refused of them."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import special

import nishimori as nm
from nishimori.chains.progress import silent
from nishimori.chains.start import ChainPlan
from nishimori.measurement.observables import MatchedTeacherObservables
from nishimori.measurement.observers import is_led
from nishimori.models.problem import Problem

BELIEVED, TRUE = 0.6, 0.15
LINEAR = nm.Network(10), nm.Network(10, (30,), "tanh2")
"""Student and teacher."""


def linear_problem(believed: float = BELIEVED) -> Problem:
    return nm.mismatched_teacher(
        LINEAR[0],
        nm.GaussianChannel(believed),
        samples=15,
        instances=5,
        seed=4,
        test_samples=40,
        teacher_network=LINEAR[1],
        teacher_channel=nm.GaussianChannel(TRUE),
    )


def exact(problem: Problem, noise: float) -> dict[str, np.ndarray]:
    """Posterior averages of every instance, [instances]; the posterior of the weights is Gaussian."""
    teacher, found = problem.teacher, {}
    assert teacher is not None and problem.test_inputs is not None
    for instance, labels in enumerate(problem.labels.numpy()):
        d = problem.network.input_dim
        x, fresh = (rows[instance].numpy() / math.sqrt(d) for rows in (problem.inputs, problem.test_inputs))
        covariance = np.linalg.inv(x.T @ x / noise + np.eye(d))
        mean = covariance @ x.T @ labels / noise
        truth, test_truth = (values[instance].numpy() for values in (teacher.latent, teacher.test_latent))
        first, *_, last = (block[instance, 0].numpy() for block in teacher.weights.blocks)
        vector = first.T @ last / math.sqrt(len(last))
        spread, train_spread = (np.einsum("ij,jk,ik->i", rows, covariance, rows).mean() for rows in (fresh, x))
        squared_error = ((fresh @ mean - test_truth) ** 2).mean()
        values = {
            "posterior_mean_error": squared_error,
            "posterior_variance": spread,
            "gibbs_error": squared_error + spread,
            "training_energy": ((labels - x @ mean) ** 2).mean() + train_spread,
            "train_gibbs_error": ((truth - x @ mean) ** 2).mean() + train_spread,
            "function_overlap": (test_truth * (fresh @ mean)).mean(),
            "replica_function_overlap": ((fresh @ mean) ** 2).mean(),
            "overlap": vector @ mean / d,
            "replica_overlap": mean @ mean / d,
        }
        for name, value in values.items():
            found.setdefault(name, []).append(value)
    return {name: np.array(values) for name, values in found.items()}


@pytest.fixture(scope="module")
def run() -> nm.Run:
    sampler = nm.HMC("leapfrog", 0.25, 6)
    target = nm.Posterior(linear_problem(), "fp64", device="cpu")
    return nm.sample(target, sampler, chains=4, warmup=60, draws=400, seed=3, progress=silent)


def deviations(run: nm.Run, noise: float) -> dict[str, float]:
    """Measured less exact, averaged over instances, in Monte Carlo errors."""
    found = {}
    for name, expected in exact(run.target.problem, noise).items():  # type: ignore[union-attr]
        values, estimate = run.analysis.per_instance[name], run.estimates[name]
        scale = math.sqrt(estimate.monte_carlo_variance)
        if name in run.analysis.norms:
            scale *= float(run.analysis.norms[name].mean())
        found[name] = float((values - expected).mean()) / scale
    return found


def test_estimates_are_those_of_the_exact_posterior(run: nm.Run) -> None:
    found = deviations(run, BELIEVED)
    assert all(abs(z) < 4 for z in found.values()), found


def test_the_posterior_of_the_true_noise_is_another_one(run: nm.Run) -> None:
    found = deviations(run, TRUE)
    assert min(abs(found[name]) for name in ("posterior_variance", "training_energy", "function_overlap")) > 5, found


def test_names_are_honest(run: nm.Run) -> None:
    assert not {"bayes_error", "train_mmse"} & (run.estimates.keys() | run.draws.keys())
    error, noisy = run.estimates["posterior_mean_error"], run.estimates["generalization_error"]
    assert noisy.value == pytest.approx(error.value + TRUE, rel=1e-12)
    both = error.value + run.estimates["posterior_variance"].value
    assert run.estimates["gibbs_error"].value == pytest.approx(both, rel=1e-12)


def test_only_what_holds_is_checked_and_the_reason_is_told(run: nm.Run) -> None:
    assert [check.name for check in run.checks] == ["virial"]
    assert abs(run.checks[0].z) < 4
    assert run.intervals is None
    told = run.diagnostics()["unchecked"]
    assert "differ in widths, activation, noise_variance" in told and "were not checked" in told
    assert {criterion.subject for criterion in run.verdict.criteria} >= {"posterior_mean_error", "train_gibbs_error"}


def matched_run(problem: Problem) -> nm.Run:
    settings: dict[str, Any] = {"chains": 1, "warmup": 10, "draws": 20, "start": "both", "progress": silent}
    return nm.sample(nm.Posterior(problem, device="cpu"), nm.HMC("leapfrog", 0.25, 5), **settings)


def test_a_matched_teacher_that_was_named_has_all_checks_and_both_names() -> None:
    network, channel = nm.Network(6, (5,), "erf"), nm.GaussianChannel(0.3)
    sizes: dict[str, Any] = {"samples": 8, "instances": 4, "seed": 1, "test_samples": 10}
    named = matched_run(nm.mismatched_teacher(network, channel, **sizes, teacher_channel=channel))
    plain = matched_run(nm.matched_teacher(network, channel, **sizes))
    assert {check.name: check.value for check in named.checks} == {check.name: check.value for check in plain.checks}
    assert {name: named.estimates[name] for name in plain.estimates} == plain.estimates
    assert named.estimates["posterior_mean_error"] == plain.estimates["bayes_error"]
    assert named.estimates["train_gibbs_error"].value == 2 * plain.estimates["train_mmse"].value
    assert named.estimates.keys() - plain.estimates == {
        "posterior_mean_error",
        "posterior_variance",
        "train_gibbs_error",
    }
    assert "unchecked" not in named.diagnostics()


REFUSED: dict[str, tuple[Callable[[nm.Run], Any], str]] = {
    "start": (lambda run: nm.sample(run.target, nm.HMC(), start="both", progress=silent), "start='prior'"),
    "layers": (lambda run: nm.sample(run.target, nm.HMC(), layer_overlaps=["weights"]), "differs from its student"),
    "controlled": (nm.controlled_errors, "no posterior of a matched teacher"),
    **{
        method: (lambda run, method=method: nm.information(linear_problem(), method), "matched_teacher")
        for method in ("ais", "immse", "chain_rule")
    },
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_needs_a_matched_teacher_is_refused(run: nm.Run, what: str) -> None:
    call, message = REFUSED[what]
    with pytest.raises(ValueError, match=message):
        call(run)


def test_labels_of_classes_are_those_of_the_teacher() -> None:
    """The noise of fresh labels is the teacher's."""
    problem = nm.mismatched_teacher(
        nm.Network(6, (4,), "erf"),
        nm.ProbitChannel(0.5),
        samples=8,
        instances=2,
        test_samples=30,
        teacher_channel=nm.ProbitChannel(0.01),
    )
    observables = MatchedTeacherObservables(nm.Posterior(problem, device="cpu"), ())
    assert problem.teacher is not None
    expected = 2 * special.ndtr(problem.teacher.test_latent.numpy() / 0.1) - 1
    np.testing.assert_allclose(observables.test_label_means.squeeze(1).numpy(), expected, rtol=1e-10)


def test_a_collapsed_student_has_the_same_names() -> None:
    network = nm.Network(6, (5,), "erf")
    channels = nm.GaussianChannel(0.3), nm.GaussianChannel(0.1)
    problem = nm.mismatched_teacher(network, channels[0], samples=8, instances=3, teacher_channel=channels[1])
    target = nm.CollapsedPosterior(problem, device="cpu")
    run = nm.sample(target, nm.HMC("rotation", 0.3, 4), chains=2, warmup=20, draws=30, progress=silent)
    assert {"posterior_mean_error", "posterior_variance", "rao_blackwell_gibbs_error"} <= run.estimates.keys()
    assert [check.name for check in run.checks] == ["virial"]


def test_chains_are_led_where_none_starts_at_a_sample_of_the_posterior() -> None:
    network, channel = nm.Network(6, (4,), "erf"), nm.GaussianChannel(0.3)
    sizes: dict[str, Any] = {"samples": 8, "instances": 2}
    plans = [ChainPlan.of(2, start) for start in ("prior", "both")]
    led = {
        "mismatched": nm.mismatched_teacher(network, channel, **sizes, teacher_channel=nm.GaussianChannel(0.1)),
        "named": nm.mismatched_teacher(network, channel, **sizes),
        "matched": nm.matched_teacher(network, channel, **sizes),
    }
    found = {
        name: [is_led(nm.Posterior(problem, device="cpu"), plan) for plan in plans] for name, problem in led.items()
    }
    assert found == {"mismatched": [True, True], "named": [True, False], "matched": [False, False]}
