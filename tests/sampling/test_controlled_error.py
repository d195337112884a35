"""The Bayes error against the wide network: the same number as the plain estimate, with a smaller error bar."""

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


def test_it_agrees_with_the_plain_estimate_and_is_sharper(run: nm.Run):
    controlled, plain = nm.controlled_bayes_error(run), run.estimates["bayes_error"]
    error = math.hypot(plain.standard_error, controlled.bayes_error.standard_error)
    assert abs(plain.value - controlled.bayes_error.value) < 3 * error
    assert controlled.bayes_error.standard_error < plain.standard_error / 2
    assert controlled.distance.value < 0.03 * controlled.kernel_error.value + 3 * controlled.distance.standard_error
    assert controlled.bayes_error.value == pytest.approx(controlled.kernel_error.value - controlled.distance.value)


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
        nm.controlled_bayes_error(alone)
    own = nm.Problem(problem.network, problem.channel, problem.inputs, problem.labels, test_inputs=problem.test_inputs)
    with pytest.raises(ValueError, match="no posterior of a matched teacher"):
        nm.controlled_bayes_error(nm.sample(nm.Posterior(own, "fp32", "cpu"), sampler, start="prior", **settings))
