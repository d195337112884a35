"""Kick, drift and rotation: the definition bit for bit, piece by piece, and refusals."""

import math

import pytest
import torch
from buffers import BLOCKS, FORMATS, LONG, buffer, by_threads, copy, first_row

from nishimori_kernels.blocks import Blocks, Buffer
from nishimori_kernels.leapfrog import add_scaled_, kick_drift_, kick_rotate_, reference, rotate_
from nishimori_kernels.leapfrog.advance import advance_, coefficients_of

CASES = [*BLOCKS, LONG]


def factors(blocks: Blocks) -> list[torch.Tensor]:
    """In every shape there is."""
    count, instances, chains = len(blocks.sizes), blocks.instances, blocks.chains
    shapes = [(), (instances,), (instances, chains), (instances, 1), (count, instances, chains), (count, instances, 1)]
    return [torch.cos(torch.arange(math.prod(shape)) + 0.3).view(shape) for shape in shapes]


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("blocks", CASES, ids=str)
def test_scaled_addition_is_the_definition_bit_for_bit(blocks, dtype):
    for factor in factors(blocks):
        found, expected = buffer(blocks, dtype), buffer(blocks, dtype)
        direction = buffer(blocks, dtype, seed=1)
        add_scaled_(found, direction, factor)
        reference.add_scaled_(expected, direction, factor)
        assert torch.equal(found.flat, expected.flat)


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("blocks", CASES, ids=str)
def test_rotation_is_the_definition(blocks, dtype):
    for angle in factors(blocks):
        found, expected = ((buffer(blocks, dtype), buffer(blocks, dtype, seed=1)) for _ in range(2))
        rotate_(*found, angle)
        reference.rotate_(*expected, angle)
        tolerance = 4 * torch.finfo(dtype).eps
        for values, wanted in zip(found, expected, strict=True):
            torch.testing.assert_close(values.flat, wanted.flat, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("blocks", CASES, ids=str)
def test_a_kick_with_its_drift_is_the_two_of_them_bit_for_bit(blocks, dtype):
    for kick, drift in zip(factors(blocks), reversed(factors(blocks)), strict=True):
        (q, p), gradient = (buffer(blocks, dtype, seed) for seed in (0, 1)), buffer(blocks, dtype, seed=2)
        other_q, other_p = copy(q), copy(p)
        kick_drift_(q, p, gradient, kick, drift)
        add_scaled_(other_p, gradient, -kick)
        add_scaled_(other_q, other_p, drift)
        assert torch.equal(q.flat, other_q.flat) and torch.equal(p.flat, other_p.flat)


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("blocks", CASES, ids=str)
def test_a_kick_with_its_rotation_is_the_three_moves_bit_for_bit(blocks, dtype):
    for kick, angle in zip(factors(blocks), reversed(factors(blocks)), strict=True):
        (q, p), gradient = (buffer(blocks, dtype, seed) for seed in (0, 1)), buffer(blocks, dtype, seed=2)
        other_q, other_p = copy(q), copy(p)
        kick_rotate_(q, p, gradient, kick, angle)
        add_scaled_(other_p, gradient, -kick)
        add_scaled_(other_p, other_q, kick)
        rotate_(other_q, other_p, angle)
        assert torch.equal(q.flat, other_q.flat) and torch.equal(p.flat, other_p.flat)


@pytest.mark.parametrize("implementation", ["numba", "torch"])
def test_a_kick_with_its_drift_is_what_it_says(implementation):
    q, p, gradient = (buffer(BLOCKS[2], torch.float64, seed) for seed in range(3))
    kick, drift = torch.tensor([0.3, -1.2]), torch.tensor([0.7, 0.1])
    straight, turned = (copy(q), copy(p)), (copy(q), copy(p))
    kick_drift_(*straight, gradient, kick, drift, implementation)
    kick_rotate_(*turned, gradient, kick, drift, implementation)
    for block, (old_q, old_p, g) in enumerate(zip(q.parts, p.parts, gradient.parts, strict=True)):
        time, way = kick.view(-1, 1, 1), drift.view(-1, 1, 1)
        kicked, likelihood = old_p - time * g, old_p - time * (g - old_q)
        torch.testing.assert_close(straight[1].parts[block], kicked)
        torch.testing.assert_close(straight[0].parts[block], old_q + way * kicked)
        torch.testing.assert_close(turned[0].parts[block], way.cos() * old_q + way.sin() * likelihood)
        torch.testing.assert_close(turned[1].parts[block], way.cos() * likelihood - way.sin() * old_q)


@pytest.mark.parametrize("blocks", CASES, ids=str)
def test_an_advance_by_the_likelihood_is_a_move_by_the_whole_gradient(blocks):
    """A kick by U and a drift, and a kick by the likelihood and a rotation; U has the prior's |position|^2 / 2."""
    for kick, way in zip(factors(blocks), reversed(factors(blocks)), strict=True):
        kick, way = kick.double(), way.double()
        one, zero = torch.ones_like(kick), torch.zeros_like(kick)
        straight = coefficients_of(blocks, kick, kick, one, way, zero)
        turned = coefficients_of(blocks, kick, zero, way.cos(), way.sin(), way.sin())
        for move, coefficients in ((kick_drift_, straight), (kick_rotate_, turned)):
            (q, p), slope = (buffer(blocks, torch.float64, seed) for seed in (0, 1)), buffer(blocks, torch.float64, 2)
            other_q, other_p, rounded = copy(q), copy(p), torch.zeros_like(q.flat, dtype=torch.float32)
            advance_(q, p, 4 * slope.flat, coefficients, 0.25, rounded)
            move(other_q, other_p, Buffer(slope.flat + other_q.flat, blocks), kick, way)
            for found, expected in ((q, other_q), (p, other_p)):
                torch.testing.assert_close(found.flat, expected.flat, rtol=1e-13, atol=1e-13)
            assert torch.equal(rounded, q.flat.float())


def test_a_rotation_there_and_back_is_none():
    position, momentum = buffer(BLOCKS[2], torch.float64), buffer(BLOCKS[2], torch.float64, seed=1)
    before = position.flat.clone(), momentum.flat.clone()
    rotate_(position, momentum, torch.tensor([0.3, -1.2]))
    assert not torch.isclose(position.flat, before[0]).all()
    rotate_(position, momentum, torch.tensor([-0.3, 1.2]))
    torch.testing.assert_close((position.flat, momentum.flat), before, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("dtype", FORMATS)
def test_a_row_has_the_same_bits_for_any_number_of_threads_and_rows(dtype):
    position, momentum = buffer(LONG, dtype), buffer(LONG, dtype, seed=1)

    def moved(q: Buffer, p: Buffer) -> torch.Tensor:
        add_scaled_(p, q, torch.tensor(0.7))
        rotate_(q, p, torch.tensor(0.2))
        return torch.cat([first_row(q).flat, first_row(p).flat])

    one, two = by_threads(lambda: moved(copy(position), copy(momentum)))
    assert torch.equal(one, two)
    assert torch.equal(moved(first_row(position), first_row(momentum)), one)


def test_a_nan_stays_in_its_row():
    values, direction = buffer(BLOCKS[2], torch.float32), buffer(BLOCKS[2], torch.float32, seed=1)
    direction.parts[0][1, 1, 99] = torch.nan
    rotate_(values, direction, torch.tensor(0.5))
    add_scaled_(values, direction, torch.tensor(0.5))
    assert torch.isnan(values.flat).sum() == 1 and torch.isnan(values.parts[0][1, 1, 99])


@pytest.mark.parametrize("shape", [(3,), (2, 2), (3, 2, 3), (1, 1, 2, 3)])
def test_factors_of_another_shape_are_refused(shape):
    values = buffer(Blocks(2, 3, (4, 5)), torch.float64)
    for move in (add_scaled_, rotate_):
        for implementation in ("numba", "torch"):
            with pytest.raises(ValueError, match="fit no 2 blocks of 2 instances of 3 chains; give"):
                move(values, copy(values), torch.ones(shape), implementation)


def test_what_there_is_no_kernel_for_is_refused():
    blocks = Blocks(1, 1, (3,))
    half = Buffer(torch.zeros(3, dtype=torch.float16), blocks)
    single, double = (Buffer(torch.zeros(3, dtype=dtype), blocks) for dtype in FORMATS)
    for move in (add_scaled_, rotate_):
        with pytest.raises(ValueError, match="is not known; use one of auto, numba, triton, torch"):
            move(single, single, torch.tensor(1.0), "cuda")  # pyright: ignore[reportArgumentType]
        with pytest.raises(ValueError, match="no numba kernel for torch.float16; use"):
            move(half, half, torch.tensor(1.0), "auto")
        with pytest.raises(ValueError, match="same blocks and format"):
            move(single, double, torch.tensor(1.0), "torch")
