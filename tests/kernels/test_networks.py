"""Whole networks, chain by chain and in low precision, equal the reference; and what is not there is refused."""

import pytest
import torch
from buffers import by_threads
from networks import CASES, assert_close, deep, doubles, draw, flattened
from torch import Tensor

from nishimori_kernels.energy import dispatch, reference
from nishimori_kernels.energy.activations import TORCH_ACTIVATIONS, torch_kernel
from nishimori_kernels.energy.bfloat16 import Bfloat16Network
from nishimori_kernels.energy.blocked import BlockedNetwork
from nishimori_kernels.energy.chainwise import ChainwiseNetwork
from nishimori_kernels.energy.cpu import COMPILED_ACTIVATIONS
from nishimori_kernels.energy.emulated import PRODUCTS, EmulatedNetwork, round_tf32

CPU = torch.device("cpu")
NOISE = 0.3
ROUNDING = {"bf16": 2.0**-8, "fp16": 2.0**-11, "tf32": 2.0**-11, "bf16x3": 2.0**-15}
"""Relative error of a product's operands, and for bf16x3 about that of its parts."""


def misfit_gradient(network: dispatch.Force, weights: list[Tensor], labels: Tensor) -> tuple[Tensor, Tensor]:
    flat = flattened(weights)
    out = torch.full_like(flat, torch.nan)
    residual = network.misfit_gradient(flat, labels, NOISE, out)
    return residual.clone(), out


def expected(weights: list[Tensor], inputs: Tensor, labels: Tensor, activation: str) -> tuple[Tensor, Tensor]:
    """Residual and gradient by the reference in float64."""
    exact = doubles(weights), inputs.double(), activation
    residual = reference.latent(*exact) - labels.double()
    gradient = reference.pull_back(*exact, residual / NOISE)
    return residual, flattened(doubles(weights)) + flattened(gradient)


def problem(case, fixed: bool = False) -> tuple[list[Tensor], Tensor, Tensor]:
    weights, inputs, _, _ = draw(case, torch.float32)
    return weights[:-1] if fixed else weights, inputs, inputs[..., 0].unsqueeze(1).contiguous()


BOTH_READOUTS = pytest.mark.parametrize(
    ("case", "fixed"), [*((c, False) for c in CASES), *((c, True) for c in deep(CASES))], ids=str
)


@BOTH_READOUTS
@pytest.mark.parametrize("activation", COMPILED_ACTIVATIONS)
def test_chainwise_equals_reference(case, fixed, activation):
    weights, inputs, labels = problem(case, fixed)
    network = ChainwiseNetwork(inputs, case[4], COMPILED_ACTIVATIONS[activation], case[1])
    residual, gradient = expected(weights, inputs, labels, activation)
    assert_close([network.forward(flattened(weights))], [residual + labels.double()], 1e-5)
    found = misfit_gradient(network, weights, labels)
    assert_close([found[0]], [residual], 1e-5)
    assert_close([found[1]], [gradient], 1e-5)


def cubed(labels: Tensor, latent: Tensor) -> Tensor:
    return (latent - labels) ** 3


@BOTH_READOUTS
@pytest.mark.parametrize("blocks", ["chainwise", "one block", "small blocks"])
def test_gradients_of_any_energy_equal_the_reference(case, fixed, blocks):
    weights, inputs, labels = problem(case, fixed)
    kernel = COMPILED_ACTIVATIONS["tanh"]
    if blocks == "chainwise":
        network: dispatch.Network = ChainwiseNetwork(inputs, case[4], kernel, case[1])
    else:
        size = None if blocks == "one block" else 3000
        network = BlockedNetwork(inputs, case[4], TORCH_ACTIVATIONS["tanh"], case[1], size)
    exact = doubles(weights), inputs.double(), "tanh"
    latent = reference.latent(*exact)
    gradient = reference.pull_back(*exact, cubed(labels.double(), latent))
    flat = flattened(weights)
    out = torch.full_like(flat, torch.nan)
    assert_close([network.slope_gradient(flat, labels, cubed, out)], [latent], 1e-5)
    assert_close([out], [flattened(doubles(weights)) + flattened(gradient)], 3e-5)


def made(kind: str, inputs: Tensor, widths: tuple[int, ...], chains: int, block_bytes: int | None) -> dispatch.Network:
    kernel = COMPILED_ACTIVATIONS["tanh"]
    if kind == "chain by chain":
        return ChainwiseNetwork(inputs, widths, kernel, chains)
    own = kernel if inputs.dtype == torch.float32 else TORCH_ACTIVATIONS["tanh"]
    return BlockedNetwork(inputs, widths, own, chains, block_bytes)


@pytest.mark.parametrize("widths", [(), (17, 9), (33,), (5, 50, 7)], ids=str)
@pytest.mark.parametrize(
    ("kind", "dtype"),
    [("chain by chain", torch.float32), ("in blocks", torch.float32), ("in blocks", torch.float64)],
    ids=str,
)
def test_chains_are_the_same_to_the_bit_alone_and_in_company_and_on_any_number_of_threads(kind, dtype, widths):
    case = (2, 5, 33, 7, widths)
    weights, inputs, labels = problem(case)
    weights, inputs, labels = [weight.to(dtype) for weight in weights], inputs.to(dtype), labels.to(dtype)

    def gradients() -> tuple[Tensor, Tensor]:
        return misfit_gradient(made(kind, inputs, widths, 5, None), weights, labels)

    together, shared = by_threads(gradients)
    assert all(torch.equal(a, b) for a, b in zip(shared, together, strict=True))
    in_parts = misfit_gradient(made(kind, inputs, widths, 5, 1), weights, labels)
    assert all(torch.equal(a, b) for a, b in zip(in_parts, together, strict=True))
    own = [weight[1:, 3:4].contiguous() for weight in weights]
    residual, gradient = misfit_gradient(made(kind, inputs[1:], widths, 1, None), own, labels[1:])
    assert torch.equal(residual[0, 0], together[0][1, 3])
    pieces = together[1].split([weight.numel() for weight in weights])
    chain = [piece.view_as(weight)[1, 3] for piece, weight in zip(pieces, weights, strict=True)]
    assert torch.equal(gradient, flattened(chain))


