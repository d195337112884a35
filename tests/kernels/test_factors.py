"""Factorised Gram matrices: small and large ones, by Numba and by LAPACK, equal the definition and stand alone."""

import pytest
import torch
from buffers import FORMATS, by_threads
from torch import Tensor

from nishimori_kernels.readout.factors import (
    SMALL,
    CompiledFactor,
    Factor,
    LapackFactor,
    factorised_gram,
    half_log_determinant,
)

SHIFT, SCALE = 0.3, 0.5
# batch, size, terms
SIZES = [(1, 1, 1), (5, 7, 3), (3, 63, 100), (2, 105, 300), (2, SMALL, 63), (3, SMALL + 1, 63), (2, SMALL + 8, 300)]


def rows_of(size: tuple[int, int, int], dtype: torch.dtype, turned: bool = False) -> Tensor:
    rows = torch.randn(*size, generator=torch.Generator().manual_seed(5), dtype=torch.float64).to(dtype)
    return rows.transpose(1, 2).contiguous().transpose(1, 2) if turned else rows


def columns_of(size: tuple[int, int, int], count: int) -> Tensor:
    generator = torch.Generator().manual_seed(6)
    return torch.randn(size[0], size[1], count, generator=generator, dtype=torch.float64)


def made(factor: Factor, columns: Tensor) -> list[Tensor]:
    """What a factor is asked for."""
    solved = factor.solve(columns), factor.whiten(columns), factor.colour(columns)
    return [factor.upper, half_log_determinant(factor), *solved, factor.inverse(torch.float64)]


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_factors_equal_the_definition(size, turned, dtype):
    rows, columns = rows_of(size, dtype, turned), columns_of(size, 4)
    factor = factorised_gram(rows, SCALE, SHIFT)
    assert isinstance(factor, CompiledFactor if size[1] <= SMALL else LapackFactor)
    wide, identity = rows.double(), torch.eye(size[1], dtype=torch.float64)
    matrix = SCALE**2 * wide @ wide.transpose(1, 2) + SHIFT * identity
    lower = torch.linalg.cholesky(matrix)
    inverse = torch.linalg.inv(matrix)
    expected = [
        lower.transpose(1, 2),
        torch.linalg.slogdet(matrix)[1] / 2,
        inverse @ columns,
        torch.linalg.inv(lower) @ columns,
        torch.linalg.inv(lower).transpose(1, 2) @ columns,
        inverse,
    ]
    tolerance = {torch.float64: 1e-10, torch.float32: 1e-3}[dtype]
    for found, wanted in zip(made(factor, columns), expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=tolerance, atol=tolerance)
    single = factor.inverse(torch.float32)
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), inverse, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("size", [size for size in SIZES if size[0] > 1], ids=str)
def test_a_matrix_has_the_same_bits_alone_and_on_any_number_of_numbas_threads(size, dtype):
    rows, columns = rows_of(size, dtype), columns_of(size, 3)
    one, two = by_threads(lambda: made(factorised_gram(rows, SCALE, SHIFT), columns))
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    for entry in range(size[0]):
        own = slice(entry, entry + 1)
        alone = made(factorised_gram(rows[own].clone(), SCALE, SHIFT), columns[own].clone())
        assert all(torch.equal(a[0], b[entry]) for a, b in zip(alone, one, strict=True))


def test_lapack_does_not_keep_that_promise_where_matrices_begin_anywhere():
    """The negative control: sizes that are not made up to a multiple of 8."""
    for size in (5, 7, 13, 31, 33, 63):
        rows = rows_of((8, size, size), torch.float64)
        lower = torch.linalg.cholesky(rows @ rows.transpose(1, 2) + torch.eye(size))
        together = torch.cholesky_inverse(lower)
        if any(not torch.equal(torch.cholesky_inverse(lower[b : b + 1])[0], together[b]) for b in range(8)):
            return
    pytest.skip("this LAPACK rounds matrices alike wherever they begin")


@pytest.mark.parametrize("size", [(3, 7, 9), (3, SMALL + 1, 9)], ids=str)
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_matrix_without_a_factor_is_alone(size, value):
    rows, columns = rows_of(size, torch.float64), columns_of(size, 2)
    expected = made(factorised_gram(rows, SCALE, SHIFT), columns)
    rows[1, 2, 3] = value
    found = made(factorised_gram(rows, SCALE, SHIFT), columns)
    assert found[1][1].isnan() and found[2][1].isnan().any()
    for entry in (0, 2):
        assert all(torch.equal(a[entry], b[entry]) for a, b in zip(found, expected, strict=True))


def test_an_indefinite_matrix_has_no_factor():
    for size in (5, SMALL + 1):
        factor = factorised_gram(rows_of((2, size, 3), torch.float64), SCALE, -1.0)
        assert half_log_determinant(factor).isnan().all()
