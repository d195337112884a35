"""Networks with biases, scaled weights and an activation a layer: every implementation equals the reference, and that
equals what is written by hand and autodiff."""

import math

import pytest
import torch
from networks import CASES, assert_close, deep, doubles, draw, flattened
from torch import Tensor

from nishimori_kernels.energy import dispatch, reference
from nishimori_kernels.energy.activations import TORCH_ACTIVATIONS, by_layer
from nishimori_kernels.energy.batched import BatchedNetwork
from nishimori_kernels.energy.blocked import BlockedNetwork
from nishimori_kernels.energy.chainwise import ChainwiseNetwork
from nishimori_kernels.energy.cpu import COMPILED_ACTIVATIONS
from nishimori_kernels.energy.variances import Variances
from nishimori_kernels.energy.weights import Split

NAMES = ["tanh", "relu", "erf", "sin", "tanh2", "identity", "erf_sqrt2"]
BOTH_READOUTS = pytest.mark.parametrize(
    ("case", "fixed"), [*((c, False) for c in CASES), *((c, True) for c in deep(CASES))], ids=str
)


def general(case, dtype=torch.float64, fixed: bool = False, bias: float = 0.7):
    """Blocks with biases, inputs, latent gradients, addends, variances and one activation a layer."""
    weights, inputs, cotangent, addend = draw(case, dtype)
    if fixed:
        weights, addend = weights[:-1], addend[:-1]
    generator = torch.Generator().manual_seed(2)
    for blocks in (weights, addend) if bias else ():
        for width in (*case[4], 1):
            blocks.append(torch.randn(case[0], case[1], width, generator=generator).to(dtype))
    depth = len(case[4])
    variances = Variances(tuple(0.6 + 0.5 * layer for layer in range(depth + 1)), bias)
    return weights, inputs, cotangent, addend, variances, NAMES[:depth]


def by_hand(weights: list[Tensor], inputs: Tensor, bias: float) -> Tensor:
    """A network of two hidden layers, tanh and relu, as one would write it down."""
    (first, second, readout, *shifts), variances = weights, (0.6, 1.1, 1.6)
    shifts = [math.sqrt(bias) * shift for shift in shifts]
    hidden = torch.tanh(
        math.sqrt(variances[0] / first.shape[-1]) * torch.einsum("icwd,isd->icws", first, inputs) + shifts[0][..., None]
    )
    hidden = torch.relu(math.sqrt(variances[1] / second.shape[-1]) * second @ hidden + shifts[1][..., None])
    return math.sqrt(variances[2] / readout.shape[-1]) * torch.einsum("icw,icws->ics", readout, hidden) + shifts[2]


def test_the_reference_is_the_network_written_by_hand():
    weights, inputs, _, _, variances, names = general((2, 3, 5, 4, (6, 3)))
    expected = by_hand(weights, inputs, variances.bias)
    torch.testing.assert_close(reference.latent(weights, inputs, [*names], variances), expected)
    other = reference.latent(weights, inputs, [*names], Variances(variances.weights, 0.5))
    assert float((other - expected).abs().max()) > 1e-2


@BOTH_READOUTS
def test_the_pull_back_of_the_reference_is_that_of_autodiff(case, fixed):
    weights, inputs, cotangent, _, variances, names = general(case, fixed=fixed)
    leaves = [weight.clone().requires_grad_() for weight in weights]
    latent = reference.latent(leaves, inputs, [*names], variances)
    expected = list(torch.autograd.grad((latent * cotangent).sum(), leaves))
    assert_close(reference.pull_back(weights, inputs, [*names], cotangent, variances), expected, 1e-12)


KERNELS = {
    "torch": (TORCH_ACTIVATIONS, torch.float64, 1e-12),
    "compiled": (TORCH_ACTIVATIONS | COMPILED_ACTIVATIONS, torch.float32, 2e-5),
}