@BOTH_READOUTS
@pytest.mark.parametrize("activation", COMPILED_ACTIVATIONS)
def test_bfloat16_equals_reference_within_its_rounding(case, fixed, activation):
    weights, inputs, labels = problem(case, fixed)
    residual, gradient = expected(weights, inputs, labels, activation)
    for block_bytes in (1, 2**22):
        network = Bfloat16Network(inputs, case[4], COMPILED_ACTIVATIONS[activation], case[1], block_bytes)
        found = misfit_gradient(network, weights, labels)
        assert_rounded(found, (residual, gradient), "bf16")


def assert_rounded(found: tuple[Tensor, Tensor], exact: tuple[Tensor, Tensor], precision: str) -> None:
    """Within a few roundings of the reference, in the mean square."""
    for actual, true in zip(found, exact, strict=True):
        assert actual.dtype == torch.float32
        error = float((actual.double() - true).norm() / true.norm())
        assert error < 12 * ROUNDING[precision], error


@BOTH_READOUTS
@pytest.mark.parametrize("precision", PRODUCTS)
def test_emulated_equals_reference_within_its_rounding(case, fixed, precision):
    weights, inputs, labels = problem(case, fixed)
    network = EmulatedNetwork(inputs, case[4], "tanh", case[1], precision)
    assert_rounded(misfit_gradient(network, weights, labels), expected(weights, inputs, labels, "tanh"), precision)


def test_formats_are_ordered_by_what_they_keep():
    """Errors stand in the order of the formats: none is a float32, and eight bits err eight times as much as eleven."""
    case = (1, 4, 63, 63, (100,))
    weights, inputs, labels = problem(case)
    _, gradient = expected(weights, inputs, labels, "tanh")
    errors = {}
    for precision in PRODUCTS:
        _, found = misfit_gradient(EmulatedNetwork(inputs, case[4], "tanh", 4, precision), weights, labels)
        errors[precision] = float((found.double() - gradient).norm() / gradient.norm())
    assert 1e-3 < errors["bf16"] < 1e-2
    assert all(errors["bf16"] / 12 < errors[name] < errors["bf16"] / 5 or name in ("bf16", "bf16x3") for name in errors)
    assert errors["bf16x3"] < errors["bf16"] / 100


def test_tf32_rounds_to_ten_bits_ties_to_even():
    ulp = 2.0**-10
    values = torch.tensor(
        [1 + ulp / 2, 1 + 3 * ulp / 2, 1 + ulp / 2 + 2.0**-20, -1 - ulp / 4, 0.0], dtype=torch.float32
    )
    assert round_tf32(values).tolist() == [1.0, 1 + 2 * ulp, 1 + ulp, -1.0, 0.0]


def test_a_residual_beyond_the_range_of_fp16_is_scaled():
    case = (1, 2, 9, 5, (4,))
    weights, inputs, labels = problem(case)
    network = EmulatedNetwork(inputs, case[4], "tanh", 2, "fp16")
    flat = flattened(weights)
    out = torch.full_like(flat, torch.nan)
    network.misfit_gradient(flat, labels, 1e-6, out)
    assert bool(out.isfinite().all())


def test_which_network_runs_is_a_matter_of_device_activation_and_threads():
    inputs, kernel = torch.zeros(1, 600, 100, dtype=torch.float32), COMPILED_ACTIVATIONS["tanh"]
    assert isinstance(dispatch.network_of(inputs, (100,), kernel, 2), ChainwiseNetwork)
    assert isinstance(dispatch.network_of(inputs, (100,), TORCH_ACTIVATIONS["tanh"], 2), BlockedNetwork)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert isinstance(dispatch.network_of(inputs, (100,), kernel, 3), BlockedNetwork)  # a thread would wait
        assert isinstance(dispatch.network_of(inputs, (4,), kernel, 3), ChainwiseNetwork)  # and here for nothing
        assert isinstance(dispatch.network_of(inputs, (100,), kernel, 4), ChainwiseNetwork)
        # A block of a run is what the whole run is.
        assert isinstance(dispatch.network_of(inputs, (100,), kernel, 3, rows_in_all=4), ChainwiseNetwork)
        assert isinstance(dispatch.network_of(inputs, (100,), kernel, 4, rows_in_all=3), BlockedNetwork)
    finally:
        torch.set_num_threads(threads)


def test_a_force_that_is_not_there_is_refused_with_what_is():
    kernel = COMPILED_ACTIVATIONS["tanh"]
    for precision in ("fp16", "tf32", "bf16x3"):
        with pytest.raises(ValueError, match=f"precision '{precision}' cannot be had .* on this cpu: .* use fp32"):
            dispatch.require_force(precision, kernel, CPU, "tanh")
    with pytest.raises(ValueError, match="none runs there"):
        dispatch.require_force("bf16", TORCH_ACTIVATIONS["sin"], CPU, "sin")
    own = torch_kernel(torch.sin, torch.cos)
    assert dispatch.available_forces(own, CPU) == ()
    with pytest.raises(ValueError, match="'mine' is your own"):
        dispatch.emulated_force_of("bf16", torch.zeros(1, 2, 3), (4,), "mine", 1)
