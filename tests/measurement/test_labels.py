"""Errors of predicted labels on synthetic draws of known mean, and the exact checks of channels on a small network."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import nishimori as nm
from nishimori.chains.progress import silent
from nishimori.description import Channel
from nishimori.description.channels import CLASSES
from nishimori.measurement.identities import number_of_checks
from nishimori.measurement.labels import label_errors
from nishimori.measurement.observables import MatchedTeacherObservables
from nishimori.measurement.predictions import PredictionMeans
from nishimori.models.problem import Teacher
from nishimori.sampling import Run

SPREAD, DRAWS, TESTS = 0.3, 20, 4000


def vote_errors(corrected: bool) -> tuple[float, float]:
    """Error of the majority of noisy draws less that of their exact means; and its standard error over instances."""
    generator = torch.Generator().manual_seed(2)
    exact = 2 * torch.rand(40, 1, TESTS, generator=generator, dtype=torch.float64) - 1
    means = PredictionMeans(DRAWS)
    for draw in range(DRAWS):
        noise = torch.randn(40, 1, TESTS, generator=generator, dtype=torch.float64)
        means.update(draw, exact + SPREAD * noise)
    found, _ = means.jackknife(lambda mean: (1 - mean.sign() * exact).mean((1, 2)) / 2, corrected)
    difference = found - (1 - exact.abs()).mean((1, 2)) / 2
    return float(difference.mean()), float(difference.std()) / 40**0.5


def test_the_jackknife_takes_away_the_bias_of_the_vote():
    """Means uniform between -1 and 1 with noise of variance s^2 lose s^2 / 4 to wrong votes: half the density at 0,
    times the integral of |m| P(wrong side | m) = s^2 / 2."""
    bias, error = vote_errors(corrected=False)
    assert abs(bias - SPREAD**2 / DRAWS / 4) < 4 * error
    assert bias > 10 * error
    left, error = vote_errors(corrected=True)
    assert abs(left) < bias / 5 + 4 * error


def problem_of(channel: Channel, instances: int = 40) -> nm.Problem:
    return nm.matched_teacher(nm.Network(4, (3,), "tanh"), channel, 10, instances, seed=2, test_samples=50)


def run_of(problem: nm.Problem, draws: int = 60) -> Run:
    sampler = nm.HMC(step_size=0.25, num_steps=6)
    return nm.sample(nm.Posterior(problem, "fp64", "cpu"), sampler, warmup=40, draws=draws, progress=silent)


@pytest.fixture(scope="module", params=[nm.ProbitChannel(0.05), nm.LogisticChannel(0.2), nm.OutputChannel("relu", 0.1)])
def run(request: pytest.FixtureRequest) -> Run:
    return run_of(problem_of(request.param))


def test_exact_checks_hold(run: Run) -> None:
    """N1 of the log likelihood, N2 (student-teacher and student-student overlaps agree), N3, N4, N6."""
    names, problem = {check.name for check in run.checks}, run.target.problem  # type: ignore[union-attr]
    assert {"train_log_likelihood", "teacher_replica", "virial", "starts_overlap"} <= names
    assert {f"{of}_training_log_likelihood" for of in ("starts", "stationary", "rank")} <= names
    assert not {"train_energy", "train_test_relation"} & names and "training_energy" not in run.draws
    classes = isinstance(problem.channel, CLASSES)
    assert ("coverage" in names) == (run.intervals is not None) == (not classes)
    assert len(run.checks) == number_of_checks(run.plan, problem.network, classes=classes)
    assert all(abs(check.z) < 4 for check in run.checks), run.checks


def test_estimates_are_those_of_the_channel(run: Run) -> None:
    classes = run.target.problem.channel != nm.OutputChannel("relu", 0.1)  # type: ignore[union-attr]
    for name in ("classification_error", "gibbs_classification_error"):
        assert (name in run.estimates) == classes
    assert {"generalization_error", "bayes_error", "overlap", "training_log_likelihood"} <= set(run.estimates)
    if classes:
        # For a posterior mean g of g*: E (1 - g g*) is the generalization error, and the Gibbs error half of it.
        gibbs, mean = run.estimates["gibbs_classification_error"], run.estimates["generalization_error"]
        assert abs(2 * gibbs.value - mean.value) < 4 * (2 * gibbs.standard_error + mean.standard_error)
        assert run.estimates["classification_error"].value < gibbs.value


@pytest.mark.parametrize(
    ("channel", "other"),
    [
        (nm.ProbitChannel(0.05), nm.ProbitChannel(0.5)),
        (nm.LogisticChannel(0.2), nm.LogisticChannel(0.6)),
        (nm.OutputChannel("relu", 0.1), nm.OutputChannel("relu", 0.2)),
    ],
    ids=str,
)
def test_a_student_of_another_channel_fails_them(channel: Channel, other: Channel) -> None:
    """Negative control: the data are the teacher's, the likelihood is not."""
    run = run_of(replace(problem_of(channel), channel=other), draws=30)
    assert max(abs(check.z) for check in run.checks) > 4


