"""Gradients of small networks in one launch: all layers of a chain, from its weights to their gradient, in one program.

One or two hidden layers, no layer wider than 128. A program holds the weights of a chain, in the format of the
products, and the sums of the weights' gradients, in float32, on the chip, and streams rows of the inputs past them:
between the inputs and the gradient nothing goes through memory. Where there are few chains, the rows are split among
programs, and a second launch adds their shares in a fixed order. Sizes are known at compile time: places in memory that
had to be computed would take the registers that the sums need.
"""

# pyright: reportPossiblyUnboundVariable=false
# What one depth has and the other has not is told apart at compile time.

import math
from collections.abc import Sequence
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from nishimori_kernels.energy.coarse import FORMATS
from nishimori_kernels.energy.gpu import IDENTITY, TANH, TritonActivation, base_of, slope_of
from nishimori_kernels.energy.weights import Split
from nishimori_kernels.pieces import launch

LARGEST = 128
SHALLOW_ROWS, DEEP_ROWS, SLOPED_ROWS = 64, 32, 16
"""Inputs that go through the layers together: with one layer; with two; and with two where the slope is more than a
product. As many as leave no register spilled."""
LEAST_PROGRAMS = 132
"""One a multiprocessor of the largest GPUs: rows are split until there are as many."""
OPTIONS: dict[str, Any] = {"num_warps": 8, "num_stages": 1, "enable_fp_fusion": True}
ADDED = 1024
_FORMATS = {"tf32": tl.float32, "bf16": tl.bfloat16, "fp16": tl.float16}


