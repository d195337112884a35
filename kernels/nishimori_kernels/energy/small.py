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
from nishimori_kernels.energy.gpu import IDENTITY, TANH, TritonActivation, base_of, is_quick, slope_of
from nishimori_kernels.energy.weights import Split
from nishimori_kernels.leapfrog.gpu import advanced
from nishimori_kernels.pieces import launch

LARGEST = 128
SHALLOW_ROWS, DEEP_ROWS, ADVANCED_ROWS = 64, 32, 64
"""Inputs that go through the layers together: with one layer; with two; and with two where a program moves weights
itself, and the slope is a product. As many as leave no register spilled."""
MULTIPROCESSORS, STARTING = 132, 2
"""How many programs the largest GPUs run at a time, and what a program takes beside its rows, in blocks of them."""
LANES = tl.constexpr(4)
"""Inputs of which a thread has some that lie as far apart: its sums over them ask no other thread."""
OPTIONS: dict[str, Any] = {"num_warps": 8, "num_stages": 1, "enable_fp_fusion": True}
PREFETCHED = {"tf32": 2, "bf16": 2, "fp16": 3}
"""Stages where ADVANCED_ROWS inputs are taken, and those that come next loaded meanwhile: as few as spill nothing."""
ADDED, FINISHED = 1024, 4096
"""Elements that programs of `add_shares_kernel` and `small_gradient_kernel` finish at a time."""
_FORMATS = {"tf32": tl.float32, "bf16": tl.bfloat16, "fp16": tl.float16}


