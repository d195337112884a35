"""Networks with biases, weight variances and an activation a layer: what is drawn, the posterior, and what is
refused."""

import dataclasses
import math

import pytest
import torch
from torch import Tensor

import nishimori as nm
from nishimori.chains.progress import silent
from nishimori.models.forward import variances_of, weights_of
from nishimori.models.layout import Position
from nishimori.models.randomness import Randomness
from nishimori.models.wide_network import kernel_of, variance_of
from nishimori_kernels.energy import reference
from nishimori_kernels.rng.streams import Stream

CHANNEL = nm.GaussianChannel(0.2)
GENERAL = nm.Network(5, (4, 3), ("tanh", "relu"), bias_variance=0.6, weight_variance=(1.7, 0.6, 1.2))
FIXED = nm.Network(5, (4, 3), ("erf", "sin"), "fixed", 0.3, 0.8)
LINEAR = nm.Network(6, bias_variance=0.9, weight_variance=1.4)


def problem_of(network: nm.Network, instances: int = 2, samples: int = 7) -> nm.Problem:
    return nm.matched_teacher(network, CHANNEL, samples, instances, seed=3, test_samples=20)


def by_reference(network: nm.Network, blocks: list[Tensor], inputs: Tensor) -> Tensor:
    return reference.latent(blocks, inputs, [one.name for one in network.activations], variances_of(network))


