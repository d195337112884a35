"""The batched network equals the reference, the reference autodiff, and the posterior is built of them."""

import numpy as np
import pytest
import torch
from networks import CASES, assert_close, deep, doubles, draw, flattened
from torch import Tensor

import nishimori as nm
from nishimori.description.activations import ACTIVATIONS
from nishimori.description.nonlinear_part import linear_part
from nishimori.models.layout import Layout, Position, add_scaled_, chain_dot, select
from nishimori_kernels.energy import dispatch, reference
from nishimori_kernels.energy.activations import TORCH_ACTIVATIONS, numpy_kernel, torch_kernel
from nishimori_kernels.energy.batched import BatchedNetwork, Buffers
from nishimori_kernels.energy.blocked import BlockedNetwork
from nishimori_kernels.energy.coefficients import HALF_GAIN, NONLINEAR_SCALE
from nishimori_kernels.energy.cpu import COMPILED_ACTIVATIONS

NAMES = sorted(TORCH_ACTIVATIONS)


def bump(z):
    """An activation of one's own, of arrays and of tensors."""
    return z / (1 + z**2)


def bump_derivative(z):
    return (1 - z**2) / (1 + z**2) ** 2


KERNELS = {
    **TORCH_ACTIVATIONS,
    "own torch": torch_kernel(bump, bump_derivative),
    "own numpy": numpy_kernel(bump, bump_derivative),
}
DEFINITIONS = {name: name if name in TORCH_ACTIVATIONS else (bump, bump_derivative) for name in KERNELS}
PRECISIONS = [(torch.float64, 1e-12), (torch.float32, 1e-5)]
IMPLEMENTED = [
    *((name, kernel, dtype, tolerance) for name, kernel in KERNELS.items() for dtype, tolerance in PRECISIONS),
    *((name, kernel, torch.float32, 1e-5) for name, kernel in COMPILED_ACTIVATIONS.items()),
]
"""Name of the activation, kernel, dtype, tolerance."""
BY_KERNEL = pytest.mark.parametrize(
    ("activation", "kernel", "dtype", "tolerance"),
    IMPLEMENTED,
    ids=[f"{name}-{type(kernel).__name__}-{dtype}" for name, kernel, dtype, _ in IMPLEMENTED],
)


def poisoned(network: BatchedNetwork) -> BatchedNetwork:
    """Its buffers full of NaN: what is read before it is written shows."""
    buffers = network.buffers
    for buffer in (*buffers.pre, *buffers.hidden, *buffers.delta, *([buffers.top_gradient] if buffers.pre else [])):
        buffer.fill_(torch.nan)
    network.output.fill_(torch.nan)
    return network


def by_autodiff(function, weights: list[Tensor], cotangent: Tensor) -> list[Tensor]:
    leaves = [weight.clone().requires_grad_() for weight in weights]
    return list(torch.autograd.grad((function(leaves) * cotangent).sum(), leaves))


@pytest.mark.parametrize("activation", KERNELS)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_reference_pull_back_equals_autodiff(case, activation):
    weights, inputs, cotangent, _ = draw(case)
    definition = DEFINITIONS[activation]
    for chosen in (weights, weights[:-1])[: 2 if case[4] else 1]:  # a readout of weights, and the fixed one
        expected = by_autodiff(lambda leaves: reference.latent(leaves, inputs, definition), chosen, cotangent)
        assert_close(reference.pull_back(chosen, inputs, definition, cotangent), expected, 1e-12)


@pytest.mark.parametrize("activation", KERNELS)
@pytest.mark.parametrize("case", deep(CASES), ids=str)
def test_reference_pull_back_of_hidden_equals_autodiff(case, activation):
    weights, inputs, _, _ = draw(case)
    definition, matrices = DEFINITIONS[activation], weights[:-1]
    cotangent = torch.cos(reference.top_hidden(matrices, inputs, definition) + torch.arange(case[2]))
    expected = by_autodiff(lambda leaves: reference.top_hidden(leaves, inputs, definition), matrices, cotangent)
    assert_close(reference.pull_back_hidden(matrices, inputs, definition, cotangent), expected, 1e-12)


def test_reference_of_a_fixed_readout_is_that_of_ones():
    weights, inputs, _, _ = draw((2, 3, 5, 4, (6, 3)))
    weights[-1] = torch.ones_like(weights[-1])
    assert torch.equal(reference.latent(weights[:-1], inputs, "tanh"), reference.latent(weights, inputs, "tanh"))


@BY_KERNEL
@pytest.mark.parametrize(("case", "fixed"), [*((c, False) for c in CASES), *((c, True) for c in deep(CASES))], ids=str)
def test_batched_equals_reference(case, fixed, activation, kernel, dtype, tolerance):
    weights, inputs, cotangent, addend = draw(case, dtype)
    if fixed:
        weights, addend = weights[:-1], addend[:-1]
    network = poisoned(BatchedNetwork(inputs, case[4], kernel, case[1]))
    latent = network.forward(weights)
    assert latent.dtype == dtype
    exact = doubles(weights), inputs.double(), DEFINITIONS[activation]
    assert_close([latent], [reference.latent(*exact)], tolerance)
    out = [torch.full_like(weight, torch.nan) for weight in weights]
    network.pull_back(weights, cotangent, addend, out)
    gradient = reference.pull_back(*exact, cotangent.double())
    assert_close(out, [a + g for a, g in zip(doubles(addend), gradient, strict=True)], tolerance)


