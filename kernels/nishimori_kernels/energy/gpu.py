"""Activations fused with what stands beside them, in Triton: float32 numbers, kept in float32, bfloat16 or float16.

Matrix products are cuBLAS's; between two of them a tensor [networks, width, samples] goes through memory once. What is
not a polynomial is the hardware's exponential and division: values lie within 4 units in the last place of float32.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from nishimori_kernels.dispatch import interpreted
from nishimori_kernels.energy import coefficients
from nishimori_kernels.pieces import launch

IDENTITY, TANH, ERF, RELU = (tl.constexpr(kind) for kind in range(4))
FUSED: dict[str, Any] = {"num_warps": 4, "enable_fp_fusion": True}
LANES = 2048
READ, PULL = (32, 64), (16, 128)
"""Units and inputs that a program of `read_out_kernel`, `pull_back_read_out_kernel` has before it at a time."""
MISFIT = (128, 32)
"""Units that a program of `misfit_kernel` has before it at a time, and its inputs."""
SUMMED = (64, 32)
"""Shares and units that a program of `weigh_readout_kernel` has before it at a time."""

_TANH_0, _TANH_1, _TANH_2, _TANH_3, _TANH_4 = map(tl.constexpr, coefficients.TANH)
_ERF_0, _ERF_1, _ERF_2, _ERF_3, _ERF_4, _ERF_5, _ERF_6 = map(tl.constexpr, coefficients.ERF)
_LOG_0, _LOG_1, _LOG_2, _LOG_3, _LOG_4, _LOG_5, _LOG_6 = map(tl.constexpr, coefficients.LOG_ERFC)
_TWO_OVER_ROOT_PI = tl.constexpr(2 / math.sqrt(math.pi))


@triton.jit
def _by_size(x, small, near, far):
    """`near` where `small`, else `far` with the sign of x; NaN stays NaN."""
    return tl.where(small | (x != x), tl.where(x != x, x, near), tl.where(x < 0.0, -far, far))


@triton.jit
def tanh(x):
    """As `elementary.tanh`."""
    size, square = tl.abs(x), x * x
    near = x + x * square * ((((_TANH_0 * square + _TANH_1) * square + _TANH_2) * square + _TANH_3) * square + _TANH_4)
    far = 1.0 - 2.0 / (tl.exp(2.0 * tl.minimum(size, 10.0)) + 1.0)
    return _by_size(x, size < 0.625, near, far)


@triton.jit
def erf(x):
    """As `elementary.erf`."""
    size, square = tl.abs(x), x * x
    p = ((((_ERF_0 * square + _ERF_1) * square + _ERF_2) * square + _ERF_3) * square + _ERF_4) * square + _ERF_5
    near = x + x * (p * square + _ERF_6)
    t = tl.minimum(size, 4.0)
    q = (((((_LOG_0 * t + _LOG_1) * t + _LOG_2) * t + _LOG_3) * t + _LOG_4) * t + _LOG_5) * t + _LOG_6
    far = 1.0 - tl.exp(q)
    return _by_size(x, size < 0.9, near, far)


@triton.jit
def base_of(u, KIND: tl.constexpr, QUICK: tl.constexpr):
    """base(u); where QUICK, tanh to 11 bits by the instruction there is for it."""
    if KIND == TANH and QUICK:
        return tl.inline_asm_elementwise("tanh.approx.f32 $0, $1;", "=f,f", [u], dtype=tl.float32, is_pure=True, pack=1)
    elif KIND == TANH:
        return tanh(u)
    elif KIND == ERF:
        return erf(u)
    elif KIND == RELU:
        return tl.where(u < 0.0, 0.0, u)
    else:
        return u


@triton.jit
def slope_of(u, hidden, KIND: tl.constexpr):
    """base'(u)."""
    if KIND == TANH:
        return 1.0 - hidden * hidden
    elif KIND == ERF:
        return _TWO_OVER_ROOT_PI * tl.exp(-u * u)
    elif KIND == RELU:
        return tl.where(hidden > 0.0, 1.0, 0.0 * hidden)
    else:
        return 0.0 * hidden + 1.0


