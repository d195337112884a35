"""Standard normals in every block of a buffer, and their sums of squares, in Triton: the bits of `rng`."""

import triton
import triton.language as tl
from torch import Tensor

from nishimori_kernels.blocks import Buffer
from nishimori_kernels.overlap.gpu import partial_sums, sum_pieces
from nishimori_kernels.pieces import EXACT, LANES, launch, pieces_of, place
from nishimori_kernels.rng.address import Address
from nishimori_kernels.rng.gpu import key_of, normals_at, rows_of, step_of


@triton.jit(do_not_specialize=["key"])
def refresh_kernel(
    out, partial, key, step, chains, tags, table, count, rows, chain_count,
    SQUARED: tl.constexpr, ALIGNED: tl.constexpr, LANES: tl.constexpr,
):  # fmt: skip
    task, row, _, element, start, size = place(table, count, rows, ALIGNED)
    chain, tag = tl.load(chains + row % chain_count), tl.load(tags + row // chain_count)
    quad = element // 4
    values = normals_at(key, quad + tl.arange(0, LANES // 4), tl.load(step), chain, tag)
    lanes = tl.arange(0, LANES)
    if not ALIGNED:
        lanes += (4 * quad - element).to(tl.int32)
    inside = (lanes >= 0) & (lanes < size)
    tl.store(out + start + lanes, values.to(out.dtype.element_ty), mask=inside)
    if SQUARED:
        wide = tl.where(inside, values, 0.0).to(tl.float64)
        tl.store(partial + task, tl.sum(wide * wide, axis=0))


def fill_normals_(buffer: Buffer, address: Address) -> None:
    """As `refresh.fill_normals_`."""
    _refresh(buffer, address, None)


def refresh_(buffer: Buffer, address: Address) -> Tensor:
    """As `refresh.refresh_`."""
    blocks, pieces = buffer.blocks, pieces_of(buffer.blocks, buffer.flat.device)
    partial = partial_sums(blocks, pieces, buffer.flat.device)
    _refresh(buffer, address, partial)
    return sum_pieces(partial, blocks, pieces)


def _refresh(buffer: Buffer, address: Address, partial: Tensor | None) -> None:
    """Sums of squares go to `partial` where it is given."""
    device, blocks = buffer.flat.device, buffer.blocks
    pieces = pieces_of(blocks, device)
    launch(
        refresh_kernel, (pieces.tasks(blocks),), EXACT,
        buffer.flat, buffer.flat if partial is None else partial,
        key_of(address), step_of(address, device), *rows_of(address, device),
        pieces.table, pieces.count, blocks.rows, blocks.chains, partial is not None, pieces.aligned, LANES,
    )  # fmt: skip
