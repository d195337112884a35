"""The collapsed posterior: the readout's exact marginal, its forces, its draws, and how far it is from the prior."""

import math

import numpy as np
import pytest
import torch
from scipy import special
from torch import Tensor

import nishimori as nm
from nishimori.models.collapsed import FORMS, CollapsedPosterior
from nishimori.models.layout import Position
from nishimori.models.randomness import Randomness
from nishimori_kernels.energy import reference
from nishimori_kernels.readout import reference as readout_reference
from nishimori_kernels.rng.streams import Stream

NOISE = 0.09
# widths, samples
SIZES = [((1,), 1), ((2,), 1), ((1,), 5), ((9,), 9), ((4, 7), 6), ((7, 4), 6), ((5, 6, 63), 20)]


def problem_of(widths: tuple[int, ...], samples: int, activation: str = "erf_sqrt2", instances: int = 3) -> nm.Problem:
    network = nm.Network(4, widths, activation)
    return nm.matched_teacher(network, nm.GaussianChannel(NOISE), samples, instances, seed=1, test_samples=6)


def by_definition(problem: nm.Problem, position: Position) -> tuple[Tensor, Tensor, list[Tensor]]:
    """nlml and U of the reference, and dU/dW by autodiff through its Cholesky factor."""
    leaves = [block.double().clone().requires_grad_() for block in position.blocks]
    hidden = reference.top_hidden(leaves, problem.inputs, problem.network.activation_names)
    nlml = readout_reference.negative_log_evidence(hidden, problem.labels, problem.channel.noise_variance)
    energy = nlml + torch.stack([leaf.square().flatten(2).sum(-1) for leaf in leaves]).sum(0) / 2
    return nlml.detach(), energy.detach(), list(torch.autograd.grad(energy.sum(), leaves))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("activation", ["erf_sqrt2", "tanh2", "relu"])
@pytest.mark.parametrize(("widths", "samples"), SIZES, ids=str)
def test_energy_and_gradient_equal_the_definition(widths, samples, activation, form):
    problem = problem_of(widths, samples, activation)
    target = CollapsedPosterior(problem, "fp64", "cpu", form)
    position = target.initial_position(2, "prior", seed=5)
    nlml, expected, gradient = by_definition(problem, position)
    energy, force = target.energy_and_gradient(position)
    torch.testing.assert_close(target.nlml(position), nlml, rtol=1e-12, atol=1e-12)
    for actual in (energy, target.energy(position)):
        torch.testing.assert_close(actual, expected, rtol=1e-12, atol=0)
    out = position.empty_like()
    assert target.gradient(position, out=out) is out
    scale = max(float(block.abs().max()) for block in gradient)
    for actual in (force, out):
        for block, wanted in zip(actual.blocks, gradient, strict=True):
            torch.testing.assert_close(block, wanted, rtol=0, atol=1e-10 * scale)


@pytest.mark.parametrize("widths", [(20,), (4, 63)], ids=str)
@pytest.mark.parametrize("samples", [10, 100])
def test_float32_follows_float64(widths, samples):
    problem = problem_of(widths, samples)
    single, double = (CollapsedPosterior(problem, precision, "cpu") for precision in ("fp32", "fp64"))
    start = single.initial_position(2, "prior", seed=5)
    same = Position(start.flat.double(), start.layout)
    assert start.flat.dtype == torch.float32 and single.form == ("weight" if widths[-1] <= samples else "kernel")
    torch.testing.assert_close(single.energy(start), double.energy(same), rtol=1e-5, atol=0)
    exact = double.gradient(same).flat
    for force in (single.gradient(start), single.energy_and_gradient(start)[1]):
        assert force.flat.dtype == torch.float32
        assert float((force.flat.double() - exact).norm() / exact.norm()) < 1e-4