@triton.jit
def activate_kernel(u, hidden, scale, count, KIND: tl.constexpr, QUICK: tl.constexpr, LANES: tl.constexpr):
    """u *= scale, hidden = base(u); where the slope needs `hidden` alone, `u` is left as it is."""
    where = tl.program_id(0).to(tl.int64) * LANES + tl.arange(0, LANES)
    inside = where < count
    values = tl.load(u + where, mask=inside, other=0.0).to(tl.float32) * scale
    if KIND == ERF:
        tl.store(u + where, values.to(u.dtype.element_ty), mask=inside)
    tl.store(hidden + where, base_of(values, KIND, QUICK).to(hidden.dtype.element_ty), mask=inside)


@triton.jit
def multiply_derivative_kernel(delta, u, hidden, scale, count, KIND: tl.constexpr, LANES: tl.constexpr):
    """delta *= scale * base'(u)."""
    where = tl.program_id(0).to(tl.int64) * LANES + tl.arange(0, LANES)
    inside = where < count
    values = tl.load(delta + where, mask=inside, other=0.0).to(tl.float32) * scale
    if KIND == ERF:
        own = tl.load(u + where, mask=inside, other=0.0).to(tl.float32)
    else:
        own = tl.load(hidden + where, mask=inside, other=0.0).to(tl.float32)
    tl.store(delta + where, (values * slope_of(own, own, KIND)).to(delta.dtype.element_ty), mask=inside)


