"""Batched matrix products with what stands beside them in the same launch, in Triton.

Matrices are contiguous or transposed views of contiguous ones, float32, bfloat16 or float16; sums are float32. Products
of float32 are taken as a mode says: "ieee", "tf32", or "bf16x3", operands as sums of two bfloat16 numbers less the
product of the small parts. The interpreter multiplies in float32, bfloat16 rounded as on a GPU and TF32 not at all.
"""

import math
from typing import Any, Protocol

import triton
import triton.language as tl
from torch import Tensor

from nishimori_kernels.dispatch import interpreted
from nishimori_kernels.energy.configs import Tile
from nishimori_kernels.energy.gpu import ERF, IDENTITY, TritonActivation, base_of, is_quick, slope_of
from nishimori_kernels.pieces import launch

GROUP = 8
"""Blocks of rows whose programs follow one another column by column, and find each other's operands in the cache."""
LOADED = 16
"""Bytes of the widest load."""
STRAIGHT, TURNED = tl.constexpr(False), tl.constexpr(True)
SIZES = ["rows", "columns", "inner"]
"""What the compiler has to know of them it is told by ALIGN: that they are multiples of a load."""


@triton.jit
def _to_bfloat16(x, INTERPRETED: tl.constexpr):
    """To nearest, ties to even. The interpreter casts by cutting off, and its products of bfloat16 are wrong: it gets
    the rounded number in float32."""
    if INTERPRETED:
        bits = x.to(tl.int32, bitcast=True)
        bits = (bits + 0x7FFF + ((bits >> 16) & 1)) & -65536
        return bits.to(tl.float32, bitcast=True)
    else:
        return x.to(tl.bfloat16)


@triton.jit
def _add_product(total, a, b, PRECISION: tl.constexpr, INTERPRETED: tl.constexpr):
    """total + a b."""
    if PRECISION == "bf16x3":
        a_high, b_high = _to_bfloat16(a, INTERPRETED), _to_bfloat16(b, INTERPRETED)
        a_low = _to_bfloat16(a - a_high.to(tl.float32), INTERPRETED)
        b_low = _to_bfloat16(b - b_high.to(tl.float32), INTERPRETED)
        total = tl.dot(a_low, b_high, total)
        total = tl.dot(a_high, b_low, total)
        return tl.dot(a_high, b_high, total)
    elif INTERPRETED:
        return tl.dot(a.to(tl.float32), b.to(tl.float32), total)
    else:
        return tl.dot(a, b, total, input_precision=PRECISION)


@triton.jit
def _block(rows, columns, ROWS: tl.constexpr, COLUMNS: tl.constexpr, GROUP: tl.constexpr):
    """The batch entry, first row and first column of this program."""
    program = tl.program_id(0).to(tl.int64)
    down, across = tl.cdiv(rows, ROWS), tl.cdiv(columns, COLUMNS)
    entry, place = program // (down * across), (program % (down * across)).to(tl.int32)
    first = place // (GROUP * across) * GROUP
    height = tl.minimum(down - first, GROUP)
    within = place % (GROUP * across)
    return entry, (first + within % height) * ROWS, within // height * COLUMNS


@triton.jit
def _product(
    first, second, entry, low_row, low_column, rows, columns, inner,
    FIRST_TURNED: tl.constexpr, SECOND_TURNED: tl.constexpr, EVEN: tl.constexpr, PRECISION: tl.constexpr,
    INTERPRETED: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, INNER: tl.constexpr,
):  # fmt: skip
    """A block of first second, float32. `first` is stored [rows, inner], [inner, rows] where TURNED; `second` likewise
    [inner, columns] or [columns, inner]. Beyond the last row or column it holds other elements' products."""
    row = ((low_row + tl.arange(0, ROWS)) % rows)[:, None]
    column = ((low_column + tl.arange(0, COLUMNS)) % columns)[None, :]
    step = tl.arange(0, INNER)
    first += entry * rows * inner
    second += entry * inner * columns
    if FIRST_TURNED:
        first += row + step[None, :].to(tl.int64) * rows
    else:
        first += row.to(tl.int64) * inner + step[None, :]
    if SECOND_TURNED:
        second += column.to(tl.int64) * inner + step[:, None]
    else:
        second += column + step[:, None].to(tl.int64) * columns
    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    for low in range(0, inner, INNER):
        if EVEN:
            a, b = tl.load(first), tl.load(second)
        else:
            there = step < inner - low
            a = tl.load(first, mask=there[None, :], other=0.0)
            b = tl.load(second, mask=there[:, None], other=0.0)
        total = _add_product(total, a, b, PRECISION, INTERPRETED)
        first += INNER * rows if FIRST_TURNED else INNER
        second += INNER if SECOND_TURNED else INNER * columns
    return total