@pytest.mark.parametrize(("widths", "samples"), SIZES, ids=str)
def test_energy_is_the_marginal_of_the_posterior(widths, samples):
    """exp(-U(W)) is the posterior's density with the readout integrated out: here by completing the square in numpy."""
    problem = problem_of(widths, samples)
    target, posterior = CollapsedPosterior(problem, "fp64", "cpu"), nm.Posterior(problem, "fp64", "cpu")
    position = posterior.initial_position(2, "prior", seed=5)
    matrices = target.initial_position(2, "prior", seed=5)
    hidden = reference.top_hidden(matrices.blocks, problem.inputs, "erf_sqrt2")
    mean, covariance = readout_reference.readout_posterior(hidden, problem.labels, NOISE)
    position.blocks[-1].copy_(mean)
    # The integral over the readout of exp(-posterior energy): its maximum times sqrt(det 2 pi covariance).
    volume = (torch.linalg.slogdet(covariance)[1] + widths[-1] * math.log(2 * math.pi)) / 2
    # The densities of labels and readout have their own constants.
    constants = (samples * math.log(2 * math.pi * NOISE) + widths[-1] * math.log(2 * math.pi)) / 2
    marginal = posterior.energy(position) - volume + constants
    torch.testing.assert_close(target.energy(matrices), marginal, rtol=1e-12, atol=1e-11)


@pytest.mark.parametrize("form", FORMS)
def test_a_completed_position_has_the_exact_law_given_the_hidden_layers(form):
    """z-scores of all means and covariances over 40000 readouts at the same W; a covariance 5 % off must show. So for
    the second readout of every chain, which has nothing to do with the first."""
    problem = problem_of((3, 5), 7, instances=2)
    target, chains = CollapsedPosterior(problem, "fp64", "cpu", form), 40_000
    one = target.initial_position(1, "prior", seed=2)
    many = target.layout(chains).from_edge(one.to_edge().expand(-1, chains, -1))
    randomness = Randomness.of(3, "", problem.instances, range(chains))
    hidden = reference.top_hidden(one.blocks, problem.inputs, "erf_sqrt2")
    mean, covariance = readout_reference.readout_posterior(hidden, problem.labels, NOISE)
    lower = torch.linalg.cholesky(covariance.squeeze(1))
    whitened = []  # [instances, width, chains], N(0, I)
    for complete in target.completions(many, randomness, 11, 2):
        assert complete.layout == problem.layout(chains)
        for block, kept in zip(complete.blocks, many.blocks, strict=False):
            assert torch.equal(block, kept)
        deviations = (complete.blocks[-1] - mean).transpose(-1, -2)
        whitened.append(torch.linalg.solve_triangular(lower, deviations, upper=False))
    first, second = whitened
    identity, root = torch.eye(5), math.sqrt(chains)
    for white in whitened:
        z_mean = white.mean(-1) * root
        z_covariance = (white @ white.transpose(-1, -2) / chains - identity) * root / (1 + identity).sqrt()
        assert z_mean.abs().max() < 4 and z_covariance.abs().max() < 4
        assert (z_covariance + 0.05 * root * identity).diagonal(dim1=-2, dim2=-1).abs().max() > 4
    assert (first @ second.transpose(-1, -2) / root).abs().max() < 4


@pytest.mark.parametrize("form", FORMS)
def test_the_drawn_readout_depends_on_its_address_alone(form):
    problem = problem_of((6,), 7)
    target = CollapsedPosterior(problem, "fp64", "cpu", form)
    position = target.initial_position((0, 1, 2), "prior", seed=2)
    part = target.initial_position((2,), "prior", seed=2)
    all_three, alone = (Randomness.of(3, "x", problem.instances, chains) for chains in ((0, 1, 2), (2,)))

    def readout(step: int, stream: Stream = Stream.READOUT) -> Tensor:
        return target.complete(position, all_three, step, stream).blocks[-1].clone()

    torch.testing.assert_close(target.complete(part, alone, 4).blocks[-1], readout(4)[:, 2:], rtol=1e-12, atol=1e-13)
    assert torch.equal(readout(4), readout(4))
    several = [weights.blocks[-1] for weights in target.completions(position, all_three, 4, 3)]
    torch.testing.assert_close(several[0], readout(4), rtol=1e-12, atol=1e-13)
    assert not torch.isclose(several[1], several[0]).any() and not torch.isclose(several[1], several[2]).any()
    assert not torch.isclose(readout(4), readout(5)).any()
    assert not torch.isclose(readout(4), readout(4, Stream.CALIBRATION_READOUT)).any()
    assert not torch.isclose(readout(4)[:, 0], readout(4)[:, 1]).any()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("inputs", ["train", "test"])