def test_observables_equal_their_definitions() -> None:
    channel = nm.LogisticChannel(0.3)
    posterior = nm.Posterior(problem_of(channel, 3), "fp64", "cpu")
    run = run_of(posterior.problem, draws=8)
    observables = MatchedTeacherObservables(posterior, [(0, 2)])
    position = run.state.position
    observed = observables(run.state, position)
    teacher = posterior.problem.known_teacher()
    latent, test = posterior.latent(position).numpy(), posterior.latent(position, "test").numpy()
    likelihood = channel.log_likelihood(posterior.problem.labels.unsqueeze(1).numpy(), latent).mean(-1)
    np.testing.assert_allclose(observed.values["training_log_likelihood"].numpy(), likelihood, rtol=1e-12)
    own, star = (2 / (1 + np.exp(-values / 0.3)) - 1 for values in (test, teacher.test_latent.unsqueeze(1).numpy()))
    assert observed.label_means is not None
    np.testing.assert_allclose(observed.label_means.numpy(), own, rtol=1e-10, atol=1e-14)
    disagreement = (1 - own * star).mean(-1) / 2
    np.testing.assert_allclose(observed.values["gibbs_classification_error"].numpy(), disagreement, rtol=1e-12)


def test_errors_of_labels_equal_their_definitions() -> None:
    posterior = nm.Posterior(problem_of(nm.ProbitChannel(0.3), 2), "fp64", "cpu")
    observables, means = MatchedTeacherObservables(posterior, []), PredictionMeans(1)
    values = torch.linspace(-0.9, 0.8, 2 * 3 * 50, dtype=torch.float64).reshape(2, 3, 50)
    assert label_errors(observables, means, [(0, 1)]) == {}
    means.keep(0, values, values)
    found = label_errors(observables, means, [(0, 1)])
    star = observables.test_label_means
    product = ((values[:, 0] - star[:, 0]) * (values[:, 1] - star[:, 0])).mean(-1)
    torch.testing.assert_close(found["generalization_error"][0], product + (1 - star.square()).mean((1, 2)))
    wrong = (values.mean(1).sign() != star[:, 0].sign()).double()
    certain = (1 + star[:, 0].abs()) / 2
    expected = (wrong * certain + (1 - wrong) * (1 - certain)).mean(-1)
    torch.testing.assert_close(found["classification_error"][0], expected)


def test_label_means_survive_a_file() -> None:
    means = PredictionMeans(4)
    for draw in range(4):
        values = torch.full((1, 2, 3), float(draw), dtype=torch.float64)
        means.keep(draw, values, values / 2)
    read = PredictionMeans.from_host(4, means.to_host())
    assert means.labels is not None and read.labels is not None
    assert torch.equal(read.mean(), means.mean())
    assert torch.equal(read.labels.mean(), means.labels.mean())


def test_own_data_have_a_log_likelihood() -> None:
    problem = problem_of(nm.ProbitChannel(0.3), 1)
    assert isinstance(problem.teacher, Teacher)
    own = nm.Problem(problem.network, problem.channel, problem.inputs, problem.labels)
    run = run_of(own, draws=20)
    assert "training_log_likelihood" in run.estimates and "training_energy" not in run.estimates
