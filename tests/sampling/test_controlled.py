"""Bayes error and overlap against the wide network: as the plain estimates, with smaller error bars."""

import math

import numpy as np
import pytest

import nishimori as nm
from nishimori.chains.progress import silent
from nishimori.measurement.kernel_reference import KernelReference


@pytest.fixture(scope="module")
def run() -> nm.Run:
    network = nm.Network(10, (10,), "erf")
    problem = nm.matched_teacher(network, nm.GaussianChannel(0.1), 20, 32, seed=5, test_samples=60)
    target = nm.Posterior(problem, "fp32", "cpu")
    return nm.sample(target, nm.HMC(), chains=1, warmup=80, draws=200, start="both", seed=2, progress=silent)


@pytest.mark.parametrize("data_sets", [0, 64])
@pytest.mark.parametrize("name", ["bayes_error", "overlap"])
def test_they_agree_with_the_plain_estimates_and_are_sharper(run: nm.Run, name: str, data_sets: int):
    controlled, plain = getattr(nm.controlled_errors(run, data_sets), name), run.estimates[name]
    error = math.hypot(plain.standard_error, controlled.estimate.standard_error)
    assert abs(plain.value - controlled.estimate.value) < 3 * error
    assert controlled.estimate.standard_error < plain.standard_error / 2
    assert abs(controlled.distance.value) < 0.03 * controlled.kernel.value + 3 * controlled.distance.standard_error
    sign = -1 if name == "bayes_error" else 1
    assert controlled.estimate.value == pytest.approx(controlled.kernel.value + sign * controlled.distance.value)


def test_more_data_sets_shrink_the_error_bar_of_what_needs_no_sampling(run: nm.Run):
    few, many = (nm.controlled_errors(run, data_sets).bayes_error for data_sets in (0, 200))
    assert many.kernel.standard_error < few.kernel.standard_error / 1.7
    assert abs(many.kernel.value - few.kernel.value) < 3 * few.kernel.standard_error
    assert many.distance == few.distance


def test_the_square_of_one_chain_is_biased_upwards(run: nm.Run):
    """Negative control: a chain with itself; what the estimate then gains is the chains' Monte Carlo variance."""
    target = run.target
    assert isinstance(target, nm.Posterior)
    means = KernelReference(target.problem).wide.predictions().unsqueeze(1)
    (apart, _), (square, _) = (run.predictions.bayes_error(means, pairs) for pairs in ([(0, 1)], [(0, 0), (1, 1)]))
    excess = (square - apart).numpy()
    assert excess.mean() > 5 * excess.std() / np.sqrt(len(excess))


def test_a_run_without_independent_chains_or_teacher_is_refused(run: nm.Run):
    assert isinstance(run.target, nm.Posterior)
    problem = run.target.problem
    settings = {"chains": 1, "warmup": 2, "draws": 2, "progress": silent}
    sampler = nm.HMC(step_size=0.05, num_steps=2)
    alone = nm.sample(run.target, sampler, start="teacher", **settings)
    with pytest.raises(ValueError, match="no two chains that are independent"):
        nm.controlled_errors(alone)
    own = nm.Problem(problem.network, problem.channel, problem.inputs, problem.labels, test_inputs=problem.test_inputs)
    with pytest.raises(ValueError, match="no posterior of a matched teacher"):
        nm.controlled_errors(nm.sample(nm.Posterior(own, "fp32", "cpu"), sampler, start="prior", **settings))
