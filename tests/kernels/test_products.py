"""Products in Triton, and gradients made of them, beside their definitions: on a GPU, else in the interpreter."""

import math
from dataclasses import dataclass

import pytest
import torch
from networks import draw, flattened

from nishimori_kernels.dispatch import interpreted
from nishimori_kernels.energy import reference
from nishimori_kernels.energy.coarse import FORMATS
from nishimori_kernels.energy.configs import Tile, configs_on
from nishimori_kernels.energy.emulated import PRODUCTS, EmulatedNetwork
from nishimori_kernels.energy.fused import FusedNetwork
from nishimori_kernels.energy.gpu import TRITON_ACTIVATIONS
from nishimori_kernels.energy.products import TritonProducts

pytestmark = [
    pytest.mark.triton,
    pytest.mark.skipif(
        not interpreted() and not torch.cuda.is_available(),
        reason="Triton kernels need a CUDA device (torch.cuda.is_available() is False) or TRITON_INTERPRET=1",
    ),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),  # numpy's, of NaN and infinity in the interpreter
]
DEVICE = torch.device("cpu" if interpreted() else "cuda")
OPERANDS = {"ieee": torch.float32, **FORMATS}
CUT = 2e-3 if not interpreted() else 1e-6
"""Of products in TF32, which the interpreter takes in float32."""
PRODUCT = {"ieee": 1e-6, "tf32": CUT, "fp16": 1e-6, "bf16": 1e-6, "bf16x3": 2e-5}
"""Error of a product of operands in the format, summed in float32, relative to the largest entry."""
UNIT = {torch.float32: 0.0, torch.float16: 2.0**-11, torch.bfloat16: 2.0**-8}
"""Of what is then rounded to the format: the last bit of bfloat16, half of it of float16."""
# batch, rows, columns, inner
SIZES = [(2, 1, 1, 1), (3, 63, 100, 1), (1, 100, 63, 65), (2, 72, 136, 64)]
modes = pytest.mark.parametrize("mode", PRODUCT)
sizes = pytest.mark.parametrize("sizes", SIZES, ids=str)


@dataclass(frozen=True)
class OneTile:
    """For every product the same."""

    chosen: Tile

    def tile(self, kernel: str, mode: str, rows: int, columns: int) -> Tile:
        del kernel, mode, rows, columns
        return self.chosen


def products(name: str, mode: str) -> TritonProducts:
    return TritonProducts(TRITON_ACTIVATIONS[name], mode, configs_on(DEVICE))


