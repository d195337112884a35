"""Repriorised coordinates: the identity with the collapsed posterior, the log-determinant, and any likelihood."""

import math
from collections.abc import Callable

import pytest
import torch
from targets import fixed_kernel, states
from torch import Tensor

import nishimori as nm
from nishimori.models.collapsed import CollapsedPosterior
from nishimori.models.layout import Position
from nishimori.models.randomness import Randomness
from nishimori.models.repriorised import RepriorisedPosterior
from nishimori.samplers.base import State
from nishimori_kernels.energy import reference
from nishimori_kernels.readout.reference import features

NOISE = 0.09
SIZES = [((1,), 1), ((2,), 1), ((1,), 5), ((9,), 9), ((4, 7), 6), ((7, 4), 6), ((5, 6, 63), 20)]
LogLikelihood = Callable[[Tensor, Tensor], Tensor]


def gaussian(noise: float) -> LogLikelihood:
    return lambda latent, labels: -(labels - latent).square().sum(-1) / (2 * noise)


def probit(latent: Tensor, labels: Tensor) -> Tensor:
    return torch.special.log_ndtr(labels * latent).sum(-1)


def problem_of(widths: tuple[int, ...], samples: int, instances: int = 3) -> nm.Problem:
    network = nm.Network(4, widths, "erf_sqrt2")
    return nm.matched_teacher(network, nm.GaussianChannel(NOISE), samples, instances, seed=1, test_samples=6)


def repriorised(problem: nm.Problem, likelihood: LogLikelihood | None = None) -> RepriorisedPosterior:
    return RepriorisedPosterior(problem, likelihood or gaussian(NOISE), device="cpu")


def by_definition(problem: nm.Problem, blocks: list[Tensor], noise: float) -> tuple[Tensor, Tensor]:
    """The readout V and log|dV/dphi| of the map, one chain at a time, by dense matrices."""
    *matrices, coordinates = blocks
    psi = features(reference.top_hidden(matrices, problem.inputs, problem.network.activation_names))
    width, labels = psi.shape[-1], problem.labels.unsqueeze(1).unsqueeze(-1)
    lower = torch.linalg.cholesky(psi.transpose(-1, -2) @ psi + noise * torch.eye(width))
    inverse = torch.linalg.inv(lower)
    columns = math.sqrt(noise) * coordinates.unsqueeze(-1) + inverse @ psi.transpose(-1, -2) @ labels
    log_determinant = width * math.log(noise) / 2 - torch.linalg.slogdet(lower)[1]
    return (inverse.transpose(-1, -2) @ columns).squeeze(-1), log_determinant


def mapped(problem: nm.Problem, position: Position) -> tuple[Position, Tensor]:
    """theta = (W, V), and the log-determinant."""
    readout, log_determinant = by_definition(problem, list(position.blocks), problem.channel.noise_variance)
    theta = position.clone()
    theta.blocks[-1].copy_(readout)
    return theta, log_determinant


