"""Triton's kernels beside their definitions: on a GPU where there is one, else in the interpreter."""

import math

import numpy as np
import pytest
import torch
from buffers import BLOCKS, FORMATS

from nishimori_kernels import accept, leapfrog, overlap, refresh, rng
from nishimori_kernels.blocks import Blocks, Buffer
from nishimori_kernels.dispatch import interpreted
from nishimori_kernels.energy import reference
from nishimori_kernels.energy.blocked import BlockedNetwork
from nishimori_kernels.energy.coarse import CoarseNetwork
from nishimori_kernels.energy.gpu import TRITON_ACTIVATIONS
from nishimori_kernels.energy.small import SmallNetwork, is_small
from nishimori_kernels.leapfrog.advance import advance_, coefficients_of
from nishimori_kernels.leapfrog.reference import advance_ as definition
from nishimori_kernels.pieces import PIECE
from nishimori_kernels.rng.address import Address, address_of
from nishimori_kernels.rng.streams import Stream

pytestmark = [
    pytest.mark.triton,
    pytest.mark.skipif(
        not interpreted() and not torch.cuda.is_available(),
        reason="Triton kernels need a CUDA device (torch.cuda.is_available() is False) or TRITON_INTERPRET=1",
    ),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),  # numpy's, of NaN and infinity in the interpreter
]
DEVICE = torch.device("cpu" if interpreted() else "cuda")
KEY, STEP = 0xFEDCBA9876543210, 2**32 - 1
LONG = Blocks(1, 2, (PIECE + 63, 7))
"""Rows of several pieces, none of which begins where a quad does."""
ALIGNED = Blocks(2, 2, (64, PIECE + 4, 8))
CASES = [*BLOCKS, LONG, ALIGNED]
cases = pytest.mark.parametrize("blocks", CASES, ids=str)
formats = pytest.mark.parametrize("dtype", FORMATS)


def buffer(blocks: Blocks, dtype: torch.dtype, seed: int = 0) -> Buffer:
    generator = torch.Generator().manual_seed(seed)
    return Buffer(torch.randn(blocks.elements, generator=generator, dtype=dtype).to(DEVICE), blocks)


def poisoned(blocks: Blocks, dtype: torch.dtype) -> Buffer:
    return Buffer(torch.full((blocks.elements,), torch.nan, dtype=dtype, device=DEVICE), blocks)


def ids(blocks: Blocks) -> tuple[np.ndarray, np.ndarray]:
    return 2 + 3 * np.arange(blocks.instances), 2**32 - 1 - np.arange(blocks.chains)


def address(blocks: Blocks, step: int = STEP) -> Address:
    return address_of(KEY, Stream.MOMENTUM, step, *ids(blocks))


def factors(blocks: Blocks) -> list[torch.Tensor]:
    """In every shape there is."""
    count, instances, chains = len(blocks.sizes), blocks.instances, blocks.chains
    shapes = [(), (instances,), (instances, chains), (count, instances, chains), (count, instances, 1)]
    return [torch.cos(torch.arange(math.prod(shape), device=DEVICE) + 0.3).view(shape) for shape in shapes]


@cases
@formats
def test_scaled_addition_is_the_definition_bit_for_bit(blocks, dtype):
    for factor in factors(blocks):
        found, expected, direction = buffer(blocks, dtype), buffer(blocks, dtype), buffer(blocks, dtype, seed=1)
        leapfrog.add_scaled_(found, direction, factor, "triton")
        leapfrog.add_scaled_(expected, direction, factor, "torch")
        assert torch.equal(found.flat, expected.flat)


@cases
@formats
def test_rotation_is_the_definition_bit_for_bit(blocks, dtype):
    for angle in factors(blocks):
        found, expected = ((buffer(blocks, dtype), buffer(blocks, dtype, seed=1)) for _ in range(2))
        leapfrog.rotate_(*found, angle, "triton")
        leapfrog.rotate_(*expected, angle, "torch")
        assert all(torch.equal(own.flat, other.flat) for own, other in zip(found, expected, strict=True))