@triton.jit
def _matrix(weights, rows: tl.constexpr, columns: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """[rows, columns] of a chain, with zeros around it."""
    row, column = tl.arange(0, ROWS)[:, None], tl.arange(0, COLUMNS)[None, :]
    inside = (row < rows) & (column < columns)
    return tl.load(weights + row * columns + column, mask=inside, other=0.0)


@triton.jit
def _network_again(QUICK: tl.constexpr):
    """The program's network, asked for anew: places in memory that follow from it are then not computed, and kept in
    registers, before they are needed."""
    if QUICK:
        network = tl.inline_asm_elementwise("mov.u32 $0, %ctaid.x;", "=r", [], dtype=tl.int32, is_pure=False, pack=1)
    else:
        network = tl.program_id(0)
    return network.to(tl.int64)


@triton.jit
def _in_format(values, FORMAT: tl.constexpr, QUICK: tl.constexpr):
    """Two at a time, as what is used one by one the compiler would convert one by one."""
    if QUICK and FORMAT == tl.bfloat16:
        return tl.inline_asm_elementwise(
            "cvt.rn.bf16x2.f32 $0, $2, $1;", "=r,f,f", [values], dtype=tl.bfloat16, is_pure=True, pack=2
        )
    elif QUICK and FORMAT == tl.float16:
        return tl.inline_asm_elementwise(
            "cvt.rn.f16x2.f32 $0, $2, $1;", "=r,f,f", [values], dtype=tl.float16, is_pure=True, pack=2
        )
    else:
        return values.to(FORMAT)


@triton.jit
def _store(share, out):
    """Row by row, with its padding."""
    row, column = tl.arange(0, share.shape[0])[:, None], tl.arange(0, share.shape[1])[None, :]
    tl.store(out + row * share.shape[1] + column, share)


@triton.jit
def _store_inside(share, out, rows: tl.constexpr, columns: tl.constexpr):
    """Row by row, without its padding."""
    row, column = tl.arange(0, share.shape[0])[:, None], tl.arange(0, share.shape[1])[None, :]
    tl.store(out + row * columns + column, share, mask=(row < rows) & (column < columns))


@triton.jit
def _finish(slope, weights, rounded, out, where, inside, scale, coefficients, own, between, ADVANCE: tl.constexpr):
    """`out` = the gradient, that of the prior and the likelihood's `slope`; or, of weights and the momentum in `out`,
    what they are after an advance, and `rounded` = scale * the weights."""
    q = tl.load(weights + where, mask=inside, other=0.0)
    if ADVANCE:
        q, p = advanced(q, tl.load(out + where, mask=inside, other=0.0), slope, coefficients, own, between)
        tl.store(weights + where, q, mask=inside)
        tl.store(out + where, p, mask=inside)
        tl.store(rounded + where, (scale * q).to(rounded.dtype.element_ty), mask=inside)
    else:
        tl.store(out + where, q + slope, mask=inside)


@triton.jit
def _finish_layer(
    slope, weights, rounded, out, place, size: tl.constexpr, scale, coefficients, own, between,
    ADVANCE: tl.constexpr, FINISHED: tl.constexpr,
):  # fmt: skip
    """`_finish` of a layer of a network, which begins at `place`."""
    for low in range(0, size, FINISHED):
        element = low + tl.arange(0, FINISHED)
        where, inside = place + element, element < size
        own_slope = tl.load(slope + where, mask=inside, other=0.0)
        _finish(own_slope, weights, rounded, out, where, inside, scale, coefficients, own, between, ADVANCE)


@triton.jit
def small_gradient_kernel(
    weights, rounded, inputs, labels, residual, slope, out, coefficients,
    chains, samples, padded_samples, rows_a_split, networks, start_2, start_a, between,
    dim: tl.constexpr, width_1: tl.constexpr, width_2: tl.constexpr, scale_1, scale_2, readout_scale, out_scale,
    SHARED: tl.constexpr, ADVANCE: tl.constexpr, DEPTH: tl.constexpr, SAMPLED: tl.constexpr, KIND: tl.constexpr,
    FORMAT: tl.constexpr, QUICK: tl.constexpr, FINISHED: tl.constexpr,
    ROWS: tl.constexpr, DIM: tl.constexpr, WIDTH_1: tl.constexpr, WIDTH_2: tl.constexpr,
):  # fmt: skip
    """`weights` are flat: W_2 of all networks begins at `start_2`, the readouts at `start_a`. `inputs` [instances,
    padded_samples, DIM] have zeros around them. `slope` is the gradient of sum (F - y)^2 / (2 noise_variance), laid out
    like the weights and like `out`, which `_finish` describes and which may be the same; or, where SHARED, it is all
    there is: [splits, networks, padded], a split's part of it, W_1 with its padding, then W_2, then the readout."""
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
    first = _matrix(rounded + place_1, width_1, dim, WIDTH_1, DIM)
    sum_1 = tl.zeros((WIDTH_1, DIM), tl.float32)
    if DEPTH == 2:
        second = _matrix(rounded + place_2, width_2, width_1, WIDTH_2, WIDTH_1)
        sum_2 = tl.zeros((WIDTH_2, WIDTH_1), tl.float32)
    unit = tl.arange(0, top)
    readout = tl.where(unit < top_width, 1.0, 0.0)
    if SAMPLED:
        readout = tl.load(weights + place_a + unit, mask=unit < top_width, other=0.0)
    sum_a = tl.zeros((top, LANES), tl.float32)
    column = tl.arange(0, DIM)
    begin = split * rows_a_split
    end = tl.minimum(begin + rows_a_split, samples)
    for low in range(begin, end, ROWS):
        row = low + tl.arange(0, ROWS)
        there = row < end
        x = tl.load(inputs + row[:, None] * DIM + column[None, :])
        y = tl.load(labels + row, mask=there, other=0.0)
        u_1 = tl.dot(first, tl.trans(x))
        h_1 = base_of(u_1, KIND, QUICK)
        if DEPTH == 2:
            below = _in_format(h_1, FORMAT, QUICK)
            u_top = tl.dot(second, below)
            h_top = base_of(u_top, KIND, QUICK)
        else:
            u_top = u_1
            h_top = h_1
        r = readout_scale * tl.sum(h_top * readout[:, None], axis=0) - y  # 0 beyond the last input: base(0) = 0
        if not ADVANCE:
            tl.store(residual + row, r, mask=there)
        weighed = tl.reshape(h_top * r[None, :], (top, ROWS // (2 * LANES), LANES, 2))
        sum_a += tl.sum(tl.sum(weighed, axis=3), axis=1)
        delta = (r[None, :] * readout[:, None] * slope_of(u_top, h_top, KIND)).to(FORMAT)
        if DEPTH == 2:
            sum_2 += tl.dot(delta, tl.trans(below))  # pyright: ignore[reportArgumentType]
            pulled = tl.dot(tl.trans(second), delta)
            delta = (pulled * slope_of(u_1, below.to(tl.float32), KIND)).to(FORMAT)
        sum_1 += tl.dot(delta, x)
    sum_1 = out_scale * scale_1 * sum_1
    total_a = out_scale * tl.sum(sum_a, axis=1)
    if DEPTH == 2:
        sum_2 = out_scale * scale_2 * sum_2
    if SHARED:
        padded: tl.constexpr = WIDTH_1 * DIM + WIDTH_2 * WIDTH_1 * (DEPTH - 1) + top
        slope += (split * networks + network) * padded
        _store(sum_1, slope)
        if DEPTH == 2:
            _store(sum_2, slope + WIDTH_1 * DIM)
        tl.store(slope + padded - top + unit, total_a)
    else:
        network = _network_again(QUICK)
        place_1 = network * width_1 * dim
        place_2 = start_2 + network * width_2 * width_1
        place_a = start_a + network * top_width
        _store_inside(sum_1, slope + place_1, width_1, dim)
        if DEPTH == 2:
            _store_inside(sum_2, slope + place_2, width_2, width_1)
        tl.debug_barrier()
        _finish_layer(
            slope, weights, rounded, out, place_1, width_1 * dim, scale_1,
            coefficients, network, between, ADVANCE, FINISHED,
        )  # fmt: skip
        if DEPTH == 2:
            _finish_layer(
                slope, weights, rounded, out, place_2, width_2 * width_1, scale_2,
                coefficients, network + networks, between, ADVANCE, FINISHED,
            )  # fmt: skip
        if SAMPLED:
            where, inside, own = place_a + unit, unit < top_width, network + DEPTH * networks
            _finish(total_a, weights, rounded, out, where, inside, 1.0, coefficients, own, between, ADVANCE)


@triton.jit
def add_shares_kernel(
    weights, rounded, shares, out, coefficients, splits, networks, parameters,
    size_1, size_2, start_2, start_a, between,
    dim: tl.constexpr, width_1: tl.constexpr, scale_1, scale_2, ADVANCE: tl.constexpr,
    DEPTH: tl.constexpr, DIM: tl.constexpr, WIDTH_1: tl.constexpr, WIDTH_2: tl.constexpr, ADDED: tl.constexpr,
):  # fmt: skip
    """`_finish` of the shares of all splits, added in their order: some elements of a network a program."""
    network = tl.program_id(0).to(tl.int64)
    element = tl.program_id(1) * ADDED + tl.arange(0, ADDED)
    inside = element < parameters
    top: tl.constexpr = WIDTH_1 if DEPTH == 1 else WIDTH_2
    padded: tl.constexpr = WIDTH_1 * DIM + WIDTH_2 * WIDTH_1 * (DEPTH - 1) + top
    second, readout = element - size_1, element - size_1 - size_2
    place = element // dim * DIM + element % dim
    where = network * size_1 + element
    own = tl.where(second < 0, 0, networks) + tl.where(readout < 0, 0, (DEPTH - 1) * networks) + network
    if DEPTH == 2:
        place = tl.where(second < 0, place, WIDTH_1 * DIM + second // width_1 * WIDTH_1 + second % width_1)
        where = tl.where(second < 0, where, start_2 + network * size_2 + second)
    place = tl.where(readout < 0, place, padded - top + readout)
    where = tl.where(readout < 0, where, start_a + network * (parameters - size_1 - size_2) + readout)
    total = tl.zeros((ADDED,), tl.float32)
    for split in range(splits):
        total += tl.load(shares + (split * networks + network) * padded + place, mask=inside, other=0.0)
    scale = tl.where(second < 0, scale_1, scale_2)
    _finish(total, weights, rounded, out, where, inside, scale, coefficients, own, between, ADVANCE)


def is_small(input_dim: int, widths: Sequence[int], precision: str) -> bool:
    """Whether there is such a gradient: float32 weights of two layers would not fit on the chip."""
    return precision in ("bf16", "fp16") and len(widths) in (1, 2) and max(input_dim, *widths) <= LARGEST


def _blocks_a_split(blocks: int, networks: int) -> int:
    """The division of rows after which the last program ends first."""

    def time(splits: int) -> tuple[int, int]:
        turns = triton.cdiv(networks * splits, MULTIPROCESSORS)
        return turns * (triton.cdiv(blocks, splits) + STARTING), splits

    return triton.cdiv(blocks, min(range(1, blocks + 1), key=time))


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
        self._quick = is_quick(FORMATS[precision])
        self._residual = inputs.new_empty(instances, chains, samples)
        self._shape = (*dims, 0)[:3]
        scales = [kernel.input_scale / math.sqrt(dim) for dim in dims[:-1]]
        self._scales = (*scales, 0.0)[:2]
        self._readout_scale = 1 / math.sqrt(dims[-1])
        self._padded = [max(16, triton.next_power_of_2(dim)) for dim in self._shape]
        self._rows = SHALLOW_ROWS if len(widths) == 1 else DEEP_ROWS
        blocks = triton.cdiv(samples, self._rows)
        self._rows_a_split = self._rows * _blocks_a_split(blocks, self._networks)
        self._splits = triton.cdiv(samples, self._rows_a_split)
        missing = self._padded[0] - input_dim, -samples % max(self._rows, ADVANCED_ROWS)
        self._inputs = torch.nn.functional.pad(inputs, (0, missing[0], 0, missing[1])).to(FORMATS[precision])
        width_1, width_2 = self._shape[1:]
        self._sizes = width_1 * input_dim, width_2 * width_1
        padded = self._padded[1] * self._padded[0] + (self._padded[2] * self._padded[1] if width_2 else 0)
        shared = self._splits * self._networks * (padded + self._padded[len(widths)])
        self._shares = inputs.new_empty(shared) if self._splits > 1 else None
        self._plain = kernel.kind in (TANH.value, IDENTITY.value)
        self._prefetching = OPTIONS | {"num_stages": PREFETCHED[precision]}
        self._rounded: Tensor | None = None
        self._slope: Tensor | None = None

    def misfit_gradient(self, weights: Tensor, labels: Tensor, noise_variance: float, out: Tensor) -> Tensor:
        """As in `BlockedNetwork`, but for rounding."""
        self.load(weights)
        return self._run(weights, labels, noise_variance, out, None)

    def load(self, weights: Tensor) -> None:
        """As in `CoarseNetwork`, with the scales of the layers."""
        if self._rounded is None or self._rounded.numel() != weights.numel():
            self._rounded = torch.empty_like(weights, dtype=self._inputs.dtype)
            self._slope = torch.empty_like(weights)
        layers = self._split(weights), self._split(self._rounded)
        for layer, rounded, scale in zip(*layers, self._scales[: self._split.depth], strict=False):
            torch.mul(layer, scale, out=rounded)

    def advance(
        self, weights: Tensor, momentum: Tensor, labels: Tensor, noise_variance: float, coefficients: Tensor
    ) -> None:
        """As in `CoarseNetwork`: weights and momenta go through memory once."""
        self._run(weights, labels, noise_variance, momentum, coefficients)

    def _run(
        self, weights: Tensor, labels: Tensor, noise_variance: float, out: Tensor, coefficients: Tensor | None
    ) -> Tensor:
        """The gradient to `out`; or, with coefficients, `weights` and their momentum `out` after an advance."""
        depth, parameters = self._split.depth, weights.numel() // self._networks
        starts = self._networks * self._sizes[0], self._networks * sum(self._sizes)
        advance = coefficients is not None
        factors, between = (coefficients, coefficients[0].numel()) if advance else (self._residual, 0)
        many = advance and depth == 2 and self._plain and self._shares is None
        rows, options = (ADVANCED_ROWS, self._prefetching) if many else (self._rows, OPTIONS)
        slope = self._shares if self._shares is not None else self._slope if advance else out
        launch(
            small_gradient_kernel, (self._networks, self._splits), options,
            weights, self._rounded, self._inputs, labels, self._residual, slope, out, factors,
            self._chains, self._samples, self._inputs.shape[1], self._rows_a_split, self._networks, *starts, between,
            *self._shape, *self._scales, self._readout_scale, self._readout_scale / noise_variance,
            self._shares is not None, advance, depth, parameters > sum(self._sizes), self._kernel.kind,
            self._format, self._quick, FINISHED, rows, *self._padded,
        )  # fmt: skip
        if self._shares is not None:
            launch(
                add_shares_kernel, (self._networks, triton.cdiv(parameters, ADDED)), OPTIONS,
                weights, self._rounded, self._shares, out, factors,
                self._splits, self._networks, parameters, *self._sizes, *starts, between,
                *self._shape[:2], *self._scales, advance, depth, *self._padded, ADDED,
            )  # fmt: skip
        return self._residual
