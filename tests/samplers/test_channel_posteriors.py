"""Posteriors of the linear network under every channel, against sums over a grid, in Monte Carlo standard errors."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from linear_channels import GridPosterior
from sampler_settings import ADJUSTED
from targets import states

import nishimori as nm
from nishimori.chains.progress import silent
from nishimori.description import Channel

CHANNELS = [
    nm.ProbitChannel(0.3),
    nm.LogisticChannel(0.4),
    nm.OutputChannel("tanh", 0.2),
    nm.OutputChannel("relu", 0.2),
]
MOST_Z = 4.0
SAMPLES, INSTANCES = 8, 3


def problem_of(channel: Channel) -> nm.Problem:
    return nm.matched_teacher(nm.Network(2, ()), channel, SAMPLES, INSTANCES, seed=4, test_samples=400)


def deviations(problem: nm.Problem, sampled: Channel, precision: str = "fp64") -> torch.Tensor:
    """Of posterior means of w_1, w_2, |w|^2 and w_1 w_2, [instances, 4], in standard errors over chains."""
    posterior = nm.Posterior(replace(problem, channel=sampled), precision, "cpu")
    setting = replace(ADJUSTED["leapfrog"], chains=64, draws=100)
    kernel = setting.kernel(posterior, setting.chains)
    state = kernel.init(posterior.initial_position(setting.chains, "prior", seed=1))
    chains = torch.stack(
        [moments(moved.position.blocks[0].double()) for moved in states(kernel, state, setting.warmup, setting.draws)]
    ).mean(0)
    error = (chains.var(1) / setting.chains).sqrt()
    exact = []
    for place in range(INSTANCES):
        grid = GridPosterior.of(problem, place)
        exact.append(grid.mean(moments(torch.from_numpy(grid.weights)).numpy()))
    return (chains.mean(1) - torch.tensor(np.stack(exact))) / error


def moments(weights: torch.Tensor) -> torch.Tensor:
    products = torch.stack([weights.square().sum(-1), weights.prod(-1)], -1)
    return torch.cat([weights, products], -1)


@pytest.mark.parametrize("precision", ["fp64", "fp32"])
@pytest.mark.parametrize("channel", CHANNELS, ids=str)
def test_moments_of_the_weights(channel: Channel, precision: str) -> None:
    assert float(deviations(problem_of(channel), channel, precision).abs().max()) < MOST_Z


@pytest.mark.parametrize(
    ("channel", "other"),
    [(CHANNELS[0], nm.ProbitChannel(0.4)), (CHANNELS[1], nm.LogisticChannel(0.5)), (CHANNELS[2], CHANNELS[3])],
    ids=str,
)
def test_another_channel_is_noticed(channel: Channel, other: Channel) -> None:
    """Negative control."""
    assert float(deviations(problem_of(channel), other).abs().max()) > 1.5 * MOST_Z


@pytest.mark.parametrize("channel", CHANNELS, ids=str)
def test_errors_of_predicted_labels(channel: Channel) -> None:
    """Of every instance, on its own test inputs, whose label noise is averaged over: the exact predictive law."""
    problem, teacher = problem_of(channel), problem_of(channel).known_teacher()
    target = nm.Posterior(problem, "fp64", "cpu")
    run = nm.sample(
        target, nm.HMC(step_size=0.3, num_steps=5), chains=8, draws=300, warmup=30, start="prior", progress=silent
    )
    expected = {"generalization_error": [], "classification_error": [], "bayes_error": []}
    for place in range(INSTANCES):
        grid, star = GridPosterior.of(problem, place), teacher.test_latent[place]
        latent = grid.latent(teacher.test_inputs[place].numpy())
        mean = grid.mean(target.law.mean(torch.from_numpy(latent)).numpy())
        truth, noise = target.law.mean(star).numpy(), target.law.variance(star).numpy()
        expected["bayes_error"].append(np.mean((grid.mean(latent) - star.numpy()) ** 2))
        expected["generalization_error"].append(np.mean((mean - truth) ** 2 + noise))
        expected["classification_error"].append(np.mean((1 - np.sign(mean) * truth) / 2))
    for name, values in expected.items():
        if name == "classification_error" and not target.law.classes:
            assert name not in run.estimates
            continue
        error = run.estimates[name].monte_carlo_variance ** 0.5
        assert abs(run.estimates[name].value - np.mean(values)) < MOST_Z * error + 1e-12, name
        assert error < 0.01


@pytest.mark.parametrize("channel", CHANNELS[1:3], ids=str)
def test_bounds_bracket_the_evidence(channel: Channel) -> None:
    problem = nm.matched_teacher(nm.Network(2, ()), channel, SAMPLES, 24, seed=6, test_samples=1)
    told = nm.information(nm.Posterior(problem, "fp64", "cpu"), rungs=60, chains=8, progress=silent)
    assert told.evidence is not None and told.controlled is None
    exact = np.array([GridPosterior.of(problem, place).log_evidence for place in range(24)])
    for difference in (exact - told.evidence.lower, told.evidence.upper - exact):
        assert difference.mean() > -3 * difference.std(ddof=1) / 24**0.5
        assert abs(difference.mean()) < 0.1


def test_predictions_at_new_inputs() -> None:
    problem, inputs = problem_of(CHANNELS[1]), np.array([[0.3, -1.0], [2.0, 0.5]])
    run = nm.sample(
        nm.Posterior(problem, "fp64", "cpu"),
        nm.HMC(step_size=0.3, num_steps=5),
        chains=8,
        draws=300,
        start="prior",
        keep="position",
        progress=silent,
    )
    predicted = run.predict(inputs)
    for place in range(INSTANCES):
        grid = GridPosterior.of(problem, place)
        means = grid.mean(np.tanh(grid.latent(inputs) / (2 * 0.4)))
        assert predicted.label_mean[place] == pytest.approx(means, abs=0.05)
    assert predicted.variance == pytest.approx(1 - predicted.label_mean**2)
