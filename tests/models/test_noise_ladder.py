"""One problem at several noise variances, and labels of fresh inputs."""

import numpy as np
import pytest
import torch

import nishimori as nm
from nishimori.models.fresh_labels import first_samples, fresh_labels
from nishimori.models.noise_ladder import NoiseLadder
from nishimori.models.problem import Problem
from nishimori.models.randomness import Randomness

RUNGS = (0.2, 0.7, 1.0)
NOISE = 0.3


def problem() -> Problem:
    network = nm.Network(4, (3,), "erf")
    return nm.matched_teacher(network, nm.GaussianChannel(NOISE), 6, (2, 5), seed=1, test_samples=7)


def rung_of(which: int, rung: float) -> Problem:
    """Instance number `which` alone, its labels written out at this noise variance."""
    whole = problem()
    latent = whole.known_teacher().latent[which]
    labels = latent + (whole.labels[which] - latent) / rung**0.5
    return nm.Problem(whole.network, nm.GaussianChannel(NOISE / rung), whole.inputs[which], labels)


@pytest.mark.parametrize("precision", ["fp32", "fp64"])
def test_every_rung_is_the_posterior_at_its_noise(precision: str):
    """Energies and gradients against posteriors built one by one."""
    ladder = NoiseLadder(nm.Posterior(problem(), precision, "cpu"), RUNGS)
    position = ladder.initial_position(2, "prior", 3)
    energy, gradient = ladder.energy_and_gradient(position)
    assert torch.equal(energy, ladder.energy(position))
    assert torch.equal(gradient.flat, ladder.gradient(position).flat)
    relative, absolute = (3e-5, 1e-4) if precision == "fp32" else (1e-10, 1e-10)
    for place in range(len(ladder.instances)):
        which, rung = divmod(place, len(RUNGS))
        alone = nm.Posterior(rung_of(which, RUNGS[rung]), precision, "cpu")
        own = alone.layout(2).from_edge(position.to_edge()[place : place + 1])
        torch.testing.assert_close(energy[place], alone.energy(own)[0], rtol=relative, atol=absolute)
        torch.testing.assert_close(
            gradient.to_edge()[place], alone.gradient(own).to_edge()[0], rtol=relative, atol=absolute
        )


def test_the_teacher_is_the_same_at_every_rung_and_the_last_has_the_labels_given():
    whole = problem()
    ladder = NoiseLadder(nm.Posterior(whole, "fp64", "cpu"), RUNGS)
    assert ladder.instances == (6, 7, 8, 15, 16, 17)
    start = ladder.initial_position(1, "teacher", 0).to_edge().view(2, 3, -1)
    for rung in range(3):
        assert torch.equal(start[:, rung], whole.known_teacher().weights.to_edge()[:, 0])
    torch.testing.assert_close(ladder.problem.labels[2::3], whole.labels, rtol=0, atol=1e-15)


def test_a_problem_without_a_teacher_has_no_ladder():
    own = nm.Problem(nm.Network(2, (2,)), nm.GaussianChannel(0.1), np.ones((3, 2)), np.ones(3))
    with pytest.raises(ValueError, match="no teacher"):
        NoiseLadder(nm.Posterior(own, "fp64", "cpu"), RUNGS)


def test_the_first_samples_are_those_of_a_smaller_problem():
    network = nm.Network(4, (3,), "erf")
    smaller = nm.matched_teacher(network, nm.GaussianChannel(NOISE), 2, (2, 5), seed=1, test_samples=7)
    first = first_samples(problem(), 2)
    assert torch.equal(first.labels, smaller.labels) and torch.equal(first.inputs, smaller.inputs)
    assert first.instances == smaller.instances
    assert first.test_inputs is not None and torch.equal(first.test_inputs, smaller.rows("test"))


def test_fresh_labels_depend_on_the_instance_alone():
    whole = problem()
    both = fresh_labels(whole, Randomness.of(4, "", whole.instances, (0,)))
    alone = nm.matched_teacher(whole.network, whole.channel, 6, (5,), seed=1, test_samples=7)
    assert torch.equal(both[1:], fresh_labels(alone, Randomness.of(4, "", (5,), (0,))))
    assert not torch.equal(both, fresh_labels(whole, Randomness.of(5, "", whole.instances, (0,))))


def test_fresh_labels_follow_the_law_of_the_channel():
    """From the same normal numbers."""
    gaussian, probit = (
        nm.matched_teacher(problem().network, channel, 6, (2, 5), seed=1, test_samples=7)
        for channel in (nm.GaussianChannel(NOISE), nm.ProbitChannel(NOISE))
    )
    real, classes = (fresh_labels(one, Randomness.of(4, "", (2, 5), (0,))) for one in (gaussian, probit))
    assert torch.equal(real.sign(), classes)
