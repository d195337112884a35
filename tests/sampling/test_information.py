"""The evidence between two bounds: on linear networks, whose evidence is one integral, and where a bound must break."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

import nishimori as nm
from nishimori.adaptation.annealed_steps import interpolated, pilot_step_sizes, smoothed
from nishimori.chains.progress import silent
from nishimori.exactness.linear_network_posterior import LinearNetworkPosterior
from nishimori.measurement.evidence import EvidenceBounds
from nishimori.measurement.information import Information
from nishimori.models.problem import Problem
from nishimori.models.randomness import Randomness
from nishimori.samplers import annealed_importance, transitions
from nishimori.samplers.annealed_importance import LogWeights, both_ends, ladder_of, log_weights, stiffness_of
from nishimori.samplers.base import Info
from nishimori.samplers.checkpoint import Unkept
from nishimori_kernels.rng.streams import Stream

INSTANCES, CHAINS, SAMPLES, NOISE = 24, 32, 8, 0.5
MOST_Z = 3.0
STIFFNESS = stiffness_of(NOISE)
LARGER = 1.5
"""Times the step size that suits the Metropolis test."""
ALONE = Unkept(lambda *told: None)
information = partial(nm.information, progress=silent)


def problem_of(
    activation: str,
    dim: int = 5,
    samples: int = SAMPLES,
    noise: float = NOISE,
    instances: int | tuple[int, ...] = INSTANCES,
) -> Problem:
    network = nm.Network(dim, (dim,), activation)
    return nm.matched_teacher(network, nm.GaussianChannel(noise), samples, instances, seed=2, test_samples=20)


def exact_log_evidence(problem: Problem) -> np.ndarray:
    places = range(len(problem.instances))
    return np.array([LinearNetworkPosterior.of(problem, place).log_evidence for place in places])


def bounds_of(result: Information) -> EvidenceBounds:
    assert result.evidence is not None
    return result.evidence


def z_of(values: np.ndarray) -> float:
    return float(values.mean() / (values.std(ddof=1) / len(values) ** 0.5))


@pytest.fixture(scope="module")
def linear() -> nm.Posterior:
    return nm.Posterior(problem_of("identity"), "fp64", "cpu")


@pytest.fixture(scope="module")
def steps(linear: nm.Posterior) -> torch.Tensor:
    return pilot_step_sizes(linear, 40, STIFFNESS, 5, "", ALONE)


@pytest.fixture(scope="module")
def exact(linear: nm.Posterior) -> np.ndarray:
    """log E_prior exp(-Phi) by instance."""
    return exact_log_evidence(linear.problem) + SAMPLES / 2 * np.log(2 * np.pi * NOISE)


def weights_of(target: nm.Posterior, steps: torch.Tensor, reverse: str = "teacher") -> LogWeights:
    randomness = Randomness.of(5, "", target.instances, range(2 * CHAINS))
    start = both_ends(target, randomness)
    if reverse == "prior":
        randomness.fill_normals(start, Stream.PRIOR_START, 0)
    return log_weights(target, start, ladder_of(len(steps) - 1, STIFFNESS), steps, randomness, ALONE)


def sides(weights: LogWeights, exact: np.ndarray) -> tuple[float, float]:
    """How many standard errors log Z lies above the lower bound, and the upper one above log Z."""
    lower, upper = weights.forward.mean(1).numpy(), -weights.reverse.mean(1).numpy()
    return z_of(exact - lower), z_of(upper - exact)


def sandwiched(weights: LogWeights, exact: np.ndarray) -> bool:
    return min(sides(weights, exact)) > -MOST_Z


def test_bounds_bracket_the_exact_information_of_linear_networks():
    """Within 3 standard errors of the differences, instance by instance, and 0.02 nats a sample apart at most."""
    problem = problem_of("identity", dim=10, samples=20, noise=0.1)
    result = information(nm.Posterior(problem, "fp32", "cpu"), rungs=400, chains=2, seed=1)
    exact = exact_log_evidence(problem)
    assert z_of(exact - bounds_of(result).lower) > -3
    assert z_of(bounds_of(result).upper - exact) > -3
    assert abs(result.mutual_information.gap.value) < 0.02
    middle = (bounds_of(result).lower + bounds_of(result).upper) / 2
    assert abs(z_of(middle - exact)) < 3
    assert 0.7 < result.acceptance < 0.97


def test_both_weights_are_unbiased(linear: nm.Posterior, steps: torch.Tensor, exact: np.ndarray):
    """Means over instances of w / Z and of r Z are 1."""
    weights = weights_of(linear, steps)
    for ratio in (weights.forward.numpy() - exact[:, None], weights.reverse.numpy() + exact[:, None]):
        means = np.exp(ratio).mean(1)
        assert abs(z_of(means - 1)) < MOST_Z
        assert means.std() / INSTANCES**0.5 < 0.1


def test_the_bounds_hold_at_any_number_of_rungs(linear: nm.Posterior, exact: np.ndarray):
    """Strictly at few of them."""
    weights = weights_of(linear, pilot_step_sizes(linear, 8, STIFFNESS, 5, "", ALONE))
    assert min(sides(weights, exact)) > 3


def test_energies_of_the_wrong_rung_break_the_sandwich(linear, steps, exact, monkeypatch):
    """Negative control: each end adds the energy difference of the rung before, and the bounds change places."""
    assert sandwiched(weights_of(linear, steps), exact)
    right = annealed_importance.increment
    monkeypatch.setattr(
        annealed_importance, "increment", lambda ladder, rung, energy: right(ladder, max(rung - 1, 0), energy)
    )
    assert max(sides(weights_of(linear, steps), exact)) < -MOST_Z


def test_skipping_the_metropolis_test_breaks_the_sandwich(linear, steps, exact, monkeypatch):
    """Negative control: every proposal taken that does not diverge. Energies rise, and the upper bound falls."""
    assert sandwiched(weights_of(linear, LARGER * steps), exact)
    decide = transitions.decide

    def taken(energy_error: torch.Tensor, uniform: torch.Tensor, num_steps: int) -> Info:
        info = decide(energy_error, uniform, num_steps)
        return replace(info, accepted=~info.divergent)

    monkeypatch.setattr(transitions, "decide", taken)
    assert sides(weights_of(linear, LARGER * steps), exact)[1] < -MOST_Z


def test_a_reverse_start_at_a_prior_draw_breaks_the_sandwich():
    """Negative control, with four times the instances: the start is forgotten within a few rungs."""
    target = nm.Posterior(problem_of("identity", instances=4 * INSTANCES), "fp64", "cpu")
    steps = pilot_step_sizes(target, 40, STIFFNESS, 5, "", ALONE)
    exact = exact_log_evidence(target.problem) + SAMPLES / 2 * np.log(2 * np.pi * NOISE)
    assert sandwiched(weights_of(target, steps), exact)
    assert sides(weights_of(target, steps, reverse="prior"), exact)[1] < -MOST_Z


def test_the_control_variate_agrees_and_shrinks_the_error_bar():
    """Linear networks, where the divergence from the wide network is known; information stays below the wide one's."""
    problem = problem_of("identity", dim=10, samples=20, noise=0.1)
    result = information(nm.Posterior(problem, "fp32", "cpu"), rungs=400, chains=2, seed=1)
    wide, exact = nm.WideNetwork(problem), exact_log_evidence(problem)
    divergence = exact / 20 - wide.log_evidence.numpy()
    assert result.controlled is not None and result.divergence is not None and result.reference is not None
    assert result.divergence.lower.value - 0.003 < divergence.mean() < result.divergence.upper.value + 0.003
    for plain, controlled in (
        (result.mutual_information.lower, result.controlled.lower),
        (result.mutual_information.upper, result.controlled.upper),
    ):
        assert controlled.standard_error < plain.standard_error / 3
        assert abs(plain.value - controlled.value) < 3 * plain.standard_error
    assert result.reference.value == pytest.approx(float(wide.mutual_information.mean()))
    below = result.divergence.upper
    assert below.value > -3 * below.standard_error
    exactly_controlled = wide.mutual_information.numpy() - divergence
    assert result.controlled.midpoint == pytest.approx(exactly_controlled.mean(), abs=0.006)