@triton.jit
def _places(entry, low_row, low_column, rows, columns, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """Of a block: where its elements are in a batch [rows, columns], and which of them there are."""
    row, column = low_row + tl.arange(0, ROWS), low_column + tl.arange(0, COLUMNS)
    inside = (row < rows)[:, None] & (column < columns)[None, :]
    return entry * rows * columns + row.to(tl.int64)[:, None] * columns + column[None, :], inside


@triton.jit
def _store(target, where, values, inside, INTERPRETED: tl.constexpr):
    if INTERPRETED and (target.dtype.element_ty == tl.bfloat16):
        values = _to_bfloat16(values, INTERPRETED)
    tl.store(target + where, values.to(target.dtype.element_ty), mask=inside)


@triton.jit(do_not_specialize=SIZES)
def lift_kernel(
    first, second, u, hidden, scale, rows, columns, inner,
    KIND: tl.constexpr, QUICK: tl.constexpr,
    SECOND_TURNED: tl.constexpr, ALIGN: tl.constexpr, EVEN: tl.constexpr, PRECISION: tl.constexpr,
    INTERPRETED: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, INNER: tl.constexpr, GROUP: tl.constexpr,
):  # fmt: skip
    """hidden = base(scale * first second), and u is what base is taken of, where the slope needs it."""
    columns, inner = columns // ALIGN * ALIGN, inner // ALIGN * ALIGN
    entry, low_row, low_column = _block(rows, columns, ROWS, COLUMNS, GROUP)
    values = scale * _product(
        first, second, entry, low_row, low_column, rows, columns, inner,
        STRAIGHT, SECOND_TURNED, EVEN, PRECISION, INTERPRETED, ROWS, COLUMNS, INNER,
    )  # fmt: skip
    where, inside = _places(entry, low_row, low_column, rows, columns, ROWS, COLUMNS)
    if KIND == ERF:
        _store(u, where, values, inside, INTERPRETED)
    _store(hidden, where, base_of(values, KIND, QUICK), inside, INTERPRETED)


@triton.jit(do_not_specialize=SIZES)
def descend_kernel(
    first, second, own, out, scale, rows, columns, inner,
    KIND: tl.constexpr, ALIGN: tl.constexpr, EVEN: tl.constexpr, PRECISION: tl.constexpr, INTERPRETED: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, INNER: tl.constexpr, GROUP: tl.constexpr,
):  # fmt: skip
    """out = scale * first second * base', the slope at `own`: u where it needs u, else base(u); `first` is stored
    [inner, rows]."""
    rows, columns = rows // ALIGN * ALIGN, columns // ALIGN * ALIGN
    entry, low_row, low_column = _block(rows, columns, ROWS, COLUMNS, GROUP)
    values = scale * _product(
        first, second, entry, low_row, low_column, rows, columns, inner,
        TURNED, STRAIGHT, EVEN, PRECISION, INTERPRETED, ROWS, COLUMNS, INNER,
    )  # fmt: skip
    where, inside = _places(entry, low_row, low_column, rows, columns, ROWS, COLUMNS)
    at = tl.load(own + where, mask=inside, other=0.0).to(tl.float32)
    _store(out, where, values * slope_of(at, at, KIND), inside, INTERPRETED)


@triton.jit(do_not_specialize=SIZES)
def weigh_kernel(
    first, second, addend, out, scale, rows, columns, inner,
    ADDED: tl.constexpr, SECOND_TURNED: tl.constexpr, ALIGN: tl.constexpr, EVEN: tl.constexpr,
    PRECISION: tl.constexpr, INTERPRETED: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, INNER: tl.constexpr, GROUP: tl.constexpr,
):  # fmt: skip
    """out = scale * first second, + addend where ADDED."""
    columns, inner = columns // ALIGN * ALIGN, inner // ALIGN * ALIGN
    entry, low_row, low_column = _block(rows, columns, ROWS, COLUMNS, GROUP)
    values = scale * _product(
        first, second, entry, low_row, low_column, rows, columns, inner,
        STRAIGHT, SECOND_TURNED, EVEN, PRECISION, INTERPRETED, ROWS, COLUMNS, INNER,
    )  # fmt: skip
    where, inside = _places(entry, low_row, low_column, rows, columns, ROWS, COLUMNS)
    if ADDED:
        values += tl.load(addend + where, mask=inside, other=0.0)
    _store(out, where, values, inside, INTERPRETED)


class Tiles(Protocol):
    """Says which tile a kernel takes; see `Configs`."""

    def tile(self, kernel: str, mode: str, rows: int, columns: int) -> Tile: ...


class TritonProducts:
    """The `Products` of `CoarseNetwork`, in one launch each; `mode` is "ieee", "tf32", "bf16x3", or "fp16" or "bf16",
    the format of the operands."""

    def __init__(self, kernel: TritonActivation, mode: str, tiles: Tiles) -> None:
        self._kernel, self._mode, self._tiles = kernel, mode, tiles
        self._precision = "ieee" if mode in ("fp16", "bf16") else mode

    def lift(self, matrix: Tensor, below: Tensor, u: Tensor, hidden: Tensor, scale: float) -> None:
        self._lift(matrix, below, u, hidden, scale, self._kernel.kind)

    def lift_top(self, matrix: Tensor, below: Tensor, u: Tensor, scale: float) -> float:
        self._lift(matrix, below, u, u, scale, IDENTITY.value)
        return 1.0

    def descend(self, matrix: Tensor, delta: Tensor, u: Tensor, hidden: Tensor, scale: float, out: Tensor) -> None:
        own = hidden if self._kernel.from_output else u
        sizes = matrix.shape[2], delta.shape[2], matrix.shape[1]
        tile, constants = self._constants("descend", sizes, matrix, sizes[0], sizes[1])
        grid = self._grid(tile, matrix, sizes)
        arguments = matrix, delta, own, out, scale, *sizes, self._kernel.kind
        launch(descend_kernel, grid, tile.options, *arguments, *constants)

    def add(self, added: Tensor | None, first: Tensor, second: Tensor, alpha: float, out: Tensor) -> None:
        sizes = _sizes(first, second)
        tile, constants = self._constants("weigh", sizes, first, sizes[1], sizes[2])
        grid = self._grid(tile, first, sizes)
        addend, own = (out, False) if added is None else (added, True)
        arguments = first, second, addend, out, alpha, *sizes, own, _turned(second)
        launch(weigh_kernel, grid, tile.options, *arguments, *constants)

    def _lift(self, matrix: Tensor, below: Tensor, u: Tensor, hidden: Tensor, scale: float, kind: int) -> None:
        sizes = _sizes(matrix, below)
        tile, constants = self._constants("lift", sizes, matrix, sizes[1], sizes[2])
        grid = self._grid(tile, matrix, sizes)
        arguments = matrix, below, u, hidden, scale, *sizes, kind, is_quick(hidden.dtype), _turned(below)
        launch(lift_kernel, grid, tile.options, *arguments, *constants)

    def _constants(
        self, name: str, sizes: tuple[int, int, int], operand: Tensor, *contiguous: int
    ) -> tuple[Tile, tuple[Any, ...]]:
        """The tile of a kernel, and its constants from ALIGN on; `contiguous` are the sizes along which elements lie
        side by side."""
        tile = self._tiles.tile(name, self._mode, *sizes[:2])
        align = math.gcd(LOADED // operand.element_size(), *contiguous)
        blocks = tile.rows, tile.columns, tile.inner, GROUP
        return tile, (align, sizes[2] % tile.inner == 0, self._precision, interpreted(), *blocks)

    def _grid(self, tile: Tile, operand: Tensor, sizes: tuple[int, int, int]) -> tuple[int]:
        return (operand.shape[0] * triton.cdiv(sizes[0], tile.rows) * triton.cdiv(sizes[1], tile.columns),)


def _sizes(first: Tensor, second: Tensor) -> tuple[int, int, int]:
    """Rows, columns and inner size of a product."""
    return first.shape[1], second.shape[2], first.shape[2]


def _turned(operand: Tensor) -> bool:
    """Whether a matrix is stored column by column."""
    return operand.stride(-1) != 1
