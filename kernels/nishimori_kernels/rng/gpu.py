"""Philox4x32-10 and Box-Muller in Triton: the bits of `cpu` and `torch_ops`, where multiply-adds are not fused."""

from functools import lru_cache

import numpy as np
import torch
import triton
import triton.language as tl
from torch import Tensor

from nishimori_kernels.pieces import EXACT, launch
from nishimori_kernels.rng import constants as k
from nishimori_kernels.rng.address import Address

DRAWN = 128
"""Uniforms a program."""
_LOG_0, _LOG_1, _LOG_2, _LOG_3, _LOG_4, _LOG_5, _LOG_6, _LOG_7, _LOG_8 = (tl.constexpr(c) for c in k.LOG)
_SIN_0, _SIN_1, _SIN_2 = (tl.constexpr(c) for c in k.SIN)
_COS_0, _COS_1, _COS_2 = (tl.constexpr(c) for c in k.COS)
_TWO_LN_2, _RADIANS = tl.constexpr(k.TWO_LN_2), tl.constexpr(k.RADIANS)
_ROUND_EXPONENT = tl.constexpr(k.ROUND_EXPONENT)


@triton.jit
def words_at(key, quads, step, chain, tag):
    """The four outputs, uint32, at the counters (quad, step, chain, tag); `quads` is a tensor."""
    zero = quads.to(tl.uint32) * 0
    parts = zero + step.to(tl.uint32), zero + chain.to(tl.uint32), zero + tag.to(tl.uint32)
    return tl.philox(key, quads.to(tl.uint32), parts[0], parts[1], parts[2])


@triton.jit
def radius_of(x):
    """sqrt(-2 ln u), u = (x | 1) / 2**32, of uint32."""
    odd = x | 1
    exponent = ((odd.to(tl.float32).to(tl.int32, bitcast=True) + _ROUND_EXPONENT) >> 23) - 127
    power = tl.where(exponent == 32, 0, 1 << (exponent & 31))
    excess = odd.to(tl.int32, bitcast=True) - power
    f = excess.to(tl.float32) * ((127 - exponent) << 23).to(tl.float32, bitcast=True)
    p = _LOG_0 * f + _LOG_1
    p = p * f + _LOG_2
    p = p * f + _LOG_3
    p = p * f + _LOG_4
    p = p * f + _LOG_5
    p = p * f + _LOG_6
    p = p * f + _LOG_7
    p = p * f + _LOG_8
    square = f * f
    log = (p * f) * square - 0.5 * square + f
    return tl.sqrt_rn((32 - exponent).to(tl.float32) * _TWO_LN_2 - 2.0 * log)


@triton.jit
def cos_sin_of(y):
    """cos t and sin t, t = 2 pi y / 2**32, of uint32. What overflows is a whole turn."""
    turned = (y + 536870912).to(tl.int32, bitcast=True)
    quadrant = (turned >> 30) & 3
    a = ((turned & 1073741823) - 536870912).to(tl.float32) * _RADIANS
    square = a * a
    sin = ((_SIN_0 * square + _SIN_1) * square + _SIN_2) * square * a + a
    cos = ((_COS_0 * square + _COS_1) * square + _COS_2) * square * square - 0.5 * square + 1.0
    swapped = (quadrant & 1) == 1
    x, y = tl.where(swapped, sin, cos), tl.where(swapped, cos, sin)
    return tl.where(((quadrant + 1) & 2) == 2, -1.0, 1.0) * x, tl.where((quadrant & 2) == 2, -1.0, 1.0) * y


@triton.jit
def normals_at(key, quads, step, chain, tag):
    """The normals of the elements 4 q, 4 q + 1, ... of counters q, one after the other, [4 * quads]."""
    x0, x1, x2, x3 = words_at(key, quads, step, chain, tag)
    first, second = radius_of(x0), radius_of(x2)
    cos_0, sin_0 = cos_sin_of(x1)
    cos_1, sin_1 = cos_sin_of(x3)
    return tl.interleave(tl.interleave(first * cos_0, second * cos_1), tl.interleave(first * sin_0, second * sin_1))


@triton.jit(do_not_specialize=["key"])
def uniforms_kernel(out, key, step, chains, tags, chain_count, rows, DRAWN: tl.constexpr):
    row = tl.program_id(0).to(tl.int64) * DRAWN + tl.arange(0, DRAWN)
    inside = row < rows
    chain = tl.load(chains + row % chain_count, mask=inside, other=0)
    tag = tl.load(tags + row // chain_count, mask=inside, other=0)
    x, _, _, _ = words_at(key, row * 0, tl.load(step), chain, tag)
    tl.store(out + row, (x.to(tl.float64) + 0.5) * 2.3283064365386963e-10, mask=inside)


def key_of(address: Address) -> int:
    """The key as a signed 64-bit integer."""
    key = address.key_high << 32 | address.key_low
    return key - (key >> 63 << 64)


@lru_cache(maxsize=256)
def _on_device(ids: bytes, device: torch.device) -> Tensor:
    return torch.from_numpy(np.frombuffer(ids, np.int64).copy()).to(device)


def rows_of(address: Address, device: torch.device) -> tuple[Tensor, Tensor]:
    """The ids of chains and the tags of instances, int64 on the device."""
    return _on_device(address.chains.tobytes(), device), _on_device(address.tags.tobytes(), device)


def step_of(address: Address, device: torch.device) -> Tensor:
    """The step in memory of the device, int64 [1]: a kernel recorded in a graph reads it anew at every replay."""
    if isinstance(address.step, Tensor):
        return address.step
    return torch.full((1,), address.step, dtype=torch.int64, device=device)


def uniforms(address: Address, device: torch.device) -> Tensor:
    """As `draws.uniforms_at`."""
    out = torch.empty(len(address.tags), len(address.chains), dtype=torch.float64, device=device)
    chains, tags = rows_of(address, device)
    programs = triton.cdiv(out.numel(), DRAWN)
    own = key_of(address), step_of(address, device), chains, tags
    launch(uniforms_kernel, (programs,), EXACT, out, *own, out.shape[1], out.numel(), DRAWN)
    return out