@cases
@formats
@pytest.mark.parametrize("move", [leapfrog.kick_drift_, leapfrog.kick_rotate_])
def test_a_kick_with_what_follows_is_the_definition_bit_for_bit(move, blocks, dtype):
    for kick, way in zip(factors(blocks), reversed(factors(blocks)), strict=True):
        found, expected = ([buffer(blocks, dtype, seed) for seed in range(3)] for _ in range(2))
        move(*found, kick, way, "triton")
        move(*expected, kick, way, "torch")
        assert all(torch.equal(own.flat, other.flat) for own, other in zip(found, expected, strict=True))


@cases
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_an_advance_is_the_definition_bit_for_bit(blocks, dtype):
    own = [buffer(blocks, torch.float64, seed).parts for seed in range(2, 7)]
    factors = [torch.stack([part[..., 0] for part in parts]) for parts in own]
    (q, p), gradient = (buffer(blocks, torch.float32, seed) for seed in (0, 1)), buffer(blocks, torch.float32, seed=7)
    pair = [Buffer(each.flat.clone(), blocks) for each in (q, p)]
    rounded, slope = torch.full_like(q.flat, torch.nan, dtype=dtype), gradient.flat.to(dtype)
    advance_(q, p, slope, torch.stack(factors), 0.75, rounded)
    definition(pair[0], pair[1], slope, torch.stack(factors), 0.75)
    assert torch.equal(q.flat, pair[0].flat) and torch.equal(p.flat, pair[1].flat)
    assert torch.equal(rounded, q.flat.to(dtype))


@cases
@formats
def test_inner_products_are_the_definition(blocks, dtype):
    first, second = buffer(blocks, dtype), buffer(blocks, dtype, seed=1)
    found = overlap.row_dot(first, second, "triton")
    torch.testing.assert_close(found, overlap.row_dot(first, second, "torch"), rtol=1e-13, atol=1e-12)
    assert torch.equal(found, overlap.row_dot(first, second, "triton"))


@cases
@formats
def test_momenta_are_the_bits_of_the_portable_generator(blocks, dtype):
    filled, refreshed = poisoned(blocks, dtype), poisoned(blocks, dtype)
    refresh.fill_normals_(filled, address(blocks), "triton")
    squares = refresh.refresh_(refreshed, address(blocks), "triton")
    first = 0
    for part, size in zip(filled.parts, blocks.sizes, strict=True):
        expected = torch.empty(part.shape, dtype=dtype)
        rng.fill_normals(expected, KEY, Stream.MOMENTUM, STEP, *ids(blocks), first_element=first)
        assert torch.equal(part.cpu(), expected)
        first += size
    assert torch.equal(refreshed.flat, filled.flat)
    torch.testing.assert_close(squares, overlap.row_dot(refreshed, refreshed, "torch"), rtol=1e-13, atol=0)


def test_a_quarter_of_a_million_normals_have_the_bits_of_numba():
    blocks = Blocks(1, 1, (262_144,))
    for step in (0, 1, STEP):
        found, expected = poisoned(blocks, torch.float32), torch.empty(1, 1, 262_144, dtype=torch.float32)
        refresh.fill_normals_(found, address(blocks, step), "triton")
        rng.fill_normals(expected, KEY, Stream.MOMENTUM, step, *ids(blocks), implementation="numba")
        assert torch.equal(found.flat.cpu().view(torch.int32), expected.flatten().view(torch.int32))


def test_uniforms_are_those_of_numba():
    blocks = Blocks(3, 70, (1,))
    expected = rng.uniforms_at(address(blocks), implementation="numba")
    assert torch.equal(rng.uniforms_at(address(blocks), DEVICE, implementation="triton").cpu(), expected)


def test_decisions_are_the_definition():
    errors = torch.tensor([[0.0, -1.0, 3.0, 1500.0], [torch.nan, torch.inf, -torch.inf, 1e-9]] * 40, device=DEVICE)
    uniform = torch.linspace(1e-6, 1 - 1e-6, errors.numel(), device=DEVICE).view_as(errors)
    found = accept.metropolis(errors, uniform, 1000.0, "triton")
    expected = accept.metropolis(errors, uniform, 1000.0, "torch")
    torch.testing.assert_close(found.acceptance, expected.acceptance, rtol=1e-14, atol=0)
    assert torch.equal(found.accepted, expected.accepted) and torch.equal(found.divergent, expected.divergent)