@BY_KERNEL
@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("case", deep(CASES), ids=str)
def test_batched_hidden_equals_reference(case, in_place, activation, kernel, dtype, tolerance):
    weights, inputs, _, addend = draw(case, dtype)
    network = poisoned(BatchedNetwork(inputs, case[4], kernel, case[1]))
    exact = doubles(weights[:-1]), inputs.double(), DEFINITIONS[activation]
    hidden = network.forward_hidden(weights)
    assert_close([hidden], [reference.top_hidden(*exact)], tolerance)
    top = torch.cos(hidden.double() + torch.arange(case[2])).to(dtype)
    gradient = reference.pull_back_hidden(*exact, top.double())
    if in_place:
        top = network.top_gradient.copy_(top)
    out = [torch.full_like(weight, torch.nan) for weight in weights]
    network.pull_back_hidden(weights, top, addend, out)
    assert_close(out[:-1], [a + g for a, g in zip(doubles(addend[:-1]), gradient, strict=True)], tolerance)
    assert bool(out[-1].isnan().all())


@pytest.mark.parametrize("chains_a_block", [1, 2, 5, 100])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_blocks_of_any_size_give_the_same(case, chains_a_block):
    weights, inputs, _, _ = draw(case, torch.float32)
    labels, noise = inputs[..., 0].unsqueeze(1), 0.3
    kernel = COMPILED_ACTIVATIONS["tanh"]
    size = chains_a_block * max(1, Buffers.bytes_of(inputs, case[4], kernel))
    network = BlockedNetwork(inputs, case[4], kernel, case[1], size)
    assert all(block.network.instances * block.network.chains <= chains_a_block for block in network.blocks)
    for block in network.blocks:
        poisoned(block.network)
    exact = doubles(weights), inputs.double(), "tanh"
    latent = reference.latent(*exact)
    flat = flattened(weights)
    assert_close([network.forward(flat)], [latent], 1e-5)
    out = torch.full_like(flat, torch.nan)
    residual = network.misfit_gradient(flat, labels, noise, out)
    assert_close([residual], [latent - labels], 1e-5)
    gradient = reference.pull_back(*exact, (latent - labels.double()) / noise)
    assert_close([out], [flattened(doubles(weights)) + flattened(gradient)], 1e-5)


def test_an_implementation_can_be_chosen_and_none_is_taken_silently():
    cpu = torch.device("cpu")
    assert dispatch.activation_kernel("tanh", cpu, torch.float32) is COMPILED_ACTIVATIONS["tanh"]
    assert dispatch.activation_kernel("tanh", cpu, torch.float32, "torch") is TORCH_ACTIVATIONS["tanh"]
    assert dispatch.activation_kernel("sin", cpu, torch.float32) is TORCH_ACTIVATIONS["sin"]
    with pytest.raises(ValueError, match="'tanh' has no numba kernel for torch.float64 on cpu; use torch"):
        dispatch.activation_kernel("tanh", cpu, torch.float64, "numba")
    with pytest.raises(ValueError, match="implementation 'cuda' is not known"):
        dispatch.activation_kernel("tanh", cpu, torch.float32, "cuda")  # pyright: ignore[reportArgumentType]


def test_a_compiled_kernel_refuses_what_is_not_contiguous():
    values = torch.zeros(1, 1, 4, 6).transpose(2, 3)
    with pytest.raises(ValueError, match="needs contiguous tensors"):
        COMPILED_ACTIVATIONS["tanh"].apply(values, values)


@pytest.mark.parametrize("activation", NAMES)
def test_spent_buffers_leave_no_trace(activation):
    case = (2, 3, 5, 4, (6, 3))
    weights, inputs, cotangent, addend = draw(case)
    network = BatchedNetwork(inputs, case[4], KERNELS[activation], case[1])
    outs = []
    for poison in (False, True):
        if poison:
            for buffer in (*network.pre, *network.hidden, *network.delta, network.output):
                buffer.fill_(torch.nan)
        network.forward(weights)
        out = [torch.full_like(weight, torch.nan) for weight in weights]
        network.pull_back(weights, cotangent, addend, out)
        outs.append(out)
    assert all(torch.equal(a, b) for a, b in zip(*outs, strict=True))
    assert not any(value.isnan().any() for value in outs[1])


def test_uninitialised_memory_is_nan_in_this_session():
    assert torch.empty(5).isnan().all()
    assert torch.get_default_dtype() == torch.float64