@pytest.mark.parametrize("network", [GENERAL, FIXED, LINEAR], ids=repr)
def test_energies_and_forces_are_those_of_autodiff(network: nm.Network):
    problem = problem_of(network)
    target = nm.Posterior(problem, "fp64", "cpu")
    position = target.initial_position(3, "prior", 1)
    assert tuple(block.shape[2:] for block in position.blocks) == network.block_shapes
    leaves = [block.clone().requires_grad_() for block in position.blocks]
    residual = by_reference(network, leaves, problem.inputs) - problem.labels.unsqueeze(1)
    energy = residual.square().sum(-1) / 0.4 + sum(leaf.square().flatten(2).sum(-1) for leaf in leaves) / 2
    expected = torch.autograd.grad(energy.sum(), leaves)
    found, gradient = target.energy_and_gradient(position)
    torch.testing.assert_close(found, energy.detach())
    for own, block in zip(expected, gradient.blocks, strict=True):
        torch.testing.assert_close(own, block)
    single = nm.Posterior(problem, "fp32", "cpu").energy(Position(position.flat.float(), position.layout))
    torch.testing.assert_close(single, found, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("network", [GENERAL, FIXED, LINEAR], ids=repr)
def test_the_teacher_is_the_network_at_its_position(network: nm.Network):
    problem = problem_of(network)
    teacher = problem.known_teacher()
    latent = by_reference(network, list(teacher.weights.blocks), problem.inputs).squeeze(1)
    torch.testing.assert_close(teacher.latent, latent)
    target = nm.Posterior(problem, "fp64", "cpu")
    start = target.initial_position(2, "teacher", 0)
    torch.testing.assert_close(target.latent(start, "test")[:, 1], teacher.test_latent)
    edge = start.to_edge()
    assert edge.shape == (2, 2, network.num_parameters)
    assert torch.equal(target.layout(2).from_edge(edge).flat, start.flat)


def test_biases_and_variances_change_neither_the_weights_drawn_nor_the_inputs():
    plain = dataclasses.replace(GENERAL, activation="tanh", bias_variance=0.0, weight_variance=1.0)
    ones, others = (problem_of(network) for network in (plain, GENERAL))
    own = weights_of(GENERAL, others.known_teacher().weights)
    assert all(map(torch.equal, ones.known_teacher().weights.blocks, own))
    assert torch.equal(ones.inputs, others.inputs)


@pytest.mark.parametrize("activations", ["tanh", "relu", "sin"])
def test_one_hidden_layer_of_any_width_has_the_covariance_of_the_wide_network(activations: str):
    """20,000 networks of width 3; and without the biases (the negative control) it does not fit."""
    network = nm.Network(5, (3,), activations, bias_variance=0.6, weight_variance=(1.7, 0.7))
    rows = torch.randn(4, 5, generator=torch.Generator().manual_seed(2))
    problem = nm.Problem(network, CHANNEL, rows, torch.zeros(4))
    target, draws = nm.Posterior(problem, "fp64", "cpu"), 20_000
    latent = target.latent(target.initial_position(draws, "prior", 4))[0]
    products = latent.unsqueeze(-1) * latent.unsqueeze(-2)
    error = products.std(0) / math.sqrt(draws)
    expected = kernel_of(network, rows, rows)
    torch.testing.assert_close(variance_of(network, rows), expected.diagonal(), rtol=0, atol=1e-10)
    assert float(((products.mean(0) - expected) / error).abs().max()) < 4
    other = kernel_of(dataclasses.replace(network, bias_variance=0.0), rows, rows)
    assert float(((products.mean(0) - other) / error).abs().max()) > 8


def test_a_wide_deep_network_has_the_kernel_of_its_layers():
    """Two layers of 500, 48 networks; with the activations exchanged (the negative control) it does not fit."""
    network = nm.Network(5, (500, 500), ("relu", "tanh"), bias_variance=0.4, weight_variance=(3.0, 2.0, 0.9))
    rows = torch.randn(3, 5, generator=torch.Generator().manual_seed(2))
    problem = nm.Problem(network, CHANNEL, rows, torch.zeros(3))
    target = nm.Posterior(problem, "fp64", "cpu")
    hidden = target.network("train", 48).forward_hidden(target.initial_position(48, "prior", 4).blocks)[0]
    found = 0.9 * torch.einsum("cws,cwt->st", hidden, hidden) / (500 * 48) + 0.4
    scale = 0.03 * float(found.diagonal().max())
    assert float((found - kernel_of(network, rows, rows)).abs().max()) < scale
    other = dataclasses.replace(network, activation=("tanh", "relu"))
    assert float((found - kernel_of(other, rows, rows)).abs().max()) > 3 * scale


def regression(problem: nm.Problem) -> tuple[Tensor, Tensor]:
    """Mean and covariance of (a, b) in the linear model with weight variance 1.4 and bias variance 0.9."""
    features = torch.cat([problem.inputs * math.sqrt(1.4 / 6), torch.full((*problem.labels.shape, 1), 0.9**0.5)], -1)
    precision = torch.eye(7) + features.transpose(1, 2) @ features / 0.2
    mean = torch.linalg.solve(precision, features.transpose(1, 2) @ problem.labels.unsqueeze(-1) / 0.2)
    return mean.squeeze(-1), torch.linalg.inv(precision)


def test_the_linear_model_with_a_bias_is_sampled_from_its_gaussian_posterior():
    problem = problem_of(LINEAR, instances=2, samples=9)
    record = nm.CalibrationRecord(problem.instances, (0.25,) * 2, 6)
    run = nm.sample(
        nm.Posterior(problem, "fp64", "cpu"),
        chains=100,
        warmup=60,
        draws=60,
        seed=5,
        start="prior",
        calibration=record,
        keep="position",
        progress=silent,
    )
    draws = torch.from_numpy(run.draws["position"])  # [instances, chains, draws, a and b]
    mean, covariance = regression(problem)
    centred = draws - mean[:, None, None]
    error = centred.mean(2).std(1) / math.sqrt(draws.shape[1])
    assert float((centred.mean((1, 2)) / error).abs().max()) < 4
    products = torch.einsum("icdp,icdq->icpq", centred, centred) / draws.shape[2]
    error = products.std(1) / math.sqrt(draws.shape[1])
    assert float(((products.mean(1) - covariance) / error).abs().max()) < 4.5
    assert float(((products.mean(1) - torch.eye(7)) / error).abs().max()) > 8
    predicted = run.predict(problem.rows("test")[0])
    rows = torch.cat([problem.rows("test")[0] * math.sqrt(1.4 / 6), torch.full((20, 1), 0.9**0.5)], -1)
    assert float((torch.from_numpy(predicted.mean)[0] - rows @ mean[0]).abs().max()) < 0.05


def test_the_collapsed_posterior_holds_the_weight_variances():
    """Evidence and predictions by the law of the readout, integrated by hand."""
    network = nm.Network(5, (4, 3), ("tanh", "erf"), weight_variance=(1.7, 0.6, 2.5))
    problem = problem_of(network)
    for form in ("weight", "kernel"):
        target = nm.CollapsedPosterior(problem, "fp64", "cpu", form)
        position = target.initial_position(3, "prior", 1)
        blocks = list(position.blocks)
        hidden = reference.top_hidden(blocks, problem.inputs, ["tanh", "erf"], variances_of(network))
        covariance = 2.5 / 3 * hidden.transpose(-1, -2) @ hidden + 0.2 * torch.eye(7)
        law = torch.distributions.MultivariateNormal(torch.zeros(7), covariance)
        torch.testing.assert_close(target.nlml(position), -law.log_prob(problem.labels.unsqueeze(1)))
        randomness = Randomness.of(0, "", problem.instances, (0, 1, 2))
        completed = target.complete(position, randomness, 0, Stream.READOUT)
        assert tuple(block.shape[2:] for block in completed.blocks) == network.block_shapes


def test_repriorised_coordinates_hold_them_too():
    """With the surrogate as likelihood, the law is that of the collapsed posterior and phi ~ N(0, I)."""
    network = nm.Network(5, (4, 3), ("tanh", "erf"), weight_variance=(1.7, 0.6, 2.5))
    problem = problem_of(network)

    def log_likelihood(latent: Tensor, labels: Tensor) -> Tensor:
        return -(labels - latent).square().sum(-1) / 0.4

    target = nm.RepriorisedPosterior(problem, log_likelihood, device="cpu")
    collapsed = nm.CollapsedPosterior(problem, "fp64", "cpu")
    position = target.initial_position(3, "prior", 1)
    hidden = Position(position.flat[: 2 * 3 * collapsed.num_parameters], collapsed.layout(3))
    phi = position.blocks[-1].square().sum(-1) / 2
    difference = target.energy(position) - phi - collapsed.energy(hidden)
    torch.testing.assert_close(difference, difference[:1, :1].expand_as(difference))


REFUSALS = [
    (
        lambda problem: nm.CollapsedPosterior(problem),
        "bias_variance 0.6 has a bias beside its readout.*; use Posterior",
    ),
    (
        lambda problem: nm.RepriorisedPosterior(problem, lambda latent, labels: latent.sum(-1)),
        "neither integrated out nor repriorised; use Posterior",
    ),
    (lambda problem: nm.Posterior(problem, "bf16", "cpu"), "precision 'bf16' is of forces of networks.*; use fp32"),
    (
        lambda problem: nm.Posterior(problem, "tf32", "cpu", "emulated"),
        "precision 'tf32' is of forces of networks with one activation, no biases",
    ),
]


@pytest.mark.parametrize(("make", "sentence"), REFUSALS)
def test_what_needs_a_plain_network_refuses_others(make, sentence: str):
    with pytest.raises(ValueError, match=sentence):
        make(problem_of(GENERAL))


def test_auto_precision_and_auto_target_keep_to_what_there_is():
    from nishimori.sampling.auto import candidates_for

    problem = problem_of(GENERAL)
    assert nm.Posterior(problem, device="cpu").precisions() == ("fp32",)
    assert {target for target, _ in candidates_for(problem)} == {"plain"}