@cases
@formats
def test_rejected_rows_come_back_even_from_nan(blocks, dtype):
    accepted = torch.arange(blocks.rows, device=DEVICE).view(blocks.instances, blocks.chains) % 3 == 1
    proposed, current = buffer(blocks, dtype), buffer(blocks, dtype, seed=1)
    for part in proposed.parts:
        part[~accepted] = torch.nan
    expected = Buffer(proposed.flat.clone(), blocks)
    accept.restore_(accepted, proposed, current, "triton")
    accept.restore_(accepted, expected, current, "torch")
    assert torch.equal(proposed.flat, expected.flat)


NAMES = ["identity", "tanh", "tanh2", "erf", "erf_sqrt2", "relu"]


@pytest.mark.parametrize("name", NAMES)
def test_activations_are_within_four_units_in_the_last_place(name):
    kernel = TRITON_ACTIVATIONS[name]
    z = torch.cat([torch.linspace(-12, 12, 6001), torch.logspace(-30, 0, 100), torch.tensor([0.0, -0.0, torch.inf])])
    u = (z * kernel.input_scale).float().to(DEVICE)
    hidden, expected = torch.full_like(u, torch.nan), reference.ACTIVATIONS[name](u.double() / kernel.input_scale)
    kernel.apply(u, hidden)
    torch.testing.assert_close(hidden.double(), expected, rtol=4 * 2**-23, atol=0)
    delta = torch.ones_like(u)
    kernel.multiply_derivative_(delta, u, hidden)
    slope = reference.DERIVATIVES[name](u.double() / kernel.input_scale) / kernel.input_scale
    torch.testing.assert_close(delta[:-1].double(), slope[:-1], rtol=1e-5, atol=2e-6)
    assert kernel.apply(torch.full_like(u, torch.nan), hidden) is None and hidden.isnan().all()


Network = tuple[list[torch.Tensor], torch.Tensor, torch.Tensor]


def network(widths: tuple[int, ...], samples: int, readout: bool = True) -> Network:
    """Weights, inputs and labels of two instances of three chains, float64."""
    generator = torch.Generator().manual_seed(1)
    dims = (7, *widths)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator).float().double().to(DEVICE)

    weights = [normal(2, 3, *shape) for shape in zip(dims[1:], dims[:-1], strict=True)]
    weights += [normal(2, 3, dims[-1])] if readout else []
    return weights, normal(2, samples, 7), normal(2, 1, samples)


def expected_gradient(case: Network, name: str, noise_variance: float) -> tuple[torch.Tensor, torch.Tensor]:
    weights, inputs, labels = case
    residual = reference.latent(weights, inputs, name) - labels
    pulled = reference.pull_back(weights, inputs, name, residual / noise_variance)
    return torch.cat([(w + g).flatten() for w, g in zip(weights, pulled, strict=True)]), residual


def found_gradient(force, case: Network, noise_variance: float) -> tuple[torch.Tensor, torch.Tensor]:
    flat = torch.cat([weight.flatten() for weight in case[0]]).float()
    out = torch.full_like(flat, torch.nan)
    residual = force.misfit_gradient(flat, case[2].float(), noise_variance, out)
    return out.double(), residual.double()


SHAPES = [((63,), 100, True), ((100, 63), 63, True), ((5, 1, 7), 1, True), ((), 20, True), ((20, 9), 130, False)]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("widths", "samples", "readout"), SHAPES)
def test_gradients_in_blocks_are_the_definition(widths, samples, readout, name):
    case = network(widths, samples, readout)
    force = BlockedNetwork(case[1].float(), widths, TRITON_ACTIVATIONS[name], 3)
    for own, other in zip(found_gradient(force, case, 0.1), expected_gradient(case, name, 0.1), strict=True):
        assert float((own - other).norm() / other.norm()) < 2e-6


