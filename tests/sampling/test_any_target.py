"""`nm.sample` on densities, modules and networks: shapes, observables, kept positions, predictions, refusals."""

import math

import numpy as np
import pytest
import torch

import nishimori as nm
from nishimori.chains.progress import silent
from nishimori.description.errors import BadInput
from nishimori.samplers.base import Sampler
from nishimori.sampling import auto
from nishimori.sampling.auto import CANDIDATES


def gaussian(dim: int = 3, scale: float = 1.0, **options) -> nm.DensityTarget:
    return nm.DensityTarget(lambda x: -(x / scale).square().sum(-1) / 2, dim, device="cpu", **options)


def small_problem(**options) -> nm.Problem:
    network = nm.Network(5, (4,), "tanh", **options)
    return nm.matched_teacher(network, nm.GaussianChannel(0.2), 9, instances=3, test_samples=6)


def quick(target, sampler: Sampler | None = None, **options):
    defaults = {"chains": 4, "warmup": 5, "draws": 12, "progress": silent}
    return nm.sample(target, sampler or nm.HMC(step_size=0.3, num_steps=2), **(defaults | options))


def test_a_density_has_no_instance_axis():
    run = quick(
        gaussian(),
        observables={"norm": lambda x: x.norm(dim=-1), "pair": lambda x: x[:, :2]},
        keep="position",
    )
    assert run.draws["position"].shape == (4, 12, 3)
    assert run.draws["norm"].shape == run.draws["log_density"].shape == (4, 12)
    assert run.draws["pair"].shape == (4, 12, 2)
    np.testing.assert_array_equal(run.draws["pair"], run.draws["position"][..., :2])
    np.testing.assert_allclose(run.draws["norm"], np.linalg.norm(run.draws["position"], axis=-1))
    assert run.statistics["acceptance"].shape == (4, 17)
    assert {"norm", "pair[0]", "pair[1]", "position[2]", "log_density"} <= run.estimates.keys()


def test_a_posterior_keeps_its_instance_axis_and_its_checks():
    run = quick(
        nm.Posterior(small_problem(), "fp64", "cpu"),
        chains=2,
        observables={"first": lambda weights: weights[..., 0]},
        keep="position",
    )
    assert run.draws["position"].shape == (3, 4, 12, 24)  # two starts at the teacher and two from the prior
    assert run.draws["first"].shape == (3, 4, 12)
    assert run.draws["bayes_error"].shape == (3, 2, 12)
    assert {"first", "bayes_error", "generalization_error"} <= run.estimates.keys()
    assert {"train_energy", "virial", "teacher_replica"} <= {check.name for check in run.checks}


def test_nothing_that_grows_with_the_network_is_kept_unless_asked_for():
    run = quick(nm.Posterior(small_problem(), "fp64", "cpu"))
    assert all(values.ndim == 3 for values in run.draws.values())


def test_the_observables_of_a_collapsed_posterior_see_all_weights():
    problem = small_problem()
    run = quick(
        nm.CollapsedPosterior(problem, "fp64", "cpu"),
        observables={"readout": lambda weights: weights[..., 20:]},
        keep="position",
    )
    assert run.draws["position"].shape == (3, 8, 12, 24)
    np.testing.assert_array_equal(run.draws["readout"], run.draws["position"][..., 20:])
    assert {"rao_blackwell_gibbs_error", "bayes_error", "layer_norm_2"} <= run.draws.keys() | run.estimates.keys()


def test_observables_are_averaged_over_many_readouts_of_the_same_hidden_layers():
    """The mean over many readouts comes close to that over all, which is known: fifty times closer than one readout."""

    def sampled(readouts: int) -> dict[str, np.ndarray]:
        return quick(nm.CollapsedPosterior(small_problem(), "fp64", "cpu", readouts=readouts), keep="position").draws

    def distance(draws: dict[str, np.ndarray]) -> float:
        return float(np.square(draws["gibbs_error"] - draws["rao_blackwell_gibbs_error"]).mean())

    one, many = sampled(1), sampled(500)
    np.testing.assert_array_equal(one["position"][..., :20], many["position"][..., :20])
    assert distance(many) < distance(one) / 50
    with pytest.raises(ValueError, match="readouts must be a whole number from 1 on, got 0"):
        nm.CollapsedPosterior(small_problem(), readouts=0)