@triton.jit
def _matrix(weights, rows: tl.constexpr, columns: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """[rows, columns] of a chain, with zeros around it."""
    row, column = tl.arange(0, ROWS)[:, None], tl.arange(0, COLUMNS)[None, :]
    inside = (row < rows) & (column < columns)
    return tl.load(weights + row * columns + column, mask=inside, other=0.0)


@triton.jit
def _first_sum(matrix, scale, SHARED: tl.constexpr):
    """What the products of a weight gradient are added to: `scale` times the sum is the gradient, of the prior too
    where it is not SHARED."""
    if SHARED:
        return tl.zeros(matrix.shape, tl.float32)
    else:
        return matrix / scale


@triton.jit
def _store(share, scale, out):
    """scale * share, row by row with its padding."""
    row, column = tl.arange(0, share.shape[0])[:, None], tl.arange(0, share.shape[1])[None, :]
    tl.store(out + row * share.shape[1] + column, scale * share)


@triton.jit
def _store_inside(gradient, scale, out, rows: tl.constexpr, columns: tl.constexpr):
    """scale * gradient, without its padding."""
    row, column = tl.arange(0, gradient.shape[0])[:, None], tl.arange(0, gradient.shape[1])[None, :]
    tl.store(out + row * columns + column, scale * gradient, mask=(row < rows) & (column < columns))


@triton.jit
def small_gradient_kernel(
    weights, inputs, labels, residual, out,
    chains, samples, padded_samples, rows_a_split, networks, start_2, start_a,
    dim: tl.constexpr, width_1: tl.constexpr, width_2: tl.constexpr, scale_1, scale_2, readout_scale, out_scale,
    SHARED: tl.constexpr, DEPTH: tl.constexpr, SAMPLED: tl.constexpr, KIND: tl.constexpr, FORMAT: tl.constexpr,
    ROWS: tl.constexpr, DIM: tl.constexpr, WIDTH_1: tl.constexpr, WIDTH_2: tl.constexpr,
):  # fmt: skip
    """`weights` are flat: W_2 of all networks begins at `start_2`, the readouts at `start_a`. `inputs` [instances,
    padded_samples, DIM] have zeros around them. `out` is laid out like the weights, or where SHARED [splits, networks,
    padded], a split's part of the gradient of sum (F - y)^2 / (2 noise_variance), W_1 with its padding, then W_2, then
    the readout."""
    network, split = tl.program_id(0).to(tl.int64), tl.program_id(1).to(tl.int64)
    instance = network // chains
    inputs += instance * padded_samples * DIM
    labels += instance * samples
    residual += network * samples
    top: tl.constexpr = WIDTH_1 if DEPTH == 1 else WIDTH_2
    top_width: tl.constexpr = width_1 if DEPTH == 1 else width_2
    place_1 = network * width_1 * dim
    place_2 = start_2 + network * width_2 * width_1
    place_a = start_a + network * top_width
    matrix_1 = _matrix(weights + place_1, width_1, dim, WIDTH_1, DIM)
    sum_1 = _first_sum(matrix_1, out_scale * scale_1, SHARED)
    first = matrix_1.to(FORMAT)
    if DEPTH == 2:
        matrix_2 = _matrix(weights + place_2, width_2, width_1, WIDTH_2, WIDTH_1)
        sum_2 = _first_sum(matrix_2, out_scale * scale_2, SHARED)
        second = matrix_2.to(FORMAT)
    unit = tl.arange(0, top)
    readout = tl.where(unit < top_width, 1.0, 0.0)
    if SAMPLED:
        readout = tl.load(weights + place_a + unit, mask=unit < top_width, other=0.0)
    sum_a = tl.zeros((top,), tl.float32)
    column = tl.arange(0, DIM)
    begin = split * rows_a_split
    end = tl.minimum(begin + rows_a_split, samples)
    for low in range(begin, end, ROWS):
        row = low + tl.arange(0, ROWS)
        there = row < end
        x = tl.load(inputs + row[:, None] * DIM + column[None, :])
        y = tl.load(labels + row, mask=there, other=0.0)
        u_1 = scale_1 * tl.dot(first, tl.trans(x))
        h_1 = base_of(u_1, KIND)
        if DEPTH == 2:
            rounded = h_1.to(FORMAT)
            u_top = scale_2 * tl.dot(second, rounded)
            h_top = base_of(u_top, KIND)
        else:
            u_top = u_1
            h_top = h_1
        r = readout_scale * tl.sum(h_top * readout[:, None], axis=0) - y  # 0 beyond the last input: base(0) = 0
        tl.store(residual + row, r, mask=there)
        sum_a += tl.sum(h_top * r[None, :], axis=1)
        delta = (r[None, :] * readout[:, None] * slope_of(u_top, h_top, KIND)).to(FORMAT)
        if DEPTH == 2:
            sum_2 += tl.dot(delta, tl.trans(rounded))
            pulled = scale_2 * tl.dot(tl.trans(second), delta)
            delta = (pulled * slope_of(u_1, rounded.to(tl.float32), KIND)).to(FORMAT)
        sum_1 += tl.dot(delta, x)
    if SHARED:
        padded: tl.constexpr = WIDTH_1 * DIM + WIDTH_2 * WIDTH_1 * (DEPTH - 1) + top
        out += (split * networks + network) * padded
        _store(sum_1, out_scale * scale_1, out)
        out += WIDTH_1 * DIM
        if DEPTH == 2:
            _store(sum_2, out_scale * scale_2, out)
            out += WIDTH_2 * WIDTH_1
        tl.store(out + unit, out_scale * sum_a)
    else:
        _store_inside(sum_1, out_scale * scale_1, out + place_1, width_1, dim)
        if DEPTH == 2:
            _store_inside(sum_2, out_scale * scale_2, out + place_2, width_2, width_1)
        if SAMPLED:
            tl.store(out + place_a + unit, readout + out_scale * sum_a, mask=unit < top_width)


@triton.jit
def add_shares_kernel(
    weights, shares, out, splits, networks, parameters, size_1, size_2, start_2, start_a,
    dim: tl.constexpr, width_1: tl.constexpr,
    DEPTH: tl.constexpr, DIM: tl.constexpr, WIDTH_1: tl.constexpr, WIDTH_2: tl.constexpr, ADDED: tl.constexpr,
):  # fmt: skip
    """out = weights + the shares of all splits, in their order: some elements of a network a program."""
    network = tl.program_id(0).to(tl.int64)
    element = tl.program_id(1) * ADDED + tl.arange(0, ADDED)
    inside = element < parameters
    top: tl.constexpr = WIDTH_1 if DEPTH == 1 else WIDTH_2
    padded: tl.constexpr = WIDTH_1 * DIM + WIDTH_2 * WIDTH_1 * (DEPTH - 1) + top
    second, readout = element - size_1, element - size_1 - size_2
    place = element // dim * DIM + element % dim
    where = network * size_1 + element
    if DEPTH == 2:
        place = tl.where(second < 0, place, WIDTH_1 * DIM + second // width_1 * WIDTH_1 + second % width_1)
        where = tl.where(second < 0, where, start_2 + network * size_2 + second)
    place = tl.where(readout < 0, place, padded - top + readout)
    where = tl.where(readout < 0, where, start_a + network * (parameters - size_1 - size_2) + readout)
    total = tl.load(weights + where, mask=inside, other=0.0)
    for split in range(splits):
        total += tl.load(shares + (split * networks + network) * padded + place, mask=inside, other=0.0)
    tl.store(out + where, total, mask=inside)


def is_small(input_dim: int, widths: Sequence[int], precision: str) -> bool:
    """Whether there is such a gradient: float32 weights of two layers would not fit on the chip."""
    return precision in ("bf16", "fp16") and len(widths) in (1, 2) and max(input_dim, *widths) <= LARGEST


def _rows_of(depth: int, kind: int) -> int:
    if depth == 1:
        return SHALLOW_ROWS
    return DEEP_ROWS if kind in (TANH.value, IDENTITY.value) else SLOPED_ROWS


class SmallNetwork:
    """The gradient of `CoarseNetwork`, for networks that `is_small` says are."""

    def __init__(
        self, inputs: Tensor, widths: Sequence[int], kernel: TritonActivation, chains: int, precision: str
    ) -> None:
        instances, samples, input_dim = inputs.shape
        dims = (input_dim, *widths)
        self._split = Split(instances, chains, dims)
        self._networks, self._chains, self._samples = instances * chains, chains, samples
        self._kernel, self._format = kernel, _FORMATS[precision]
        self._residual = inputs.new_empty(instances, chains, samples)
        self._shape = (*dims, 0)[:3]
        scales = [kernel.input_scale / math.sqrt(dim) for dim in dims[:-1]]
        self._scales = (*scales, 0.0)[:2]
        self._readout_scale = 1 / math.sqrt(dims[-1])
        self._padded = [max(16, triton.next_power_of_2(dim)) for dim in self._shape]
        self._rows = _rows_of(len(widths), kernel.kind)
        blocks = triton.cdiv(samples, self._rows)
        self._rows_a_split = self._rows * triton.cdiv(blocks, min(blocks, triton.cdiv(LEAST_PROGRAMS, self._networks)))
        self._splits = triton.cdiv(samples, self._rows_a_split)
        missing = self._padded[0] - input_dim, blocks * self._rows - samples
        self._inputs = torch.nn.functional.pad(inputs, (0, missing[0], 0, missing[1])).to(FORMATS[precision])
        width_1, width_2 = self._shape[1:]
        self._sizes = width_1 * input_dim, width_2 * width_1
        padded = self._padded[1] * self._padded[0] + (self._padded[2] * self._padded[1] if width_2 else 0)
        shared = self._splits * self._networks * (padded + self._padded[len(widths)])
        self._shares = inputs.new_empty(shared) if self._splits > 1 else None

    def misfit_gradient(self, weights: Tensor, labels: Tensor, noise_variance: float, out: Tensor) -> Tensor:
        """As in `BlockedNetwork`, but for rounding."""
        depth, parameters = self._split.depth, weights.numel() // self._networks
        starts = self._networks * self._sizes[0], self._networks * sum(self._sizes)
        launch(
            small_gradient_kernel, (self._networks, self._splits), OPTIONS,
            weights, self._inputs, labels, self._residual, out if self._shares is None else self._shares,
            self._chains, self._samples, self._inputs.shape[1], self._rows_a_split, self._networks, *starts,
            *self._shape, *self._scales, self._readout_scale, self._readout_scale / noise_variance,
            self._shares is not None, depth, parameters > sum(self._sizes), self._kernel.kind, self._format,
            self._rows, *self._padded,
        )  # fmt: skip
        if self._shares is not None:
            launch(
                add_shares_kernel, (self._networks, triton.cdiv(parameters, ADDED)), OPTIONS,
                weights, self._shares, out,
                self._splits, self._networks, parameters, *self._sizes, *starts, *self._shape[:2],
                depth, *self._padded, ADDED,
            )  # fmt: skip
        return self._residual