@pytest.mark.parametrize("activation", ["erf", "tanh"])
def test_deep_networks_are_bracketed_with_and_without_control(activation: str):
    network = nm.Network(8, (8, 6), activation)
    problem = nm.matched_teacher(network, nm.GaussianChannel(0.2), 12, 40, seed=3, test_samples=1)
    result = information(nm.Posterior(problem, "fp32", "cpu"), rungs=150, chains=2, seed=1)
    controlled = result.controlled
    assert controlled is not None and result.divergence is not None
    assert abs(controlled.gap.value) < 0.02
    assert controlled.midpoint == pytest.approx(
        result.mutual_information.midpoint, abs=3 * result.mutual_information.lower.standard_error
    )
    assert controlled.lower.standard_error < result.mutual_information.lower.standard_error / 2
    assert result.divergence.upper.value > -3 * result.divergence.upper.standard_error


def test_without_control_there_is_none(linear: nm.Posterior):
    result = information(linear, rungs=4, control=False)
    assert (result.controlled, result.divergence, result.reference) == (None, None, None)


def test_an_instance_is_the_same_alone_and_in_company():
    problem, alone = (problem_of("erf", instances=chosen) for chosen in ((0, 1, 2), (1,)))
    together, single = (information(nm.Posterior(one, "fp32", "cpu"), rungs=20, seed=4) for one in (problem, alone))
    np.testing.assert_allclose(bounds_of(together).lower[1], bounds_of(single).lower[0], rtol=1e-9)
    np.testing.assert_allclose(bounds_of(together).upper[1], bounds_of(single).upper[0], rtol=1e-9)
    other = information(nm.Posterior(problem, "fp32", "cpu"), rungs=20, seed=5)
    assert abs(bounds_of(other).lower - bounds_of(together).lower).min() > 1e-6