def test_own_data_has_no_teacher_and_says_so():
    generator = torch.Generator().manual_seed(0)
    inputs, labels = torch.randn(9, 5, generator=generator), torch.randn(9, generator=generator)
    problem = nm.Problem(nm.Network(5, (4,)), nm.GaussianChannel(0.2), inputs, labels)
    run = quick(nm.Posterior(problem, "fp64", "cpu"))
    assert {"training_energy", "layer_norm_1", "layer_norm_2", "virial"} == run.draws.keys()
    assert [check.name for check in run.checks] == ["virial"]
    assert set(run.plan.starts) == {"prior"}
    with pytest.raises(ValueError, match="no teacher"):
        quick(nm.Posterior(problem, "fp64", "cpu"), start="both")


def test_a_problem_alone_lets_calibration_choose():
    run = nm.sample(small_problem(), chains=1, warmup=3, draws=10, progress=silent)
    (chosen,) = [choice for choice in run.calibration.choices if choice.chosen]
    assert {(c.target, c.integrator) for c in run.calibration.choices} == set(CANDIDATES)
    assert chosen.per_second == max(choice.per_second for choice in run.calibration.choices)
    assert isinstance(run.target, nm.CollapsedPosterior if chosen.target == "collapsed" else nm.Posterior)
    again = nm.sample(small_problem(), chains=1, warmup=3, draws=10, progress=silent, calibration=run.calibration)
    for name, values in run.draws.items():
        np.testing.assert_array_equal(values, again.draws[name])


def test_a_fixed_readout_is_never_collapsed():
    run = nm.sample(small_problem(readout="fixed"), chains=1, warmup=3, draws=10, progress=silent)
    assert {choice.target for choice in run.calibration.choices} == {"plain"}
    assert "layer_norm_1" in run.draws and "layer_norm_2" not in run.draws


def test_prediction_averages_the_network_over_kept_positions():
    problem = small_problem()
    run = quick(nm.Posterior(problem, "fp64", "cpu"), keep="position")
    assert problem.test_inputs is not None
    x = problem.test_inputs[0, :4]
    prediction = run.predict(x)
    weights = torch.as_tensor(run.draws["position"])
    first, readout = weights[..., :20].unflatten(-1, (4, 5)), weights[..., 20:]
    hidden = torch.tanh(first @ x.T / math.sqrt(5))
    outputs = (readout.unsqueeze(-2) @ hidden).squeeze(-2) / math.sqrt(4)  # [instances, chains, draws, rows]
    np.testing.assert_allclose(prediction.mean, outputs.mean((1, 2)), atol=1e-12)
    np.testing.assert_allclose(prediction.latent_variance, outputs.var((1, 2), correction=0), atol=1e-12)
    np.testing.assert_allclose(prediction.variance, prediction.latent_variance + 0.2)


def test_prediction_needs_positions_and_something_that_predicts():
    run = quick(nm.Posterior(small_problem(), "fp64", "cpu"))
    with pytest.raises(ValueError, match='keep="position"'):
        run.predict(np.zeros((2, 5)))
    with pytest.raises(ValueError, match=r"give \[rows, 5\]"):
        run.predict(np.zeros((2, 4)))
    with pytest.raises(ValueError, match="a density predicts nothing"):
        quick(gaussian(), keep="position").predict(np.zeros((2, 3)))


def test_the_prediction_of_a_module():
    module = torch.nn.Linear(2, 3)
    likelihood = nm.GaussianLikelihood(
        torch.randn(4, 2, generator=torch.Generator().manual_seed(0)), torch.ones(4, 3), 1.0
    )
    run = quick(nm.ModuleTarget(module, likelihood, precision="fp64", device="cpu"), keep="position")
    x = torch.tensor([[1.0, 2.0]])
    weights = run.draws["position"]
    outputs = weights[..., :6].reshape(4, 12, 3, 2) @ x[0].numpy() + weights[..., 6:]
    np.testing.assert_allclose(run.predict(x).mean, outputs.mean((0, 1))[None], atol=1e-12)


