"""The Metropolis decision and its consequence: what is not finite is rejected, and stays behind."""

import pytest
import torch
from buffers import BLOCKS, FORMATS, LONG, buffer, by_threads, copy

from nishimori_kernels.accept import metropolis, reference, restore_
from nishimori_kernels.blocks import Blocks, Buffer

CASES = [*BLOCKS, LONG]
IMPLEMENTATIONS = ["numba", "torch"]


@pytest.mark.parametrize("shape", [(1, 1), (1, 63), (5, 20), (2, 3, 4)])
def test_the_decision_is_the_definition(shape):
    generator = torch.Generator().manual_seed(3)
    error = 3 * torch.randn(shape, generator=generator)
    uniform = torch.rand(shape, generator=generator)
    found, expected = metropolis(error, uniform, 2.5), reference.metropolis(error, uniform, 2.5)
    torch.testing.assert_close(found.acceptance, expected[0], rtol=1e-15, atol=0)
    for values, wanted in zip(found[1:], expected[1:], strict=True):
        assert values.dtype == torch.bool and torch.equal(values, wanted)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_what_is_not_finite_is_rejected(implementation):
    error = torch.tensor([[torch.nan, torch.inf, -torch.inf, 0.0, -5.0, 1000.0, -1000.5, 1e-300]])
    found = metropolis(error, torch.full_like(error, 0.5), 1000.0, implementation)
    assert found.acceptance[0, :7].tolist() == [0, 0, 0, 1, 1, 0, 1]
    assert found.accepted.tolist() == [[False, False, False, True, True, False, True, True]]
    assert found.divergent.tolist() == [[True, True, True, False, False, False, True, False]]


def test_the_probability_is_that_of_the_decision():
    """Acceptance exp(-error) is where uniforms change from accepted to rejected."""
    error = torch.linspace(0.01, 5, 63)
    probability = torch.exp(-error)
    assert metropolis(error, probability * (1 - 1e-12), 1e3).accepted.all()
    assert not metropolis(error, probability * (1 + 1e-12), 1e3).accepted.any()


def test_slices_are_read_where_they_are():
    wide = torch.linspace(-1, 2, 24).view(2, 3, 4)
    uniform = torch.full((2, 3, 4), 0.5)
    found = metropolis(wide[..., 1:], uniform[..., :-1], 1e3)
    for values, wanted in zip(found, reference.metropolis(wide[..., 1:], uniform[..., :-1], 1e3), strict=True):
        torch.testing.assert_close(values, wanted, rtol=1e-15, atol=0)


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("blocks", CASES, ids=str)
def test_a_rejected_nan_stays_behind(blocks, implementation, dtype):
    accepted = (torch.arange(blocks.rows) % 3 == 1).view(blocks.instances, blocks.chains)
    proposed, current = buffer(blocks, dtype), buffer(blocks, dtype, seed=1)
    expected = []
    for new, old in zip(proposed.parts, current.parts, strict=True):
        new[~accepted] = torch.nan
        old[accepted] = torch.nan
        expected.append(torch.where(accepted.unsqueeze(-1), new, old))
    before = current.flat.clone()
    restore_(accepted, proposed, current, implementation)
    assert torch.isfinite(proposed.flat).all()
    for part, wanted in zip(proposed.parts, expected, strict=True):
        assert torch.equal(part, wanted)
    assert torch.equal(current.flat.nan_to_num(), before.nan_to_num())


def test_the_same_for_any_number_of_threads():
    proposed, current = buffer(LONG, torch.float32), buffer(LONG, torch.float32, seed=1)

    def restored() -> torch.Tensor:
        out = copy(proposed)
        restore_(torch.tensor([[True, False]]), out, current)
        return out.flat

    one, two = by_threads(restored)
    assert torch.equal(one, two)


def test_what_does_not_fit_is_refused():
    blocks = Blocks(2, 3, (4,))
    values, accepted = buffer(blocks, torch.float32), torch.ones(2, 3, dtype=torch.bool)
    for wrong in (accepted.double(), accepted[:, :2], accepted.view(-1)):
        with pytest.raises(ValueError, match="give a bool for each of 2 x 3 rows"):
            restore_(wrong, values, copy(values))
    with pytest.raises(ValueError, match="same blocks and format"):
        restore_(accepted, values, Buffer(values.flat.double(), blocks))
    with pytest.raises(ValueError, match="is not known; use one of auto, numba, triton, torch"):
        restore_(accepted, values, values, "cuda")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="give one uniform an error"):
        metropolis(torch.zeros(2), torch.zeros(3), 1e3)
    with pytest.raises(ValueError, match="no numba kernel for meta tensors; use torch"):
        metropolis(torch.zeros(2, device="meta"), torch.zeros(2, device="meta"), 1e3, "numba")
