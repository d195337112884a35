"""Every method on linear networks, whose evidence is one integral; other channels against a grid; and starts and labels
that break them."""

from dataclasses import replace
from functools import cache, partial
from typing import Any

import numpy as np
import pytest
from linear_channels import GridPosterior

import nishimori as nm
from nishimori.chains.progress import silent
from nishimori.description import Channel
from nishimori.exactness.linear_network_posterior import LinearNetworkPosterior
from nishimori.measurement.information import Information
from nishimori.models import noise_ladder
from nishimori.models.problem import Problem

DIM, SAMPLES, NOISE, INSTANCES = 5, 8, 0.5, 160
SETTINGS: dict[str, dict[str, Any]] = {
    "ais": {"rungs": 150, "chains": 4},
    "collapsed": {"rungs": 20, "chains": 4},
    "immse": {"nodes": 5, "warmup": 30, "draws": 120},
    "chain_rule": {"nodes": 4, "warmup": 30, "draws": 120},
}
MOST_Z = 3.0
information = partial(nm.information, progress=silent)


@cache
def problem_of(activation: str = "identity", instances: int = INSTANCES, seed: int = 3) -> Problem:
    network = nm.Network(DIM, (DIM,), activation)
    return nm.matched_teacher(network, nm.GaussianChannel(NOISE), SAMPLES, instances, seed=seed, test_samples=30)


@cache
def exact_divergence() -> tuple[float, float]:
    """E KL / n and its standard error, over more data sets of the same law."""
    problem = problem_of(instances=1000, seed=9)
    evidence = [LinearNetworkPosterior.of(problem, place).log_evidence for place in range(1000)]
    values = np.array(evidence) / SAMPLES - nm.WideNetwork(problem).log_evidence.numpy()
    return float(values.mean()), float(values.std() / 1000**0.5)


def z_scores(result: Information, problem: Problem | None = None) -> tuple[float, float]:
    """Of the plain and of the controlled information, against the exact one of networks on these very inputs."""
    divergence, error = exact_divergence()
    exact = float(nm.WideNetwork(problem or problem_of()).mutual_information.mean()) - divergence
    assert result.controlled is not None
    plain, controlled = result.mutual_information.middle, result.controlled.middle
    return tuple((own.value - exact) / np.hypot(own.standard_error, error) for own in (plain, controlled))


@pytest.mark.parametrize("method", SETTINGS)
def test_linear_networks_agree_with_the_exact_information(method: str):
    result = information(nm.Posterior(problem_of(), "fp32", "cpu"), method, seed=1, **SETTINGS[method])
    assert max(map(abs, z_scores(result))) < MOST_Z
    assert result.controlled is not None and result.divergence is not None and result.reference is not None
    assert result.controlled.middle.standard_error < result.mutual_information.middle.standard_error / 2
    assert abs(result.controlled.gap.value) < 0.01
    assert result.method == method and result.alarms == ()
    assert result.controlled.midpoint == pytest.approx(result.reference.value - result.divergence.midpoint)


def test_the_collapsed_evidence_is_exact_instance_by_instance():
    """Its bounds are so near that every instance can be compared; the Gaussian channel's constant is in it."""
    problem = problem_of(instances=20)
    result = information(nm.Posterior(problem, "fp64", "cpu"), "collapsed", seed=1, rungs=60, chains=16)
    exact = np.array([LinearNetworkPosterior.of(problem, place).log_evidence for place in range(20)])
    assert result.evidence is not None
    assert abs((result.evidence.lower + result.evidence.upper) / 2 - exact).max() < 0.1


def test_a_chain_that_still_knows_the_teacher_reads_too_little_information_and_says_so():
    """Negative control: no warm-up, short chains."""
    result = information(nm.Posterior(problem_of(), "fp32", "cpu"), "immse", nodes=5, warmup=0, draws=4, seed=1)
    assert z_scores(result)[0] < -MOST_Z
    assert "the training MMSE still moves" in result.alarms[0] and "raise warmup" in result.alarms[0]
    result = information(nm.Posterior(problem_of(), "fp32", "cpu"), "chain_rule", nodes=4, warmup=0, draws=2, seed=1)
    assert z_scores(result)[1] < -MOST_Z


def test_labels_that_keep_their_noise_break_the_integral(monkeypatch: pytest.MonkeyPatch):
    """Negative control: with the labels given at every rung the path leaves the Bayes-optimal line."""
    right = noise_ladder.regenerated

    def kept(problem: Problem, inverse_temperatures: Any) -> Problem:
        ladder = right(problem, inverse_temperatures)
        ladder.labels.copy_(problem.labels.repeat_interleave(len(inverse_temperatures), dim=0))
        return ladder

    monkeypatch.setattr(noise_ladder, "regenerated", kept)
    problem = problem_of(instances=3 * INSTANCES)
    result = information(nm.Posterior(problem, "fp32", "cpu"), "immse", seed=1, nodes=5, warmup=30, draws=60)
    assert abs(z_scores(result, problem)[0]) > MOST_Z


