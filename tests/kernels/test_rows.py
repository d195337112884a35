"""Sums of rows: torch's, and the same whatever stands beside a row."""

import pytest
import torch
from buffers import FORMATS

from nishimori_kernels.rows import row_mean, row_sum

LONG = 100_003
"""More than torch leaves to one thread."""


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("columns", [1, 63, LONG])
@pytest.mark.usefixtures("two_threads")
def test_a_row_has_the_same_sum_alone(columns, dtype):
    values = torch.randn(2, 2, columns, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(dtype)
    assert torch.equal(row_sum(values), values.sum(-1))
    assert torch.equal(row_mean(values), values.mean(-1))
    for whole, function in ((row_sum(values), row_sum), (row_mean(values), row_mean)):
        assert torch.equal(function(values[1:, 1:]), whole[1:, 1:])
        assert torch.equal(function(values[1, 1]), whole[1, 1])


@pytest.mark.usefixtures("two_threads")
def test_sums_of_torch_do_not_keep_that_promise():
    """The negative control."""
    values = torch.randn(2, LONG, generator=torch.Generator().manual_seed(0))
    if torch.equal(values[0].sum(-1), values.sum(-1)[0]):
        pytest.skip("torch sums a long row on one thread here")
