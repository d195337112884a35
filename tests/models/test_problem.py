"""Data of one's own, fixed readouts and activations of one's own, from the problem to the posterior."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import nishimori as nm
from nishimori.models.problem import Teacher
from nishimori_kernels.energy import reference

CHANNEL = nm.GaussianChannel(0.3)


def own_data(instances: int = 2, samples: int = 5, input_dim: int = 3) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(4)
    return generator.standard_normal((instances, samples, input_dim)), generator.standard_normal((instances, samples))


def teacher_of(problem: nm.Problem) -> Teacher:
    assert problem.teacher is not None
    return problem.teacher


@pytest.mark.parametrize("convert", [lambda a: a, torch.from_numpy, lambda a: a.tolist(), lambda a: a.astype("f4")])
def test_data_of_one_or_many_instances(convert: Callable[[np.ndarray], Any]) -> None:
    inputs, labels = own_data()
    many = nm.Problem(nm.Network(3, (4,)), CHANNEL, convert(inputs), convert(labels), test_inputs=convert(inputs[0]))
    one = nm.Problem(nm.Network(3, (4,)), CHANNEL, convert(inputs[1]), convert(labels[1]), instances=(7,))
    assert many.inputs.shape == (2, 5, 3) and many.labels.shape == (2, 5) and many.samples == 5
    assert many.test_inputs is not None and many.test_inputs.shape == (2, 5, 3)
    assert (many.instances, one.instances) == ((0, 1), (7,))
    assert (many.teacher, one.teacher, one.test_inputs) == (None, None, None)
    assert one.inputs.dtype == one.labels.dtype == torch.float64
    torch.testing.assert_close(one.inputs[0], many.inputs[1], rtol=0, atol=0)
    torch.testing.assert_close(one.labels[0], torch.from_numpy(labels[1]), rtol=1e-6, atol=1e-6)


def test_data_are_copied() -> None:
    inputs, labels = own_data(1)
    problem = nm.Problem(nm.Network(3), CHANNEL, torch.from_numpy(inputs), labels)
    before = problem.inputs.clone(), problem.labels.clone()
    inputs += 1
    labels += 1
    assert torch.equal(problem.inputs, before[0]) and torch.equal(problem.labels, before[1])


def test_the_posterior_of_own_data_is_that_of_the_same_matched_data() -> None:
    matched = nm.matched_teacher(nm.Network(3, (4,)), CHANNEL, samples=5, instances=(2, 5), test_samples=6)
    own = nm.Problem(
        matched.network, CHANNEL, matched.inputs, matched.labels, test_inputs=matched.test_inputs, instances=(2, 5)
    )
    for first, second in ((nm.Posterior(matched, device="cpu"), nm.Posterior(own, device="cpu")),):
        position = first.initial_position(3, "prior", seed=1)
        assert torch.equal(second.initial_position(3, "prior", seed=1).flat, position.flat)
        assert torch.equal(first.energy(position), second.energy(position))
        assert torch.equal(first.gradient(position).flat, second.gradient(position).flat)
        assert torch.equal(first.latent(position, "test").clone(), second.latent(position, "test"))


def test_what_is_absent_is_refused_with_a_sentence() -> None:
    problem = nm.Problem(nm.Network(3, (4,)), CHANNEL, *own_data())
    posterior = nm.Posterior(problem, device="cpu")
    with pytest.raises(ValueError, match="no teacher; start='prior'"):
        posterior.initial_position(2, "teacher", seed=0)
    with pytest.raises(ValueError, match=r"no test inputs; give them as Problem\(..., test_inputs="):
        posterior.latent(posterior.initial_position(1, "prior", seed=0), "test")
    with pytest.raises(ValueError, match="no 'tset' inputs"):
        problem.rows("tset")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"inputs": np.zeros((5, 4))}, r"inputs must be \[samples, 3\] or .* got shape \[5, 4\]; reshape"),
        ({"inputs": np.zeros(3)}, r"inputs must be \[samples, 3\] .* got shape \[3\]"),
        ({"inputs": np.zeros((0, 3))}, r"inputs must be \[samples, 3\] .* got shape \[0, 3\]"),
        ({"labels": np.zeros((5, 1))}, r"labels must be \[1, 5\], one a row .* got shape \[5, 1\]; give"),
        ({"labels": np.zeros(4)}, r"labels must be \[1, 5\].* got shape \[4\]"),
        ({"labels": np.array([0, 1, np.nan, 0, 0])}, "labels hold NaN or infinity; give finite"),
        ({"inputs": torch.full((5, 3), torch.inf)}, "inputs hold NaN or infinity"),
        ({"labels": ["a"] * 5}, "labels must be an array of real numbers; give"),
        ({"labels": [[1, 2], [3]]}, "labels must be an array of real numbers"),
        ({"test_inputs": np.zeros((2, 5, 3))}, "test_inputs are for 2 instances and inputs for 1"),
        ({"test_inputs": np.zeros((5, 2))}, r"test_inputs must be \[samples, 3\]"),
        ({"instances": (1, 2)}, "instances name 2 for 1 data sets; give one identity each"),
        ({"network": nm.Network(3, (2,), "sign")}, "'sign' cannot be sampled"),
    ],
)
def test_wrong_data_are_refused_with_a_sentence(changes: dict[str, Any], sentence: str) -> None:
    network = changes.pop("network", nm.Network(3, (2,)))
    arguments = {"inputs": np.zeros((5, 3)), "labels": np.zeros(5)} | changes
    with pytest.raises(ValueError, match=sentence):
        nm.Problem(network, CHANNEL, **arguments)


@pytest.mark.parametrize(
    ("channel", "sentence"),
    [(nm.ProbitChannel(0), "no gradient to sample by: give a noise_variance above 0"), (0.1, "cannot be sampled: use")],
)
def test_channels_that_cannot_be_sampled_are_refused(channel: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        nm.matched_teacher(nm.Network(3, (2,)), channel, samples=4)


@pytest.mark.parametrize("channel", [nm.ProbitChannel(0.1), nm.LogisticChannel()])
def test_labels_that_are_no_classes_are_refused(channel: Any) -> None:
    with pytest.raises(ValueError, match="labels must be -1 or 1 for a channel of classes: give the sign"):
        nm.Problem(nm.Network(3, (2,)), channel, *own_data())


def test_an_identity_given_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="name one teacher twice"):
        nm.Problem(nm.Network(3, (2,)), CHANNEL, *own_data(), instances=(4, 4))


def by_autodiff(posterior: nm.Posterior, activation: reference.Activation, chains: int) -> tuple[Tensor, list[Tensor]]:
    """Energy and gradient by the definition, at the prior start of seed 5."""
    problem = posterior.problem
    position = posterior.initial_position(chains, "prior", seed=5)
    leaves = [block.double().clone().requires_grad_() for block in position.blocks]
    residual = problem.labels.unsqueeze(1) - reference.latent(leaves, problem.inputs, activation)
    prior = torch.stack([leaf.square().flatten(2).sum(-1) for leaf in leaves]).sum(0) / 2
    energy = residual.square().sum(-1) / (2 * problem.channel.noise_variance) + prior
    return energy.detach(), list(torch.autograd.grad(energy.sum(), leaves))


def assert_same(posterior: nm.Posterior, activation: reference.Activation, tolerance: float) -> None:
    expected, gradient = by_autodiff(posterior, activation, chains=2)
    position = posterior.initial_position(2, "prior", seed=5)
    energy, force = posterior.energy_and_gradient(position)
    torch.testing.assert_close(energy, expected, rtol=tolerance, atol=0)
    scale = max(float(block.abs().max()) for block in gradient)
    for actual, wanted in zip(force.blocks, gradient, strict=True):
        torch.testing.assert_close(actual.double(), wanted, rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize(("precision", "tolerance"), [("fp64", 1e-12), ("fp32", 1e-5)])
@pytest.mark.parametrize("widths", [(1,), (63,), (100, 2), (3, 63, 5)], ids=str)
def test_posterior_with_a_fixed_readout_equals_autodiff(widths: tuple[int, ...], precision: str, tolerance: float):
    network = nm.Network(11, widths, "erf", readout="fixed")
    problem = nm.matched_teacher(network, CHANNEL, 13, 3, test_samples=1)
    posterior = nm.Posterior(problem, precision, "cpu")
    assert posterior.num_parameters == sum(rows * columns for rows, columns in network.layer_shapes)
    assert_same(posterior, "erf", tolerance)


def test_a_teacher_with_a_fixed_readout_is_the_gaussian_one_with_ones() -> None:
    """The weights below have the same addresses, so fixing the readout changes nothing else."""
    fixed, gaussian = (
        nm.matched_teacher(nm.Network(5, (4, 3), "sin", readout), CHANNEL, samples=6, instances=2, seed=3)
        for readout in ("fixed", "gaussian")
    )
    *matrices, readout = teacher_of(gaussian).weights.blocks
    for one, other in zip(teacher_of(fixed).weights.blocks, matrices, strict=True):
        assert torch.equal(one, other)
    expected = reference.latent([*matrices, torch.ones_like(readout)], fixed.inputs, "sin").squeeze(1)
    torch.testing.assert_close(teacher_of(fixed).latent, expected, rtol=1e-12, atol=1e-13)
    start = nm.Posterior(fixed, "fp64", "cpu").initial_position(1, "teacher", seed=0)
    assert torch.equal(start.flat, teacher_of(fixed).weights.flat)


def bump(z: Any) -> Any:
    return z / (1 + z**2)


def bump_derivative(z: Any) -> Any:
    return (1 - z**2) / (1 + z**2) ** 2


NUMPY_ONLY = nm.Activation(bump, bump_derivative, "bump", odd=True)
WITH_TORCH = nm.Activation(
    bump, bump_derivative, "bump", odd=True, torch_function=bump, torch_derivative=bump_derivative
)


@pytest.mark.parametrize(("precision", "tolerance"), [("fp64", 1e-12), ("fp32", 1e-5)])
@pytest.mark.parametrize("activation", [NUMPY_ONLY, WITH_TORCH], ids=["numpy", "torch"])
@pytest.mark.parametrize("readout", ["gaussian", "fixed"])
def test_posterior_with_an_own_activation_equals_autodiff(readout, activation, precision, tolerance) -> None:
    network = nm.Network(11, (63, 2), activation, readout)
    problem = nm.matched_teacher(network, CHANNEL, 13, 3, test_samples=1)
    assert_same(nm.Posterior(problem, precision, "cpu"), (bump, bump_derivative), tolerance)


def test_numpy_functions_may_keep_or_widen_their_argument() -> None:
    """The identity returns its very argument, and a scalar derivative stands for an array of them."""
    line = nm.Activation(lambda z: z, lambda z: np.ones_like(z), "line", odd=True)
    problem = nm.matched_teacher(nm.Network(4, (3,), line), CHANNEL, 6, 2, test_samples=1)
    assert_same(nm.Posterior(problem, "fp64", "cpu"), "identity", 1e-12)


def test_a_numpy_function_that_writes_to_its_argument_is_caught() -> None:
    def spoil(z: np.ndarray) -> np.ndarray:
        return np.tanh(z, out=z)

    spoiling = nm.Activation(spoil, lambda z: 1 - np.tanh(z) ** 2, "spoil")
    with pytest.raises(ValueError, match="read-only"):
        nm.matched_teacher(nm.Network(4, (3,), spoiling), CHANNEL, 6, 2, test_samples=1)


@pytest.mark.parametrize(
    ("activation", "sentence"),
    [
        (nm.Activation(lambda z: z.sum(), bump_derivative), r"the function of activation 'custom' maps .* to \(\):"),
        (nm.Activation(bump, lambda z: z[0]), "the derivative of activation 'custom' maps"),
        (
            nm.Activation(bump, bump_derivative, "tilt", torch_function=torch.tanh, torch_derivative=bump_derivative),
            "the torch_function of activation 'tilt' differs from its function: make",
        ),
        (
            nm.Activation(bump, bump_derivative, "tilt", torch_function=bump, torch_derivative=torch.cos),
            "the torch_derivative of activation 'tilt' differs from its derivative",
        ),
        (nm.Activation(bump, bump_derivative, "jump", samplable=False), "'jump' cannot be sampled; use one of"),
    ],
)
def test_functions_that_are_no_activation_are_refused(activation: nm.Activation, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        nm.Problem(nm.Network(3, (2,), activation), CHANNEL, np.zeros((5, 3)), np.zeros(5))


@pytest.mark.gpu
def test_an_own_activation_on_cuda_needs_torch_functions() -> None:
    refused, runs = (
        nm.matched_teacher(nm.Network(4, (6,), activation), CHANNEL, 6, 2, test_samples=1)
        for activation in (NUMPY_ONLY, WITH_TORCH)
    )
    with pytest.raises(ValueError, match="'bump' has numpy functions alone and cannot run on cuda: give its"):
        nm.Posterior(refused, device="cuda")
    on_cuda, on_cpu = nm.Posterior(runs, "fp64", "cuda"), nm.Posterior(runs, "fp64", "cpu")
    energies = [target.energy(target.initial_position(2, "prior", seed=0)).cpu() for target in (on_cuda, on_cpu)]
    torch.testing.assert_close(energies[0], energies[1], rtol=1e-11, atol=0)


def test_an_own_activation_off_the_cpu_is_refused() -> None:
    from nishimori.models.activation_kernel import activation_kernel

    with pytest.raises(ValueError, match="'bump' has numpy functions alone and cannot run on cuda: give its torch_fun"):
        activation_kernel(NUMPY_ONLY, torch.device("cuda"), torch.float32)