def test_step_sizes_do_not_depend_on_the_teacher(linear: nm.Posterior, steps: torch.Tensor):
    """The same data with another teacher: the law of the reverse chains rests on it."""
    problem = linear.problem
    teacher = problem_of("identity", instances=INSTANCES).known_teacher()
    teacher.weights.flat.mul_(-3)
    other = Problem(problem.network, problem.channel, problem.inputs, problem.labels, teacher=teacher)
    again = pilot_step_sizes(nm.Posterior(other, "fp64", "cpu"), 40, STIFFNESS, 5, "", ALONE)
    torch.testing.assert_close(again, steps, rtol=0, atol=0)


def test_a_table_of_steps_is_smoothed_and_interpolated():
    straight = torch.linspace(0, 3, 61).unsqueeze(1)
    assert torch.allclose(interpolated(straight, 7), torch.linspace(0, 3, 8).unsqueeze(1))
    assert torch.allclose(interpolated(straight, 600), torch.linspace(0, 3, 601).unsqueeze(1))
    assert torch.allclose(smoothed(straight)[4:-4], straight[4:-4])
    assert ladder_of(2, 8.0) == pytest.approx((0.0, 0.25, 1.0))
    assert ladder_of(4, 1e-9) == pytest.approx((0.0, 0.25, 0.5, 0.75, 1.0))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"rungs": 1}, "rungs must be at least 2"),
        ({"chains": 0}, "chains must be at least 1"),
        ({"rungs": 2.5}, "rungs must be a whole number"),
        ({"method": "thermodynamic"}, "method 'thermodynamic' is not known; use ais, collapsed, immse, chain_rule"),
        ({"method": "immse", "rungs": 9}, "rungs does not go with method 'immse'; leave it out, or use nodes"),
        ({"method": "immse", "nodes": 0}, "nodes must be at least 1"),
        ({"nodes": 4}, "nodes does not go with method 'ais'"),
    ],
)
def test_wrong_settings_are_refused_with_a_sentence(linear: nm.Posterior, settings, said: str):
    with pytest.raises(ValueError, match=said):
        information(linear, **settings)


def test_a_problem_without_a_teacher_or_another_target_is_refused():
    problem = nm.Problem(nm.Network(2, (2,)), nm.GaussianChannel(0.1), np.ones((3, 2)), np.ones(3))
    with pytest.raises(ValueError, match="no teacher"):
        information(problem)
    with pytest.raises(ValueError, match="needs a Problem or its Posterior"):
        information(nm.CollapsedPosterior(problem_of("erf"), device="cpu"))  # pyright: ignore[reportArgumentType]
