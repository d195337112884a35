"""Batched products: the definition, and an entry to the bit whatever stands beside it."""

import pytest
import torch
from buffers import FORMATS, by_threads
from torch import Tensor

from nishimori_kernels.batched_products import multiply, reference
from nishimori_kernels.batched_products.cpu import PANEL

# batch, share, rows, inner, columns
SIZES = [
    (1, 1, 1, 1, 1),
    (6, 3, 5, 7, 2),
    (3, 3, 1, 63, 100),
    (4, 1, 63, 100, 1),
    (2, 1, 33, 1, 5),
    (4, 2, 2 * PANEL + 5, 33, 50),
]
LAID = [(False, False), (True, False), (False, True), (True, True)]
"""Which operands are given as transposes."""
TOLERANCES = {torch.float32: 1e-5, torch.float64: 1e-13}


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def laid(matrices: Tensor, turned: bool) -> Tensor:
    return matrices.transpose(1, 2).contiguous().transpose(1, 2) if turned else matrices


def operands(size: tuple[int, ...], dtype: torch.dtype, turned: tuple[bool, bool] = (False, False)):
    """first, second and an addend."""
    batch, share, rows, inner, columns = size
    first, second = normal(batch, rows, inner), normal(batch // share, inner, columns, seed=1)
    addend = normal(batch, rows, columns, seed=2).to(dtype)
    return laid(first.to(dtype), turned[0]), laid(second.to(dtype), turned[1]), addend


def poisoned(like: Tensor) -> Tensor:
    return torch.full_like(like, torch.nan)


def entry(first: Tensor, second: Tensor, number: int) -> tuple[Tensor, Tensor]:
    """The operands of one entry, at addresses of their own."""
    own = number // (len(first) // len(second))
    return first[number : number + 1].clone(), second[own : own + 1].clone()


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("turned", LAID, ids=str)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_products_equal_the_definition(size, turned, dtype):
    first, second, addend = operands(size, dtype, turned)
    for alpha in (1.0, -0.3):
        for added in (None, addend):
            out = poisoned(addend)
            assert multiply(first, second, out=out, addend=added, alpha=alpha) is out
            wide = None if added is None else added.double()
            expected = reference.multiply(first.double(), second.double(), wide, alpha)
            torch.testing.assert_close(out.double(), expected, rtol=0, atol=TOLERANCES[dtype] * float(size[3] + 1))
            assert torch.equal(multiply(first, second, addend=added, alpha=alpha), out)
    itself = addend.clone()
    multiply(first, second, out=itself, addend=itself, alpha=-0.3)
    assert torch.equal(itself, multiply(first, second, addend=addend, alpha=-0.3))


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("turned", LAID, ids=str)
@pytest.mark.parametrize("size", [*SIZES, (8, 4, 5, 5, 8), (64, 16, 33, 50, 7)], ids=str)
def test_an_entry_has_the_same_bits_alone_and_on_any_number_of_threads(size, turned, dtype):
    first, second, addend = operands(size, dtype, turned)
    one, two = by_threads(lambda: multiply(first, second, addend=addend, alpha=0.3))
    assert torch.equal(one, two)
    for number in (0, size[0] // 2, size[0] - 1):
        alone = multiply(*entry(first, second, number), addend=addend[number : number + 1].clone(), alpha=0.3)
        assert torch.equal(alone[0], one[number])
    repeated = second.repeat_interleave(size[1], 0)
    assert torch.equal(multiply(first, laid(repeated, turned[1]), addend=addend, alpha=0.3), one)


def test_products_of_torch_do_not_keep_that_promise():
    """The negative control: at one of these sizes an entry of torch.bmm is rounded otherwise alone."""
    for width in (5, 7, 13, 31, 33, 50):
        first, second, _ = operands((8, 1, width, width, 7), torch.float64)
        for left in (first, first.transpose(1, 2)):
            together = torch.bmm(left, second)
            if any(not torch.equal(torch.bmm(*entry(left, second, b))[0], together[b]) for b in range(8)):
                return
    pytest.skip("this matrix library rounds all these products alike")


@pytest.mark.parametrize("dtype", FORMATS)
def test_a_nan_stays_in_its_entry(dtype):
    first, second, _ = operands((6, 1, 5, 7, 3), dtype)
    expected = multiply(first, second)
    first[2, 4, 1] = torch.nan
    found = multiply(first, second)
    assert found[2, 4].isnan().all()
    others = torch.arange(6) != 2
    assert torch.equal(found[others], expected[others])


def test_operands_may_be_parts_of_others():
    whole, second, _ = operands((4, 1, 9, 7, 3), torch.float64)
    for part in (whole[:, 2:8], whole[::2], whole[:, :, 1:6], whole.transpose(1, 2)[:, :, :5]):
        own = second[: len(part), : part.shape[2]]
        own = torch.cat([own, own], 1)[:, : part.shape[2]]
        torch.testing.assert_close(multiply(part, own), part @ own, rtol=1e-13, atol=1e-13)


def test_other_formats_are_multiplied_by_torch():
    first, second, addend = operands((6, 3, 5, 7, 2), torch.float64)
    found = multiply(first.bfloat16(), second.bfloat16(), addend=addend.bfloat16(), alpha=0.5)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.double(), reference.multiply(first, second, addend, 0.5), rtol=0, atol=0.1)


def test_what_does_not_fit_is_refused():
    first, second = torch.zeros(6, 2, 3), torch.zeros(2, 3, 4)
    out = torch.zeros(6, 2, 4)
    for wrong in (second[0], torch.zeros(4, 3, 4), torch.zeros(2, 4, 3), torch.zeros(0, 3, 4)):
        with pytest.raises(ValueError, match="cannot be multiplied"):
            multiply(first, wrong)
    for given, added in ((out[:, :1], out), (out, torch.zeros(2, 4))):
        with pytest.raises(ValueError, match=r"the product \[6, 2, 4\]; give that shape"):
            multiply(first, second, given, added)
    with pytest.raises(ValueError, match="torch.float32, torch.float64 are given together"):
        multiply(first, second.float())
    with pytest.raises(ValueError, match="give a contiguous tensor"):
        multiply(first, second, out=torch.zeros(6, 4, 2).transpose(1, 2))
    with pytest.raises(RuntimeError, match="grad"):
        multiply(first.requires_grad_(), second)