@triton.jit
def read_out_kernel(
    u, hidden, readout, output, u_scale, scale, width, samples,
    KIND: tl.constexpr, QUICK: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """u *= u_scale, hidden = base(u), output = scale * readout . hidden: some samples of a network a program."""
    network = tl.program_id(0).to(tl.int64)
    columns = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    for low in range(0, width, ROWS):
        rows = low + tl.arange(0, ROWS)
        inside = (rows < width)[:, None] & (columns < samples)[None, :]
        where = network * width * samples + rows[:, None] * samples + columns[None, :]
        values = tl.load(u + where, mask=inside, other=0.0).to(tl.float32) * u_scale
        if KIND == ERF:
            tl.store(u + where, values.to(u.dtype.element_ty), mask=inside)
        made = base_of(values, KIND, QUICK)
        tl.store(hidden + where, made.to(hidden.dtype.element_ty), mask=inside)
        weights = tl.load(readout + network * width + rows, mask=rows < width, other=0.0)
        total += weights[:, None] * made
    tl.store(output + network * samples + columns, scale * tl.sum(total, axis=0), mask=columns < samples)


@triton.jit
def pull_back_read_out_kernel(
    gradient, readout, u, hidden, delta, addend, out, delta_scale, out_scale, width, samples,
    WEIGHED: tl.constexpr, KIND: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """delta = delta_scale * readout * gradient * base'(u), out = addend + out_scale * hidden . gradient where WEIGHED:
    some units of a network a program."""
    network = tl.program_id(0).to(tl.int64)
    rows = tl.program_id(1) * ROWS + tl.arange(0, ROWS)
    weights = delta_scale * tl.load(readout + network * width + rows, mask=rows < width, other=0.0)
    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    for low in range(0, samples, COLUMNS):
        columns = low + tl.arange(0, COLUMNS)
        inside = (rows < width)[:, None] & (columns < samples)[None, :]
        where = network * width * samples + rows[:, None] * samples + columns[None, :]
        made = tl.load(hidden + where, mask=inside, other=0.0).to(tl.float32)
        own = made
        if KIND == ERF:
            own = tl.load(u + where, mask=inside, other=0.0).to(tl.float32)
        g = tl.load(gradient + network * samples + columns, mask=columns < samples, other=0.0)
        total += made * g[None, :]
        pulled = weights[:, None] * g[None, :] * slope_of(own, made, KIND)
        tl.store(delta + where, pulled.to(delta.dtype.element_ty), mask=inside)
    if WEIGHED:
        added = tl.load(addend + network * width + rows, mask=rows < width, other=0.0)
        tl.store(out + network * width + rows, added + out_scale * tl.sum(total, axis=1), mask=rows < width)


@triton.jit
def misfit_kernel(
    u, readout, labels, residual, delta, shares, u_scale, scale, chains, width, samples,
    KIND: tl.constexpr, QUICK: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """residual = scale * readout . base(u_scale * u) - labels, delta = readout * residual * base', and a share of base
    times residual: some samples of a network a program, which reads its units twice, the second time from a cache."""
    network, piece = tl.program_id(0).to(tl.int64), tl.program_id(1)
    columns = piece * COLUMNS + tl.arange(0, COLUMNS)
    there = columns < samples
    u, delta, readout = u + network * width * samples, delta + network * width * samples, readout + network * width
    shares += (network * tl.num_programs(1) + piece) * width
    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    for low in range(0, width, ROWS):
        rows = low + tl.arange(0, ROWS)
        inside = (rows < width)[:, None] & there[None, :]
        where = rows.to(tl.int64)[:, None] * samples + columns[None, :]
        values = u_scale * tl.load(u + where, mask=inside, other=0.0).to(tl.float32)
        weights = tl.load(readout + rows, mask=rows < width, other=0.0)
        total += weights[:, None] * base_of(values, KIND, QUICK)
    y = tl.load(labels + network // chains * samples + columns, mask=there, other=0.0)
    r = tl.where(there, scale * tl.sum(total, axis=0) - y, 0.0)
    tl.store(residual + network * samples + columns, r, mask=there)
    for low in range(0, width, ROWS):
        rows = low + tl.arange(0, ROWS)
        inside = (rows < width)[:, None] & there[None, :]
        where = rows.to(tl.int64)[:, None] * samples + columns[None, :]
        values = u_scale * tl.load(u + where, mask=inside, other=0.0).to(tl.float32)
        made = base_of(values, KIND, QUICK)
        tl.store(shares + rows, tl.sum(made * r[None, :], axis=1), mask=rows < width)
        weights = tl.load(readout + rows, mask=rows < width, other=0.0)
        pulled = weights[:, None] * r[None, :] * slope_of(values, made, KIND)
        tl.store(delta + where, pulled.to(delta.dtype.element_ty), mask=inside)


@triton.jit
def weigh_readout_kernel(
    shares, addend, out, out_scale, pieces, width, ADDED: tl.constexpr, PIECES: tl.constexpr, ROWS: tl.constexpr
):
    """out = out_scale * the shares of all pieces, + addend where ADDED: some units of a network a program."""
    network = tl.program_id(0).to(tl.int64)
    rows = tl.program_id(1) * ROWS + tl.arange(0, ROWS)
    total = tl.zeros((PIECES, ROWS), tl.float32)
    for low in range(0, pieces, PIECES):
        piece = low + tl.arange(0, PIECES)
        inside = (piece < pieces)[:, None] & (rows < width)[None, :]
        where = (network * pieces + piece[:, None]) * width + rows[None, :]
        total += tl.load(shares + where, mask=inside, other=0.0)
    gradient = out_scale * tl.sum(total, axis=0)
    if ADDED:
        gradient += tl.load(addend + network * width + rows, mask=rows < width, other=0.0)
    tl.store(out + network * width + rows, gradient.to(out.dtype.element_ty), mask=rows < width)


def is_quick(dtype: torch.dtype) -> bool:
    """Whether activations in this format need 11 bits alone; the interpreter knows no instruction for so few."""
    return dtype in (torch.float16, torch.bfloat16) and not interpreted()


@dataclass(frozen=True)
class TritonActivation:
    """The interface of `TorchActivation`, for contiguous tensors on a GPU: `u`, `hidden` and `delta` in float32,
    bfloat16 or float16, all else in float32. The scales beyond the interface, of u and of delta, are 1 where nothing is
    said."""

    kind: int
    input_scale: float
    in_place = True

    @property
    def from_output(self) -> bool:
        return self.kind != ERF.value

    def apply(self, u: Tensor, out: Tensor, scale: float = 1.0) -> None:
        programs = triton.cdiv(u.numel(), LANES)
        launch(activate_kernel, (programs,), FUSED, u, out, scale, u.numel(), self.kind, is_quick(u.dtype), LANES)

    def multiply_derivative_(self, delta: Tensor, u: Tensor, hidden: Tensor, scale: float = 1.0) -> None:
        programs = triton.cdiv(u.numel(), LANES)
        launch(multiply_derivative_kernel, (programs,), FUSED, delta, u, hidden, scale, u.numel(), self.kind, LANES)

    def read_out(
        self, u: Tensor, hidden: Tensor, readout: Tensor, scale: float, output: Tensor, u_scale: float = 1.0
    ) -> None:
        width, samples = u.shape[-2:]
        grid = u.shape[:-2].numel(), triton.cdiv(samples, READ[1])
        launch(
            read_out_kernel, grid, FUSED,
            u, hidden, readout, output, u_scale, scale, width, samples, self.kind, is_quick(u.dtype), *READ,
        )  # fmt: skip

    def pull_back_read_out(
        self,
        gradient: Tensor,
        readout: Tensor,
        scale: float,
        u: Tensor,
        hidden: Tensor,
        delta: Tensor,
        addend: Tensor | None,
        out: Tensor | None,
        out_scale: float | None = None,
    ) -> None:
        width, samples = u.shape[-2:]
        grid = u.shape[:-2].numel(), triton.cdiv(width, PULL[0])
        weighed = addend is not None and out is not None
        own = (addend, out) if weighed else (readout, readout)
        launch(
            pull_back_read_out_kernel, grid, FUSED,
            gradient, readout, u, hidden, delta, *own, scale, scale if out_scale is None else out_scale,
            width, samples, weighed, self.kind, *PULL,
        )  # fmt: skip

    def pull_back_misfit(
        self, u: Tensor, readout: Tensor, labels: Tensor, scale: float, u_scale: float, residual: Tensor
    ) -> Tensor:
        """In one launch residual = scale * readout . hidden - labels and, in the memory of `u`, which is [networks,
        width, samples], delta = readout * residual * base'(u_scale * u).

        Returns shares [networks, pieces, width] of hidden . residual, for `weigh_readout`. `labels` are [instances, 1,
        samples].
        """
        networks, width, samples = u.shape
        pieces = triton.cdiv(samples, MISFIT[1])
        shares = readout.new_empty(networks, pieces, width)
        launch(
            misfit_kernel, (networks, pieces), FUSED,
            u, readout, labels, residual, u, shares, u_scale, scale, networks // len(labels), width, samples,
            self.kind, is_quick(u.dtype), *MISFIT,
        )  # fmt: skip
        return shares

    def weigh_readout(self, shares: Tensor, addend: Tensor | None, scale: float, out: Tensor) -> None:
        """out = addend + scale * the sum of all shares; without an addend, that sum alone."""
        networks, pieces, width = shares.shape
        launch(
            weigh_readout_kernel, (networks, triton.cdiv(width, SUMMED[1])), FUSED,
            shares, shares if addend is None else addend, out, scale, pieces, width, addend is not None, *SUMMED,
        )  # fmt: skip


TRITON_ACTIVATIONS = {
    "identity": TritonActivation(IDENTITY.value, 1.0),
    "tanh": TritonActivation(TANH.value, 1.0),
    "tanh2": TritonActivation(TANH.value, 2.0),
    "erf": TritonActivation(ERF.value, 1.0),
    "erf_sqrt2": TritonActivation(ERF.value, 0.5**0.5),
    "relu": TritonActivation(RELU.value, 1.0),
}