@pytest.mark.parametrize("name", NAMES)
def test_activations_agree_with_the_description(name):
    z = torch.cat([torch.linspace(-4, 4, 101), torch.tensor([0.0, 1e-9, -1e-9, 30.0, -30.0])])
    described = ACTIVATIONS[name]
    kernel = TORCH_ACTIVATIONS[name]
    scaled = kernel.input_scale * z
    hidden = scaled if kernel.from_output else torch.empty_like(z)
    kernel.apply(scaled, hidden)
    value, slope = torch.empty_like(z), torch.full_like(z, kernel.input_scale)
    value.copy_(hidden)
    kernel.multiply_derivative_(slope, scaled, hidden)
    function, derivative = (torch.from_numpy(f(z.numpy())) for f in (described.function, described.derivative))
    for actual in (value, reference.ACTIVATIONS[name](z)):
        torch.testing.assert_close(actual, function, rtol=1e-14, atol=1e-14)
    for actual in (slope, reference.DERIVATIVES[name](z)):
        torch.testing.assert_close(actual, derivative, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize(("precision", "tolerance"), [("fp64", 1e-12), ("fp32", 1e-5)])
@pytest.mark.parametrize("activation", NAMES)
@pytest.mark.parametrize("widths", [(), (1,), (63,), (100, 2), (3, 63, 5)], ids=str)
def test_posterior_equals_autodiff(widths, activation, precision, tolerance):
    network = nm.Network(11, widths, activation)
    noise_variance = 0.3
    problem = nm.matched_teacher(network, nm.GaussianChannel(noise_variance), 13, 3, test_samples=1)
    posterior = nm.Posterior(problem, precision, "cpu")
    position = posterior.initial_position(2, "prior", seed=5)
    leaves = [block.double().clone().requires_grad_() for block in position.blocks]
    residual = problem.labels.unsqueeze(1) - reference.latent(leaves, problem.inputs, activation)
    prior = sum(leaf.square().flatten(2).sum(-1) for leaf in leaves) / 2
    expected = residual.square().sum(-1) / (2 * noise_variance) + prior
    gradient = list(torch.autograd.grad(expected.sum(), leaves))
    energy, force = posterior.energy_and_gradient(position)
    assert energy.dtype == torch.float64
    for actual in (energy, posterior.energy(position)):
        torch.testing.assert_close(actual, expected.detach(), rtol=tolerance, atol=0)
    out = position.empty_like()
    assert posterior.gradient(position, out=out) is out
    for actual in (force, out):
        assert actual.flat.dtype == posterior.dtype
        assert_close(list(actual.blocks), gradient, tolerance)


def test_energies_are_summed_in_float64():
    """The sum of 1.5e6 squares of float32 numbers is right to 1e-13."""
    layout = Layout(1, 2, ((1000, 1500), (3,)))
    generator = torch.Generator().manual_seed(2)
    flat = torch.randn(2 * layout.num_parameters, generator=generator, dtype=torch.float32)
    position = Position(flat, layout)
    exact = position.to_edge().numpy().astype(np.longdouble)
    dots = chain_dot(position, position)
    assert dots.dtype == torch.float64
    np.testing.assert_allclose(dots.numpy(), (exact**2).sum(-1).astype(np.float64), rtol=1e-13)


def test_layout_edge_round_trip_and_order():
    layout = Layout(2, 3, ((4, 5), (3, 4), (3,)))
    values = torch.arange(2 * 3 * 35, dtype=torch.float64).view(2, 3, 35)
    position = layout.from_edge(values)
    assert layout.num_parameters == 35
    assert layout.first_elements == (0, 20, 32)
    assert torch.equal(position.to_edge(), values)
    assert torch.equal(position.blocks[1][1, 2], values[1, 2, 20:32].view(3, 4))
    assert position.blocks[0].is_contiguous()
    start = 2 * 3 * 20
    assert torch.equal(position.flat[start : start + 12], values[0, 0, 20:32])


def test_selection_and_scaled_addition_act_chain_by_chain():
    layout = Layout(2, 3, ((2, 2), (2,)))
    old = layout.from_edge(torch.zeros(2, 3, 6))
    new_values = torch.ones(2, 3, 6)
    new_values[0, 1] = torch.nan
    accepted = torch.tensor([[True, False, True], [False, False, True]])
    chosen = select(accepted, layout.from_edge(new_values), old).to_edge()
    assert torch.equal(chosen, accepted.double().unsqueeze(-1).expand(2, 3, 6))
    add_scaled_(old, layout.from_edge(torch.ones(2, 3, 6)), torch.tensor([2.0, -3.0]))
    assert torch.equal(old.to_edge()[:, 0, 0], torch.tensor([2.0, -3.0]))
    assert float(old.to_edge().std(dim=(1, 2)).max()) == 0.0


def test_the_nonlinear_part_has_the_coefficients_of_its_description():
    gain, deviation = linear_part()
    assert (2 * HALF_GAIN, 1 / NONLINEAR_SCALE) == pytest.approx((gain, deviation), rel=1e-15, abs=0)
