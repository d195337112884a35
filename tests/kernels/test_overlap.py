"""Inner products of rows: the definition, float64 sums in a fixed order, and refusals."""

import pytest
import torch
from buffers import BLOCKS, FORMATS, LONG, buffer, by_threads, first_row

from nishimori_kernels.blocks import Blocks, Buffer
from nishimori_kernels.overlap import reference, row_dot


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("blocks", [*BLOCKS, LONG], ids=str)
def test_the_kernel_equals_the_definition(blocks, dtype):
    first, second = buffer(blocks, dtype), buffer(blocks, dtype, seed=1)
    found = row_dot(first, second)
    assert found.dtype == torch.float64 and found.shape == (blocks.instances, blocks.chains)
    torch.testing.assert_close(found, reference.row_dot(first, second), rtol=1e-12, atol=1e-12)
    assert torch.equal(row_dot(first, second, "torch"), reference.row_dot(first, second))


@pytest.mark.parametrize("dtype", FORMATS)
def test_a_row_has_the_same_bits_for_any_number_of_threads_and_rows(dtype):
    first, second = buffer(LONG, dtype), buffer(LONG, dtype, seed=1)
    one, two = by_threads(lambda: row_dot(first, second))
    assert torch.equal(one, two)
    assert torch.equal(row_dot(first_row(first), first_row(second)), one[:, :1])


def test_products_of_float32_are_summed_in_float64():
    blocks = Blocks(1, 1, (3,))
    values = Buffer(torch.tensor([1e8, 1.0, -1e8], dtype=torch.float32), blocks)
    ones = Buffer(torch.ones(3, dtype=torch.float32), blocks)
    assert row_dot(values, ones).item() == 1.0


def test_a_nan_stays_in_its_row():
    values = buffer(BLOCKS[2], torch.float32)
    values.parts[1][1, 2, 62] = torch.nan
    assert torch.isnan(row_dot(values, values)).nonzero().tolist() == [[1, 2]]


def test_what_there_is_no_kernel_for_is_refused():
    blocks = Blocks(1, 2, (3,))
    plain = torch.zeros(6, dtype=torch.float32)
    given = {
        "is not known": (Buffer(plain, blocks), "cuda"),
        "no numba kernel for torch.float16": (Buffer(plain.half(), blocks), "auto"),
        "contiguous": (Buffer(torch.zeros(12, dtype=torch.float32)[::2], blocks), "auto"),
        "no gradients": (Buffer(plain.clone().requires_grad_(), blocks), "numba"),
        "no numba kernel for meta": (Buffer(plain.to("meta"), blocks), "numba"),
    }
    for message, (values, implementation) in given.items():
        with pytest.raises(ValueError, match=message):
            row_dot(values, values, implementation)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="same blocks and format"):
        row_dot(Buffer(plain, blocks), Buffer(plain.double(), blocks))
    with pytest.raises(ValueError, match="same blocks and format"):
        row_dot(Buffer(plain, blocks), Buffer(plain, Blocks(1, 3, (2,))))
    with pytest.raises(ValueError, match="has 6 elements and its blocks 9"):
        Buffer(plain, Blocks(1, 3, (3,)))