@pytest.mark.parametrize(("widths", "samples"), SIZES, ids=str)
def test_energy_is_that_of_the_prior_and_the_collapsed_posterior(widths, samples):
    """The identity: posterior energy at T(phi), minus the log-determinant, equals |phi|^2 / 2 + nlml(W), to 1e-12.

    Without the log-determinant it fails.
    """
    problem = problem_of(widths, samples)
    target, posterior = repriorised(problem), nm.Posterior(problem, "fp64", "cpu")
    position = target.initial_position(2, "prior", seed=5)
    theta, log_determinant = mapped(problem, position)
    constant = samples * math.log(2 * math.pi * NOISE) / 2
    collapsed = CollapsedPosterior(problem, "fp64", "cpu")
    matrices = collapsed.initial_position(2, "prior", seed=5)
    half_square = position.to_edge().square().sum(-1) / 2
    expected = half_square + collapsed.nlml(matrices)
    transformed = posterior.energy(theta) - log_determinant + constant
    torch.testing.assert_close(transformed, expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(target.energy(position) + constant, expected, rtol=1e-12, atol=0)
    assert not torch.isclose(transformed + log_determinant, expected, rtol=1e-3).any()


@pytest.mark.parametrize(("widths", "samples"), SIZES[:-1], ids=str)
def test_log_determinant_is_that_of_the_jacobian(widths, samples):
    """slogdet of the whole map (W, phi) -> (W, V) by autodiff, one chain."""
    problem = problem_of(widths, samples, instances=1)
    position = repriorised(problem).initial_position(1, "prior", seed=5)
    layout = position.layout

    def whole_map(edge: Tensor) -> Tensor:
        pieces = edge.split(list(layout.sizes))
        blocks = [piece.view(1, 1, *shape) for piece, shape in zip(pieces, layout.shapes, strict=True)]
        return torch.cat([*pieces[:-1], by_definition(problem, blocks, NOISE)[0].flatten()])

    jacobian = torch.autograd.functional.jacobian(whole_map, position.to_edge()[0, 0])
    sign, log_determinant = torch.linalg.slogdet(jacobian)
    assert sign == 1
    torch.testing.assert_close(log_determinant, mapped(problem, position)[1][0, 0], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("likelihood", [gaussian(NOISE), gaussian(0.5), probit], ids=["matched", "wider", "probit"])
@pytest.mark.parametrize(("widths", "samples"), SIZES, ids=str)
def test_energy_and_gradient_equal_the_definition_by_autodiff(widths, samples, likelihood):
    problem = problem_of(widths, samples)
    target = repriorised(problem, likelihood)
    position = target.initial_position(2, "prior", seed=5)
    leaves = [block.clone().requires_grad_() for block in position.blocks]
    readout, log_determinant = by_definition(problem, leaves, NOISE)
    latent = reference.latent([*leaves[:-1], readout], problem.inputs, "erf_sqrt2")
    squares = [leaf.square().flatten(2).sum(-1) for leaf in (*leaves[:-1], readout)]
    expected = torch.stack(squares).sum(0) / 2 - likelihood(latent, problem.labels.unsqueeze(1)) - log_determinant
    gradient = torch.autograd.grad(expected.sum(), leaves)
    energy, force = target.energy_and_gradient(position)
    assert energy.dtype == torch.float64 and not energy.requires_grad
    for actual in (energy, target.energy(position)):
        torch.testing.assert_close(actual, expected.detach(), rtol=1e-11, atol=1e-11)
    out = position.empty_like()
    assert target.gradient(position, out=out) is out
    scale = max(float(block.abs().max()) for block in gradient)
    for actual in (force, out):
        for block, wanted in zip(actual.blocks, gradient, strict=True):
            torch.testing.assert_close(block, wanted, rtol=0, atol=1e-10 * scale)


@pytest.mark.parametrize(("widths", "samples"), SIZES, ids=str)
def test_completion_is_the_map_and_the_teacher_start_its_inverse(widths, samples):
    problem = problem_of(widths, samples)
    target, randomness = repriorised(problem), Randomness.of(0, "", (0, 1, 2), range(2))
    position = target.initial_position(2, "prior", seed=5)
    expected = mapped(problem, position)[0].flat
    torch.testing.assert_close(target.complete(position, randomness, 0).flat, expected, rtol=1e-10, atol=1e-10)
    posterior = nm.Posterior(problem, "fp64", "cpu")
    start = target.complete(target.initial_position(2, "teacher", seed=0), randomness, 0).flat
    torch.testing.assert_close(start, posterior.initial_position(2, "teacher", seed=0).flat, rtol=1e-9, atol=1e-9)


def test_float32_positions_follow_float64():
    problem = problem_of((12,), 9)
    single, double = (RepriorisedPosterior(problem, probit, precision, "cpu") for precision in ("fp32", "fp64"))
    start = single.initial_position(2, "prior", seed=5)
    same = Position(start.flat.double(), start.layout)
    torch.testing.assert_close(single.energy(start), double.energy(same), rtol=1e-5, atol=0)
    force, exact = single.gradient(start).flat, double.gradient(same).flat
    assert force.dtype == torch.float32
    assert float((force.double() - exact).norm() / exact.norm()) < 1e-4


def test_a_chain_of_nan_is_alone():
    problem = problem_of((4,), 6)
    target = repriorised(problem, probit)
    position = target.initial_position(3, "prior", seed=5)
    energy, force = target.energy_and_gradient(position)
    spoilt = position.clone()
    spoilt.blocks[0][1, 2, 0, 0] = torch.nan
    others = torch.ones(3, 3, dtype=torch.bool)
    others[1, 2] = False
    after, spoilt_force = target.energy_and_gradient(spoilt)
    assert after[1, 2].isnan()
    torch.testing.assert_close(after[others], energy[others])
    for block, before in zip(spoilt_force.blocks, force.blocks, strict=True):
        torch.testing.assert_close(block[others], before[others])


def test_refusals_say_what_to_do():
    problem = problem_of((4,), 6)
    fixed = nm.matched_teacher(nm.Network(4, (3,), readout="fixed"), nm.GaussianChannel(NOISE), 5)
    with pytest.raises(ValueError, match="readout 'fixed' is not Gaussian .*; use Posterior"):
        repriorised(fixed)
    position = repriorised(problem).initial_position(2, "prior", seed=0)
    summed = repriorised(problem, lambda latent, labels: probit(latent, labels).sum())
    with pytest.raises(ValueError, match=r"returned shape \[\] for latent outputs \[3, 2, 6\]: sum .* to \[3, 2\]"):
        summed.energy(position)
    stopped = repriorised(problem, lambda latent, labels: probit(latent.detach(), labels))
    with pytest.raises(ValueError, match="returned a value without gradient: compute it by torch operations"):
        stopped.gradient(position)


def kernel_and_outputs(posterior: nm.Posterior, weights: Position) -> Tensor:
    """The trace of the last kernel, that kernel along the labels, F at an input and its square: [values, instances,
    chains]."""
    hidden = posterior.network("train", weights.layout.chains).forward_hidden(weights.blocks)
    along = (hidden @ posterior.problem.labels[:, None, :, None]).square().mean((-1, -2))
    trace = hidden.square().mean((-1, -2))
    output = posterior.latent(weights)[..., 0].clone()
    return torch.stack([trace, along, output, output.square()])


def by_importance_sampling(problem: nm.Problem, likelihood: LogLikelihood, draws: int) -> tuple[Tensor, Tensor]:
    """Posterior means of `kernel_and_outputs` and their standard errors, from prior draws of all weights."""
    posterior = nm.Posterior(problem, "fp64", "cpu")
    weights = posterior.initial_position(tuple(range(draws)), "prior", seed=77)
    values = kernel_and_outputs(posterior, weights).squeeze(1)
    logs = likelihood(posterior.latent(weights), problem.labels.unsqueeze(1)).squeeze(0)
    share = torch.softmax(logs, 0)
    means = values @ share
    return means, ((values - means.unsqueeze(-1)).square() @ share.square()).sqrt()


class WithoutDeterminant:
    """A planted failure: the log-determinant is left out of the energy."""

    gaussian_prior = True

    def __init__(self, target: RepriorisedPosterior) -> None:
        self.target, self.problem, self.posterior = target, target.problem, target.posterior
        self.num_parameters, self.instances = target.num_parameters, target.instances
        self.dtype, self.device = target.dtype, target.device
        self.layout, self.gradient = target.layout, target.gradient
        self.initial_position, self.complete = target.initial_position, target.complete

    def energy(self, position: Position) -> Tensor:
        return self.target.energy(position) + mapped(self.problem, position)[1]

    def energy_and_gradient(self, position: Position, out: Position | None = None) -> tuple[Tensor, Position]:
        energy, gradient = self.target.energy_and_gradient(position, out)
        return energy + mapped(self.problem, position)[1], gradient


def sampled(
    target: RepriorisedPosterior | WithoutDeterminant, chains: int = 100, draws: int = 100
) -> tuple[Tensor, Tensor]:
    """Means of `kernel_and_outputs` over chains of rotation HMC, and standard errors from their spread."""
    kernel = fixed_kernel(target, "rotation", 0.35, 4, chains, seed=6, jitter=0.4)
    position = target.initial_position(chains, "prior", seed=6)
    start = State(position, *target.energy_and_gradient(position))
    randomness = Randomness.of(0, "", target.instances, range(chains))
    found = [
        kernel_and_outputs(target.posterior, target.complete(state.position, randomness, 0))
        for state in states(kernel, start, 20, draws)
    ]
    averages = torch.stack(found).mean(0).squeeze(1)  # [values, chains]
    return averages.mean(-1), averages.std(-1) / math.sqrt(chains)


@pytest.mark.parametrize(("planted", "passes"), [(lambda target: target, True), (WithoutDeterminant, False)])
def test_probit_labels_by_surrogate_against_importance_sampling(planted, passes):
    generator = torch.Generator().manual_seed(8)
    inputs = torch.randn(6, 4, generator=generator)
    labels = torch.tensor([1.0, 1.0, 1.0, -1.0, 1.0, -1.0])
    problem = nm.Problem(nm.Network(4, (4,), "erf_sqrt2"), nm.GaussianChannel(0.25), inputs, labels)
    expected, error = by_importance_sampling(problem, probit, 200_000)
    mean, spread = sampled(planted(repriorised(problem, probit)))
    z = (mean - expected) / (error.square() + spread.square()).sqrt()
    assert (float(z.abs().max()) < 4) == passes, (z, mean, expected)