def test_predictions_are_mean_and_variance_over_the_readout(inputs, form):
    problem = problem_of((4, 7), 6)
    target = CollapsedPosterior(problem, "fp64", "cpu", form)
    position = target.initial_position(2, "prior", seed=5)
    hidden, rows = (
        reference.top_hidden(position.blocks, problem.rows(name), "erf_sqrt2") for name in ("train", inputs)
    )
    expected = readout_reference.predictions(hidden, problem.labels, NOISE, rows)
    for actual, wanted in zip(target.predictions(position, inputs), expected, strict=True):
        torch.testing.assert_close(actual, wanted, rtol=1e-11, atol=1e-13)


def test_starts_are_those_of_the_posterior():
    problem = problem_of((4, 7), 6)
    target, posterior = CollapsedPosterior(problem, device="cpu"), nm.Posterior(problem, device="cpu")
    for start in ("teacher", "prior"):
        position = target.initial_position(2, start, seed=5)
        assert position.layout == target.layout(2)
        assert position.layout.num_parameters == target.num_parameters == 4 * 4 + 7 * 4
        for block, full in zip(position.blocks, posterior.initial_position(2, start, seed=5).blocks, strict=False):
            assert torch.equal(block, full)
    own = nm.Problem(problem.network, problem.channel, problem.inputs, problem.labels)
    with pytest.raises(ValueError, match="no teacher; start='prior'"):
        CollapsedPosterior(own, device="cpu").initial_position(2, "teacher", seed=0)


def test_a_posterior_is_its_own_completion():
    posterior = nm.Posterior(problem_of((4,), 6), device="cpu")
    position = posterior.initial_position(2, "prior", seed=5)
    assert posterior.posterior is posterior
    assert posterior.complete(position, Randomness.of(0, "", posterior.instances, range(2)), 0) is position


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("value", [math.nan, math.inf, 1e200])
def test_a_chain_that_cannot_be_factorised_is_alone(value, form):
    """NaN or infinite energies are rejected by every sampler; the other chains must not notice."""
    problem = problem_of((4,), 6, "relu", instances=2)
    target = CollapsedPosterior(problem, "fp64", "cpu", form)
    position = target.initial_position(3, "prior", seed=5)
    energy, force = target.energy_and_gradient(position)
    spoilt = position.clone()
    spoilt.blocks[0][1, 2, 0, 0] = value
    others = torch.ones(2, 3, dtype=torch.bool)
    others[1, 2] = False
    after, spoilt_force = target.energy_and_gradient(spoilt)
    for actual in (after, target.energy(spoilt)):
        assert not actual[1, 2].isfinite()
        torch.testing.assert_close(actual[others], energy[others])
    for gradient in (spoilt_force, target.gradient(spoilt)):
        torch.testing.assert_close(gradient.blocks[0][others], force.blocks[0][others])
    target.complete(spoilt, Randomness.of(0, "", problem.instances, range(3)), 0)
    target.predictions(spoilt, "test")


@pytest.mark.gpu
@pytest.mark.parametrize("form", FORMS)
def test_cuda_equals_the_cpu(form):
    problem = problem_of((12, 9), 10)
    found = []
    for device in ("cpu", "cuda"):
        target = CollapsedPosterior(problem, "fp64", device, form)
        position = target.initial_position(3, "prior", seed=2)
        energy, gradient = target.energy_and_gradient(position)
        weights = target.complete(position, Randomness.of(3, "", problem.instances, range(3)), 4)
        values = energy, gradient.flat, target.gradient(position).flat, weights.flat, *target.predictions(position)
        found.append([value.cpu() for value in values])
    torch.testing.assert_close(found[1], found[0], rtol=1e-9, atol=1e-9)