COARSE = [("tf32", 2e-3), ("fp16", 2e-3), ("bf16", 2e-2)]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("widths", "samples", "readout"), SHAPES)
@pytest.mark.parametrize(("precision", "tolerance"), COARSE)
def test_coarse_gradients_are_the_definition_to_their_rounding(widths, samples, readout, name, precision, tolerance):
    """In the interpreter "tf32" alone, which then rounds as float32: the products of the others are CUDA's."""
    if interpreted() and precision != "tf32":
        pytest.skip("products of 16-bit matrices with float32 results need a CUDA device")
    case = network(widths, samples, readout)
    force = CoarseNetwork(case[1].float(), widths, TRITON_ACTIVATIONS[name], 3, precision)
    exact = interpreted() and precision == "tf32"
    assert_close_to_the_definition(force, case, name, 2e-6 if exact else tolerance)


def assert_close_to_the_definition(force, case: Network, name: str, tolerance: float) -> None:
    """The slope of relu jumps: where rounding changes the sign of u it errs by one."""
    largest = math.sqrt(tolerance) if name == "relu" and tolerance > 1e-4 else tolerance
    for noise_variance in (0.1, 1e-4):
        found, expected = found_gradient(force, case, noise_variance), expected_gradient(case, name, noise_variance)
        for own, other in zip(found, expected, strict=True):
            assert float((own - other).norm() / other.norm()) < largest
    if name in MOVED:
        assert_moves_as_it_pulls(force, case, name, largest)


MOVED = ("tanh", "erf_sqrt2")
"""Of the activations: one whose slope needs its value alone, and one whose slope needs what it is taken of."""


def assert_moves_as_it_pulls(force, case: Network, name: str, tolerance: float) -> None:
    """Two advances are those by the definition's gradients, for a straight drift and for a rotation: changes of
    position and momentum, to the rounding of the force."""
    noise_variance = 0.1
    flat = torch.cat([weight.flatten() for weight in case[0]])
    lengths = [weight.numel() for weight in case[0]]
    blocks = Blocks(2, 3, tuple(weight[0, 0].numel() for weight in case[0]))
    kick = torch.tensor([[0.02, 0.04, 0.01], [0.03, 0.06, 0.015]], dtype=torch.float64, device=DEVICE)
    zero, one = torch.zeros_like(kick), torch.ones_like(kick)
    for own in ((kick, kick, one, 3 * kick, zero), (kick, zero, kick.cos(), kick.sin(), kick.sin())):
        coefficients = coefficients_of(blocks, *own)
        momentum = torch.randn(flat.shape, generator=torch.Generator().manual_seed(2)).double().to(DEVICE)
        found, expected = [flat.float(), momentum.float()], [flat.clone(), momentum.clone()]
        force.load(found[0])
        for _ in range(2):
            force.advance(*found, case[2].float(), noise_variance, coefficients)
            now = [part.view(shape.shape) for part, shape in zip(expected[0].split(lengths), case[0], strict=True)]
            gradient = expected_gradient((now, *case[1:]), name, noise_variance)[0] - expected[0]
            definition(Buffer(expected[0], blocks), Buffer(expected[1], blocks), gradient, coefficients)
        for values, wanted, before in zip(found, expected, (flat, momentum), strict=True):
            assert float((values.double() - wanted).norm() / (wanted - before).norm()) < tolerance


SMALL = [shape for shape in SHAPES if is_small(7, shape[0], "bf16")]


@pytest.mark.parametrize("at_a_time", [1, 1000])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("widths", "samples", "readout"), [*SMALL, ((128,), 70, True)])
@pytest.mark.parametrize(("precision", "tolerance"), COARSE)
def test_gradients_in_one_launch_are_the_definition(
    widths, samples, readout, name, precision, tolerance, at_a_time, monkeypatch
):
    """By a program a network, and by several; float32, which the interpreter does not round to tf32, there alone."""
    if interpreted() and precision == "bf16":
        pytest.skip("the interpreter multiplies no bfloat16")
    if not interpreted() and precision == "tf32":
        pytest.skip("on a GPU this kernel takes 16-bit formats")
    monkeypatch.setattr("nishimori_kernels.energy.small.MULTIPROCESSORS", at_a_time)
    case = network(widths, samples, readout)
    force = SmallNetwork(case[1].float(), widths, TRITON_ACTIVATIONS[name], 3, precision)
    exact = interpreted() and precision == "tf32"
    assert_close_to_the_definition(force, case, name, 2e-6 if exact else tolerance)
