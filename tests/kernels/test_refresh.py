"""Momenta: the numbers of the portable generator in every block, and their sums of squares."""

import numpy as np
import pytest
import torch
from buffers import BLOCKS, FORMATS, LONG, by_threads, first_row, poisoned

from nishimori_kernels import rng
from nishimori_kernels.blocks import Blocks
from nishimori_kernels.overlap import row_dot
from nishimori_kernels.refresh import fill_normals_, refresh_
from nishimori_kernels.rng.address import Address, address_of
from nishimori_kernels.rng.streams import Stream

KEY, STEP = 0xFEDCBA9876543210, 2**32 - 1


def ids(blocks: Blocks) -> tuple[np.ndarray, np.ndarray]:
    return 2 + 3 * np.arange(blocks.instances), 2**32 - 1 - np.arange(blocks.chains)


def address(blocks: Blocks) -> Address:
    return address_of(KEY, Stream.MOMENTUM, STEP, *ids(blocks))


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("implementation", ["numba", "torch"])
@pytest.mark.parametrize("blocks", [*BLOCKS, LONG], ids=str)
def test_every_block_has_the_normals_of_its_elements(blocks, implementation, dtype):
    filled, refreshed = poisoned(blocks, dtype), poisoned(blocks, dtype)
    fill_normals_(filled, address(blocks), implementation)
    squares = refresh_(refreshed, address(blocks), implementation)
    first = 0
    for part, size in zip(filled.parts, blocks.sizes, strict=True):
        expected = torch.empty(part.shape, dtype=dtype)
        rng.fill_normals(expected, KEY, Stream.MOMENTUM, STEP, *ids(blocks), first_element=first)
        assert torch.equal(part, expected)
        first += size
    assert torch.equal(refreshed.flat, filled.flat)
    assert torch.equal(squares, row_dot(refreshed, refreshed, implementation))


@pytest.mark.parametrize("dtype", FORMATS)
def test_a_row_has_the_same_bits_for_any_number_of_threads_and_rows(dtype):
    def refreshed(blocks: Blocks) -> tuple[torch.Tensor, torch.Tensor]:
        out = poisoned(blocks, dtype)
        squares = refresh_(out, address(blocks))
        return first_row(out).flat, squares[0, 0]

    one, two = by_threads(lambda: refreshed(LONG))
    alone = refreshed(Blocks(1, 1, LONG.sizes))
    for other in (two, alone):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_uniforms_at_an_address_are_the_uniforms():
    blocks = Blocks(2, 3, (1,))
    expected = rng.uniforms(KEY, Stream.ACCEPT, STEP, *ids(blocks))
    where = address_of(KEY, Stream.ACCEPT, 0, *ids(blocks)).at(STEP)
    for implementation in ("numba", "torch", None):
        assert torch.equal(rng.uniforms_at(where, implementation=implementation), expected)
    with pytest.raises(ValueError, match=r"The step 4294967296 is out of range: .*\.$"):
        where.at(2**32)


def test_what_does_not_fit_is_refused():
    out = poisoned(Blocks(2, 3, (4,)), torch.float64)
    for refresh in (fill_normals_, refresh_):
        with pytest.raises(ValueError, match="an address of 3 instances and 2 chains is given for a buffer of 2 and 3"):
            refresh(out, address(Blocks(3, 2, (4,))))
        with pytest.raises(ValueError, match="is not known; use one of auto, numba, triton, torch"):
            refresh(out, address(out.blocks), "cuda")  # pyright: ignore[reportArgumentType]
        with pytest.raises(ValueError, match="no numba kernel for torch.float16"):
            refresh(poisoned(out.blocks, torch.float16), address(out.blocks))