def test_what_cannot_be_collapsed_is_refused_with_a_sentence():
    fixed = nm.matched_teacher(nm.Network(4, (3,), readout="fixed"), nm.GaussianChannel(NOISE), 5)
    linear = nm.matched_teacher(nm.Network(4), nm.GaussianChannel(NOISE), 5)
    other = problem_of((3,), 5)
    object.__setattr__(other, "channel", object())
    with pytest.raises(ValueError, match="readout 'fixed' is not Gaussian .*; use Posterior"):
        CollapsedPosterior(fixed)
    with pytest.raises(ValueError, match="without hidden layers is its readout: .*; use Posterior"):
        CollapsedPosterior(linear)
    with pytest.raises(ValueError, match="for the Gaussian channel alone; use RepriorisedPosterior"):
        CollapsedPosterior(other)
    with pytest.raises(ValueError, match="form 'dual' is not known; use auto, weight or kernel"):
        CollapsedPosterior(problem_of((3,), 5), form="dual")  # pyright: ignore[reportArgumentType]


def leading_order(inputs: np.ndarray, labels: np.ndarray, draws: int = 1_000_000) -> float:
    """lim width * KL(posterior of W, prior) = Var(f^T M f) / 8 for one hidden layer and one data set.

    M = G^{-1} y y^T G^{-1} - G^{-1}, G = E f f^T + noise I, f the activations of one unit, h ~ N(0, X X^T / d): E f f^T
    is the arcsine law and the variance a Monte Carlo average of numpy, neither of which the package computes.
    """
    covariance = inputs @ inputs.T / inputs.shape[1]
    scale = np.sqrt(1 + np.diag(covariance))
    gamma = 2 / np.pi * np.arcsin(covariance / np.outer(scale, scale)) + NOISE * np.eye(len(labels))
    inverse = np.linalg.inv(gamma)
    matrix = np.outer(inverse @ labels, inverse @ labels) - inverse
    generator = np.random.default_rng(0)
    weights = generator.standard_normal((draws, inputs.shape[1]))
    unit = special.erf(weights @ inputs.T / math.sqrt(2 * inputs.shape[1]))
    return float(np.einsum("im,mn,in->i", unit, matrix, unit, optimize=True).var() / 8)


def divergence(problem: nm.Problem, width: int, draws: int, batch: int) -> float:
    """KL(posterior of W, prior) = -E_posterior nlml - log Z by importance sampling from the prior."""
    network = nm.Network(problem.network.input_dim, (width,), "erf_sqrt2")
    same = nm.Problem(network, problem.channel, problem.inputs, problem.labels)
    target, found = CollapsedPosterior(same, device="cpu"), []
    for first in range(0, draws, batch):
        identities = tuple(range(first, first + batch))
        found.append(-target.nlml(target.initial_position(identities, "prior", seed=width)).flatten())
    logs = torch.cat(found)
    log_evidence = float(torch.logsumexp(logs, 0)) - math.log(draws)
    weights = torch.softmax(logs, 0)
    return float((weights * logs).sum()) - log_evidence


def test_distance_from_the_prior_falls_as_one_over_the_width():
    """Repriorisation: width * KL is the leading-order formula of the same data, at every width from 256 to 4096."""
    problem = problem_of((256,), 8, instances=1)
    expected = leading_order(problem.inputs[0].numpy(), problem.labels[0].numpy())
    products = [
        width * divergence(problem, width, draws, batch)
        for width, draws, batch in ((256, 40_000, 2000), (1024, 16_000, 500), (4096, 8000, 100))
    ]
    assert all(product == pytest.approx(expected, rel=0.05) for product in products), (products, expected)
    assert max(products) / min(products) < 1.05, products