def test_the_datatree_has_chain_and_draw_first():
    tree = quick(gaussian(), keep="position").to_datatree()
    assert tree["posterior"]["position"].dims == ("chain", "draw", "position_dim_0")
    assert tree["sample_stats"]["diverging"].dims == ("chain", "draw")
    tree = quick(nm.Posterior(small_problem(), "fp64", "cpu"), chains=1).to_datatree()
    assert tree["posterior"]["overlap"].dims == ("chain", "draw", "instance")
    assert tree["pairs"]["bayes_error"].sizes == {"pair": 1, "draw": 12, "instance": 3}
    assert tree["constant_data"]["start"].to_numpy().tolist() == ["teacher", "prior"]


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda x: x.sum(), "returned shape \\(\\)"),
        (lambda x: x[:2, 0], "returned shape \\(2,\\)"),
        (lambda x: x.unsqueeze(-1) * torch.ones(2), "one axis more for a vector"),
        (lambda x: 3.0, "return a torch tensor"),
    ],
)
def test_an_observable_of_the_wrong_shape_is_refused(function, words):
    with pytest.raises(ValueError, match=words):
        quick(gaussian(), observables={"mine": function})


@pytest.mark.parametrize("name", ["log_density", "virial", "position"])
def test_an_observable_may_not_take_the_name_of_ours(name):
    with pytest.raises(ValueError, match="give yours another name"):
        quick(gaussian(), observables={name: lambda x: x[:, 0]})


def test_keep_is_one_of_two():
    with pytest.raises(ValueError, match="keep must be"):
        quick(gaussian(), keep="weights")


@pytest.mark.parametrize("sampler", [nm.HMC(step_size=0.1, num_steps=2), nm.HMC()], ids=["fixed", "calibrated"])
def test_a_density_that_is_not_finite_at_a_start_is_named(sampler):
    target = nm.DensityTarget(lambda x: torch.log(x[:, 0]) - x.sum(-1), 2, initial=-torch.ones(2), device="cpu")
    with pytest.raises(BadInput, match=r"not finite at the start of chain 0 of instance 0; start elsewhere"):
        quick(target, sampler)


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_calibration_finds_the_scale_of_a_density(scale):
    """Whatever its units: the step is a fixed fraction of the standard deviation, and the law is right."""
    start = gaussian(10, scale, initial=torch.full((10,), 3 * scale))
    run = nm.sample(start, nm.HMC(), chains=8, warmup=20, draws=100, keep="position", progress=silent)
    assert 0.2 < run.calibration.step_size[0] / scale < 2
    assert 0.6 < run.acceptance < 0.95
    assert not run.calibration.alarms
    variance = run.draws["position"].var() / scale**2
    assert abs(variance - 1) < 4 * math.sqrt(2 / (10 * 8 * 100 / 3))


def test_a_gradient_that_lies_raises_an_alarm_and_fails_the_verdict():
    """Autograd sees the clamp's flat side: every step is rejected, and calibration says so."""

    def cliff(x):
        return -1e12 * (x - x.detach() + torch.floor(x * 1e6)).square().sum(-1)

    run = quick(nm.DensityTarget(cliff, 2, device="cpu"), nm.HMC(num_steps=2))
    assert run.calibration.alarms
    assert any("calibration:" in failure for failure in run.verdict.failures)


def test_a_candidate_too_slow_to_win_is_not_tried_and_says_so(monkeypatch):
    """Readouts of a wide network on many samples: one factorisation costs more than the plain posterior's draws."""
    monkeypatch.setattr(auto, "seconds_per_gradient", lambda targets, chains: {"plain": 1e-4, "collapsed": 1.0})
    run = nm.sample(small_problem(), chains=1, warmup=3, draws=10, progress=silent)
    (skipped,) = [choice for choice in run.calibration.choices if choice.target == "collapsed"]
    assert not skipped.chosen and skipped.per_gradient == 0
    assert skipped.reason.startswith("not tried")