def test_predictions_of_other_labels_break_the_chain_rule(monkeypatch: pytest.MonkeyPatch):
    """Negative control: the training labels were made with twice the noise that the likelihood assumes."""
    problem = problem_of()
    latent = problem.known_teacher().latent
    noisy = nm.Problem(
        problem.network,
        problem.channel,
        problem.inputs,
        latent + 2 * (problem.labels - latent),
        test_inputs=problem.test_inputs,
        teacher=problem.teacher,
    )
    result = information(nm.Posterior(noisy, "fp32", "cpu"), "chain_rule", seed=1, **SETTINGS["chain_rule"])
    assert abs(z_scores(result)[0]) > MOST_Z


def of_channel(channel: Channel, seed: int) -> Problem:
    return nm.matched_teacher(nm.Network(2, ()), channel, SAMPLES, 200, seed=seed, test_samples=40)


@cache
def information_on_a_grid(channel: Channel) -> np.ndarray:
    """log p(y | theta*) - log p(y) a sample of other data sets of the same law, [instances]."""
    problem = of_channel(channel, seed=9)
    evidence = [GridPosterior.of(problem, place).log_evidence for place in range(len(problem.instances))]
    likelihood = channel.log_likelihood(problem.labels.numpy(), problem.known_teacher().latent.numpy()).sum(-1)
    return (likelihood - np.array(evidence)) / SAMPLES


@pytest.mark.parametrize(
    ("channel", "drawn_by", "right"),
    [
        (nm.ProbitChannel(0.3), nm.ProbitChannel(0.3), True),
        (nm.ProbitChannel(0.3), nm.ProbitChannel(3.0), False),
        (nm.OutputChannel("relu", 0.2), nm.OutputChannel("relu", 0.2), True),
    ],
    ids=["probit", "probit with labels of another", "relu"],
)
def test_the_chain_rule_holds_for_every_channel(channel: Channel, drawn_by: Channel, right: bool):
    """Every number of samples is a node. Negative control: training labels of more noise than the likelihood says."""
    problem, exact = replace(of_channel(drawn_by, seed=6), channel=channel), information_on_a_grid(channel)
    settings: dict[str, Any] = {"nodes": SAMPLES, "warmup": 20, "draws": 40, "seed": 1}
    result = information(nm.Posterior(problem, "fp64", "cpu"), "chain_rule", **settings)
    assert result.controlled is None and result.evidence is None
    found, error = result.mutual_information.middle, exact.std() / len(exact) ** 0.5
    z = (found.value - exact.mean()) / np.hypot(found.standard_error, error)
    assert (abs(z) < MOST_Z) == right, z


def test_every_number_of_samples_can_be_a_node():
    """With as many nodes as samples the sum is complete, the prior's predictions its first term."""
    problem = problem_of("erf", instances=3)
    result = information(problem, "chain_rule", nodes=99, warmup=5, draws=10, seed=1)
    assert result.integrand is not None
    assert result.integrand.nodes.tolist() == list(range(SAMPLES))
    assert result.integrand.values[0] > result.integrand.values[-1] > 0


def test_deep_networks_agree_between_methods():
    network = nm.Network(5, (5, 4), "tanh")
    problem = nm.matched_teacher(network, nm.GaussianChannel(0.2), 8, 40, seed=3, test_samples=30)
    methods = ("collapsed", "immse", "chain_rule")
    results = [information(problem, method, seed=1, **SETTINGS[method]) for method in methods]
    first, *others = [result.best.middle for result in results]
    for one in others:
        assert abs(one.value - first.value) < MOST_Z * np.hypot(one.standard_error, first.standard_error)


def test_an_instance_is_the_same_alone_and_in_company():
    found = []
    for chosen in ((0, 1, 2), (1,)):
        network = nm.Network(DIM, (DIM,), "erf")
        problem = nm.matched_teacher(network, nm.GaussianChannel(NOISE), SAMPLES, chosen, seed=2, test_samples=20)
        target = nm.Posterior(problem, "fp64", "cpu")
        found.append(information(target, "collapsed", seed=4, control=False, rungs=6))
    together, alone = (result.evidence for result in found)
    assert together is not None and alone is not None
    np.testing.assert_allclose(together.lower[1], alone.lower[0], rtol=1e-9)
    np.testing.assert_allclose(together.upper[1], alone.upper[0], rtol=1e-9)
    assert (found[0].controlled, found[0].divergence, found[0].reference) == (None, None, None)


def test_a_readout_that_is_not_gaussian_cannot_be_collapsed():
    fixed = nm.matched_teacher(nm.Network(3, (3,), "erf", "fixed"), nm.GaussianChannel(0.1), 4, 2, test_samples=5)
    with pytest.raises(ValueError, match="not Gaussian"):
        information(fixed, "collapsed", rungs=4)
    for method in ("immse", "chain_rule"):
        result = information(fixed, method, nodes=2, warmup=2, draws=8)
        assert np.isfinite(result.mutual_information.midpoint)
