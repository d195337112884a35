"""Products of batches of matrices: `reference` is the definition, `cpu` Numba's."""

from typing import Any, NamedTuple

import torch
from numpy.typing import NDArray
from torch import Tensor

from nishimori_kernels.batched_products import cpu
from nishimori_kernels.blas import one_thread_a_product, threads_for
from nishimori_kernels.dispatch import compiled


class _Matrices(NamedTuple):
    """Contiguous, or the transposes of what is meant where `turned`."""

    array: NDArray[Any]
    turned: bool


def multiply(
    first: Tensor, second: Tensor, out: Tensor | None = None, addend: Tensor | None = None, alpha: float = 1.0
) -> Tensor:
    """out[b] = addend[b] + alpha * first[b] @ second[b // share], of `first` [batch, rows, inner] and `second`
    [batch / share, inner, columns]; `addend` and `out` are [batch, rows, columns].

    `out` is contiguous and made where it is not given; it may be `addend`, and shares no memory with anything else.

    On the CPU, in float32 and float64, Numba's threads share the entries, and what an entry gives is the same to the
    bit whatever stands beside it and for any number of threads. Elsewhere, and in other formats, torch multiplies,
    entries that share a `second` as one matrix; how it rounds may depend on all of them.

    Raises ValueError for operands that do not fit each other or differ in format, and for an `out` that is not
    contiguous. Nothing is differentiated: torch raises RuntimeError for tensors that record gradients.
    """
    shape = _shape(first, second)
    out = first.new_empty(shape) if out is None else out
    _require(first, second, out, out if addend is None else addend, shape)
    if compiled(first):
        return _compiled(first, second, out, addend, alpha)
    return _folded(first, second, out, addend, alpha)


def _compiled(first: Tensor, second: Tensor, out: Tensor, addend: Tensor | None, alpha: float) -> Tensor:
    left, right = _as_it_lies(first), _as_it_lies(second)
    if left.turned and right.turned:
        right = _Matrices(second.contiguous().numpy(), False)
    added = written = out.numpy()
    kind = cpu.NOTHING
    if addend is not None:
        kind = cpu.ITSELF if addend.data_ptr() == out.data_ptr() else cpu.ANOTHER
        added = addend.contiguous().numpy()
    threads = threads_for(out.numel() * first.shape[2])
    with one_thread_a_product():
        cpu.multiply(*left, *right, kind, added, alpha, written, threads)
    return out


def _as_it_lies(matrices: Tensor) -> "_Matrices":
    """Contiguous matrices, or their transposes where those are; copied where neither is."""
    if matrices.is_contiguous() or matrices.stride(1) != 1:
        return _Matrices(matrices.contiguous().numpy(), False)
    return _Matrices(matrices.transpose(1, 2).contiguous().numpy(), True)


def _folded(first: Tensor, second: Tensor, out: Tensor, addend: Tensor | None, alpha: float) -> Tensor:
    batch = len(second)
    folded = out.view(batch, -1, out.shape[2])
    added = folded if addend is None else addend.reshape(folded.shape)
    rows = first.reshape(batch, -1, first.shape[2])
    torch.baddbmm(added, rows, second, beta=int(addend is not None), alpha=alpha, out=folded)
    return out


def _shape(first: Tensor, second: Tensor) -> tuple[int, int, int]:
    """Of the result; ValueError for matrices that cannot be multiplied."""
    if first.dim() == second.dim() == 3:
        (batch, rows, inner), (others, terms, columns) = first.shape, second.shape
        if inner == terms and others > 0 and batch % others == 0:
            return batch, rows, columns
    raise ValueError(
        f"matrices {list(first.shape)} cannot be multiplied by {list(second.shape)}; give [batch, rows, inner] and "
        "[batch / share, inner, columns]"
    )


def _require(first: Tensor, second: Tensor, out: Tensor, addend: Tensor, shape: tuple[int, int, int]) -> None:
    """ValueError unless all go together."""
    if out.shape != shape or addend.shape != shape:
        raise ValueError(
            f"out is {list(out.shape)}, the addend {list(addend.shape)} and the product {list(shape)}; give that shape"
        )
    dtype = first.dtype
    if second.dtype is not dtype or out.dtype is not dtype or addend.dtype is not dtype:
        formats = ", ".join(sorted({str(given.dtype) for given in (first, second, out, addend)}))
        raise ValueError(f"{formats} are given together; give tensors of one format")
    if not out.is_contiguous():
        raise ValueError(f"out has strides {out.stride()}; give a contiguous tensor")