@pytest.mark.parametrize("bias", [0.0, 0.7])
@pytest.mark.parametrize("kind", KERNELS)
@BOTH_READOUTS
def test_batched_networks_equal_the_reference(case, fixed, kind, bias):
    registered, dtype, tolerance = KERNELS[kind]
    weights, inputs, cotangent, addend, variances, names = general(case, dtype, fixed, bias)
    kernels = [registered[name] for name in names]
    network = BatchedNetwork(inputs, case[4], kernels, case[1], variances=variances)
    exact = doubles(weights), inputs.double(), [*names]
    assert_close([network.forward(weights)], [reference.latent(*exact, variances)], tolerance)
    out = [torch.full_like(weight, torch.nan) for weight in weights]
    network.pull_back(weights, cotangent, addend, out)
    gradient = reference.pull_back(*exact, cotangent.double(), variances)
    assert_close(out, [a + g for a, g in zip(doubles(addend), gradient, strict=True)], tolerance)


@pytest.mark.parametrize("bias", [0.0, 0.7])
@BOTH_READOUTS
def test_flat_networks_equal_the_reference(case, fixed, bias):
    """In blocks, and chain by chain where there are neither biases nor several activations."""
    weights, inputs, _, _, variances, names = general(case, torch.float32, fixed, bias)
    labels, flat = inputs[..., 0].unsqueeze(1).contiguous(), flattened(weights)
    kernels = [TORCH_ACTIVATIONS[name] for name in names]
    networks: list[tuple[dispatch.Network, list[str]]] = [
        (BlockedNetwork(inputs, case[4], kernels, case[1], 3000, variances), names)
    ]
    if not bias:
        tanh = COMPILED_ACTIVATIONS["tanh"]
        networks.append((ChainwiseNetwork(inputs, case[4], tanh, case[1], variances), ["tanh"] * len(names)))
    for network, own in networks:
        exact = doubles(weights), inputs.double(), [*own]
        latent = reference.latent(*exact, variances)
        gradient = reference.pull_back(*exact, (latent - labels.double()) / 0.3, variances)
        out = torch.full_like(flat, torch.nan)
        assert_close([network.misfit_gradient(flat, labels, 0.3, out)], [latent - labels.double()], 1e-5)
        assert_close([out], [flattened(doubles(weights)) + flattened(gradient)], 3e-5)
        assert_close([network.forward(flat)], [latent], 1e-5)


def test_only_plain_chains_go_chain_by_chain():
    inputs, kernel = torch.zeros(1, 60, 10, dtype=torch.float32), COMPILED_ACTIVATIONS["tanh"]
    scaled, biased = Variances((2.0, 1.0, 1.0)), Variances(None, 0.1)
    two = [kernel, COMPILED_ACTIVATIONS["erf"]]
    assert isinstance(dispatch.network_of(inputs, (9, 9), [kernel, kernel], 2, scaled), ChainwiseNetwork)
    assert isinstance(dispatch.network_of(inputs, (9, 9), two, 2), BlockedNetwork)
    assert isinstance(dispatch.network_of(inputs, (9, 9), kernel, 2, biased), BlockedNetwork)
    with pytest.raises(ValueError, match="have no biases; use BlockedNetwork"):
        ChainwiseNetwork(inputs, (9, 9), kernel, 2, biased)


def test_counts_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="2 weight variances for 2 hidden layers; give 3"):
        Variances((1.0, 2.0)).gains(2)
    with pytest.raises(ValueError, match="1 activations for 2 hidden layers; give one, or one a layer"):
        by_layer([TORCH_ACTIVATIONS["tanh"]], 2)


@pytest.mark.parametrize("biases", [False, True])
@pytest.mark.parametrize("fixed", [False, True])
def test_a_split_finds_the_readout_and_the_biases(fixed: bool, biases: bool):
    own = [(4, 5), (3, 4), *([] if fixed else [(3,)]), *([(4,), (3,), (1,)] if biases else [])]
    flat = torch.arange(2.0 * 3 * sum(math.prod(shape) for shape in own))
    split = Split(2, 3, (5, 4, 3), biases)
    layers = split(flat)
    assert [tuple(layer.shape) for layer in layers] == [(2, 3, *shape) for shape in own]
    assert torch.equal(torch.cat([layer.reshape(-1) for layer in layers]), flat)
    assert split.blocks(flat).sizes == tuple(math.prod(shape) for shape in own)
