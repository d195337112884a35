"""A chain's draws depend on (seed, point, instance, chain) and the calibration, not on its company."""

import numpy as np
import pytest
import torch

import nishimori as nm
from nishimori.adaptation.calibration import CalibrationRecord
from nishimori.chains.progress import silent
from nishimori.sampling import Run

CHANNEL = nm.GaussianChannel(0.1)
NETWORK, SAMPLES = nm.Network(100, (100, 100), "tanh"), 200
AWKWARD, AWKWARD_SAMPLES = nm.Network(33, (32, 40), "tanh"), 48
RECORD = CalibrationRecord(instances=(0, 1, 2, 3), step_size=(0.06, 0.08, 0.1, 0.07), num_steps=5)


def run(
    instances,
    chains: int,
    only=None,
    precision="fp32",
    integrator="leapfrog",
    seed=3,
    network=AWKWARD,
    samples=AWKWARD_SAMPLES,
) -> Run:
    problem = nm.matched_teacher(network, CHANNEL, samples, instances, seed=seed, test_samples=40, point="p")
    return nm.sample(
        nm.Posterior(problem, precision, "cpu"),
        nm.HMC(integrator),
        chains=chains,
        start="prior",
        warmup=3,
        draws=8,
        seed=seed,
        point="p",
        calibration=RECORD,
        only_chains=only,
        progress=silent,
    )


def alone_and_in_company(precision, integrator, network, samples):
    """For each observable: chain 3 of instance 2 alone, and among 4 instances x 4 chains and 2 x 7."""
    arguments = {"precision": precision, "integrator": integrator, "network": network, "samples": samples}
    alone = run([2], 4, (3,), **arguments)
    few, more = run(4, 4, None, **arguments), run([3, 2], 7, None, **arguments)
    assert "bayes_error" not in alone.draws and "bayes_error" in few.draws
    np.testing.assert_array_equal(alone.record.statistics["num_steps"], few.record.statistics["num_steps"])
    for kind in ("draws", "warmup", "statistics"):
        for name, values in getattr(alone.record, kind).items():
            if name == "num_steps":
                continue
            assert values.shape[:2] == (1, 1) and np.isfinite(values).all()
            company = [getattr(few.record, kind)[name][2, 3], getattr(more.record, kind)[name][1, 3]]
            yield name, values[0, 0], company


@pytest.mark.parametrize("precision", ["fp32", "fp64"])
@pytest.mark.parametrize("integrator", ["leapfrog", "rotation"])
@pytest.mark.parametrize(("network", "samples"), [(NETWORK, SAMPLES), (AWKWARD, AWKWARD_SAMPLES)], ids=["even", "odd"])
def test_a_chain_draws_the_same_bits_alone_and_in_company(network, samples, integrator, precision):
    for name, values, company in alone_and_in_company(precision, integrator, network, samples):
        for other in company:
            np.testing.assert_array_equal(values, other, err_msg=name)


def test_other_seeds_chains_and_instances_differ():
    """What the test above could not see if it compared a constant."""
    first, second = run(4, 4), run(4, 4, seed=4)
    values = first.draws["gibbs_error"]
    assert (np.ptp(values, axis=-1) > 0).all()
    assert not np.isclose(values, second.draws["gibbs_error"]).any()
    assert len(np.unique(values[:, :, 0])) == values[:, :, 0].size
    again = run(4, 4)
    for name, expected in first.draws.items():
        np.testing.assert_array_equal(again.draws[name], expected)


def problem_of(instances, samples: int = 6, seed: int = 0, point: str = "", test_samples: int = 5) -> nm.Problem:
    network = nm.Network(5, (4, 3))
    return nm.matched_teacher(network, CHANNEL, samples, instances, seed, test_samples, point)


def parts(problem: nm.Problem) -> dict[str, torch.Tensor]:
    teacher = problem.known_teacher()
    return {
        "weights": teacher.weights.to_edge(),
        "inputs": problem.inputs,
        "labels": problem.labels,
        "latent": teacher.latent,
        "test_inputs": teacher.test_inputs,
        "test_latent": teacher.test_latent,
    }


def test_an_instance_does_not_depend_on_the_others():
    many, one = parts(problem_of(5)), parts(problem_of([3]))
    for name, values in many.items():
        assert torch.equal(values[3:4], one[name]), name


@pytest.mark.parametrize(("samples", "test_samples"), [(11, 9), (600, 257)])
def test_more_samples_extend_fewer(samples, test_samples):
    short, long = parts(problem_of(3)), parts(problem_of(3, samples=samples, test_samples=test_samples))
    assert torch.equal(short["weights"], long["weights"])
    for name, count in (("inputs", 6), ("labels", 6), ("latent", 6), ("test_inputs", 5), ("test_latent", 5)):
        assert torch.equal(short[name], long[name][:, :count]), name


@pytest.mark.parametrize("change", [{"seed": 1}, {"point": "other"}])
def test_another_seed_or_point_draws_everything_anew(change):
    first, second = parts(problem_of(3)), parts(problem_of(3, **change))
    for name, values in first.items():
        assert not torch.isclose(values, second[name], rtol=1e-6, atol=0).any(), name


def test_the_parts_of_a_problem_are_independent_draws():
    problem = problem_of(2, samples=5)
    assert not torch.isclose(problem.inputs, problem.known_teacher().test_inputs).any()
    noise = problem.labels - problem.known_teacher().latent
    assert not torch.isclose(noise[0] / CHANNEL.noise_variance**0.5, problem.inputs[0, :, 0]).any()


@pytest.mark.parametrize("sizes", [{"samples": 0}, {"test_samples": 0}, {"instances": []}])
def test_empty_problems_are_refused(sizes):
    with pytest.raises(ValueError, match="must be at least 1, got 0"):
        problem_of(**({"instances": 1} | sizes))