def normal(seed: int, *shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(DEVICE, dtype)


def turned(matrix: torch.Tensor) -> torch.Tensor:
    """The same, stored column by column."""
    return matrix.transpose(1, 2).contiguous().transpose(1, 2)


def assert_product(found: torch.Tensor, expected: torch.Tensor, mode: str) -> None:
    largest = float(expected.abs().max())
    error = (found.double() - expected).abs()
    assert bool((error <= PRODUCT[mode] * largest + UNIT[found.dtype] * expected.abs()).all()), float(error.max())


@modes
@sizes
@pytest.mark.parametrize("name", ["tanh2", "erf"])
def test_a_lift_is_the_activation_of_a_scaled_product(sizes, name, mode):
    batch, rows, columns, inner = sizes
    dtype, scale = OPERANDS[mode], 0.7 / math.sqrt(inner)
    matrix, below = normal(1, batch, rows, inner, dtype=dtype), normal(2, batch, inner, columns, dtype=dtype)
    expected = scale * matrix.double() @ below.double()
    base = torch.erf if name == "erf" else torch.tanh
    for second in (below, turned(below)):
        u, hidden = (torch.full((batch, rows, columns), torch.nan, dtype=dtype, device=DEVICE) for _ in range(2))
        products(name, mode).lift(matrix, second, u, hidden, scale)
        assert_product(hidden, base(expected), mode)
        assert_product(u, expected, mode) if name == "erf" else None
        assert name == "erf" or bool(u.isnan().all())


@modes
@sizes
def test_a_top_lift_is_the_scaled_product(sizes, mode):
    batch, rows, columns, inner = sizes
    dtype = OPERANDS[mode]
    matrix, below = normal(1, batch, rows, inner, dtype=dtype), normal(2, batch, inner, columns, dtype=dtype)
    u = torch.full((batch, rows, columns), torch.nan, dtype=dtype, device=DEVICE)
    assert products("tanh", mode).lift_top(matrix, below, u, 0.1) == 1.0
    assert_product(u, 0.1 * matrix.double() @ below.double(), mode)


@modes
@sizes
@pytest.mark.parametrize("name", ["identity", "tanh", "erf", "relu"])
def test_a_descent_is_a_scaled_product_times_the_slope(sizes, name, mode):
    batch, inner, columns, rows = sizes
    dtype, kernel = OPERANDS[mode], TRITON_ACTIVATIONS[name]
    matrix, delta = normal(1, batch, inner, rows, dtype=dtype), normal(2, batch, inner, columns, dtype=dtype)
    u, hidden = (normal(seed, batch, rows, columns, dtype=dtype) for seed in (3, 4))
    own = (hidden if kernel.from_output else u).double()
    slope = {
        "identity": torch.ones_like(own),
        "tanh": 1 - own.square(),
        "erf": 2 / math.sqrt(math.pi) * torch.exp(-own.square()),
        "relu": (own > 0).double(),
    }[name]
    out = torch.full_like(u, torch.nan)
    products(name, mode).descend(matrix, delta, u, hidden, 0.3, out)
    assert_product(out, 0.3 * matrix.double().transpose(1, 2) @ delta.double() * slope, mode)


@modes
@sizes
def test_a_weight_gradient_is_added_in_float32(sizes, mode):
    batch, rows, columns, inner = sizes
    dtype = OPERANDS[mode]
    delta, below = normal(1, batch, rows, inner, dtype=dtype), normal(2, batch, inner, columns, dtype=dtype)
    added = normal(3, batch, rows, columns)
    expected = added.double() - 0.4 * delta.double() @ below.double()
    for second in (below, turned(below)):
        out = torch.full_like(added, torch.nan)
        products("tanh", mode).add(added, delta, second, -0.4, out)
        assert_product(out, expected, mode)


def test_bf16x3_is_the_emulated_product():
    """Nearer to it than the format is to float32: the parts are those, rounded to nearest."""
    first, second = normal(1, 1, 63, 100), normal(2, 1, 100, 64)
    out, zero = torch.full((1, 63, 64), torch.nan, dtype=torch.float32, device=DEVICE), first.new_zeros(1, 63, 64)
    products("tanh", "bf16x3").add(zero, first, second, 1.0, out)
    expected = PRODUCTS["bf16x3"](first, second)
    exact = first.double() @ second.double()
    error = float((expected - exact).norm())
    assert float((out - expected).norm()) < error / 4
    assert 1e-7 < error / float(exact.norm()) < 2e-5


@pytest.mark.parametrize("rows", [40, 150])
def test_programs_in_groups_cover_every_block_once(rows):
    """Of fewer rows than a group has, and of more: what is not written stays NaN, what is written twice doubles."""
    tile = OneTile(Tile(16, 16, 16, 4, 2))
    first, second = normal(1, 1, rows, 5), normal(2, 1, 5, 33)
    out = torch.full((1, rows, 33), torch.nan, dtype=torch.float32, device=DEVICE)
    TritonProducts(TRITON_ACTIVATIONS["tanh"], "ieee", tile).add(out.new_ones(out.shape), first, second, 1.0, out)
    assert_product(out, 1 + first.double() @ second.double(), "ieee")


GRADIENT = {"tf32": 2e-3 if not interpreted() else 2e-6, "fp16": 2e-3, "bf16": 2e-2, "bf16x3": 3e-5}
# instances, chains, samples, input_dim, widths
NETWORKS = [(3, 2, 7, 63, ()), (1, 2, 1, 1, (1,)), (2, 1, 100, 7, (63,)), (2, 2, 65, 9, (5, 1, 100))]


def gradients(case, name: str, mode: str, noise: float, fixed: bool = False):
    """Residual and gradient: those of the force, and the definition's in float64."""
    weights, inputs, _, _ = draw(case, torch.float32)
    own = [weight.to(DEVICE) for weight in (weights[:-1] if fixed else weights)]
    inputs = inputs.to(DEVICE)
    labels = inputs[..., 0].unsqueeze(1).contiguous()
    force = FusedNetwork(inputs, case[4], TRITON_ACTIVATIONS[name], case[1], mode)
    out = torch.full_like(flattened(own), torch.nan)
    found = force.misfit_gradient(flattened(own), labels, noise, out), out
    exact = [weight.double() for weight in own], inputs.double(), name
    residual = reference.latent(*exact) - labels.double()
    gradient = flattened(exact[0]) + flattened(reference.pull_back(*exact, residual / noise))
    return found, (residual, gradient)


def assert_rounded(found, expected, tolerance: float) -> None:
    for own, other in zip(found, expected, strict=True):
        assert float((own.double() - other).norm() / other.norm()) < tolerance


@pytest.mark.parametrize("mode", GRADIENT)
@pytest.mark.parametrize("case", NETWORKS, ids=str)
def test_a_fused_gradient_is_the_definition_to_its_rounding(case, mode):
    assert_rounded(*gradients(case, "tanh", mode, 0.1), GRADIENT[mode])


@pytest.mark.parametrize("name", TRITON_ACTIVATIONS)
def test_every_activation_has_a_fused_gradient(name):
    assert_rounded(*gradients((1, 2, 33, 5, (20, 9)), name, "bf16x3", 0.1), GRADIENT["bf16x3"])


def test_a_fixed_readout_has_a_fused_gradient():
    assert_rounded(*gradients((2, 2, 33, 5, (20, 9)), "erf", "bf16x3", 0.1, fixed=True), GRADIENT["bf16x3"])


def test_fp16_stays_in_its_range_where_the_noise_is_small():
    """A residual divided by such a variance would not be a float16."""
    assert_rounded(*gradients((1, 2, 33, 5, (20, 9)), "tanh", "fp16", 1e-7), GRADIENT["fp16"])


@pytest.mark.parametrize("mode", ["fp16", "bf16", "bf16x3"])
def test_a_fused_gradient_errs_as_the_emulated_one(mode):
    """Within a factor of two, as two ways of rounding the same numbers do."""
    case = (1, 2, 65, 30, (40, 33))
    (_, found), (_, expected) = gradients(case, "tanh", mode, 0.1)
    weights, inputs, _, _ = draw(case, torch.float32)
    emulated = torch.empty_like(flattened(weights))
    labels = inputs[..., 0].unsqueeze(1).contiguous()
    EmulatedNetwork(inputs, case[4], "tanh", case[1], mode).misfit_gradient(flattened(weights), labels, 0.1, emulated)
    errors = [float((own.double().to(DEVICE) - expected).norm()) for own in (found, emulated)]
    assert errors[1] / 2 < errors[0] < 2 * errors[1]
