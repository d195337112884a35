"""Philox4x32-10 and Box-Muller for CPUs, in Numba.

The same bits as ``torch_ops``, compiled or with NUMBA_DISABLE_JIT=1: float32 values are made with + - * sqrt
alone, each rounded once. No fast-math flag may be set here, since it would let a multiply-add be fused.
"""

import numpy as np
from numba import njit, prange

from nishimori_kernels.rng import constants as k
from nishimori_kernels.rng.address import Address

BLOCK = 128  # quads made at a time, in buffers that stay in the first-level cache
PIECE = 2048  # quads in one unit of parallel work

_M0, _M1 = np.uint64(k.PHILOX_M0), np.uint64(k.PHILOX_M1)
_W0, _W1 = np.uint64(k.PHILOX_W0), np.uint64(k.PHILOX_W1)
_MASK, _32 = np.uint64(0xFFFFFFFF), np.uint64(32)

_L0, _L1, _L2, _L3, _L4, _L5, _L6, _L7, _L8 = (np.float32(c) for c in k.LOG)
_S0, _S1, _S2 = (np.float32(c) for c in k.SIN)
_C0, _C1, _C2 = (np.float32(c) for c in k.COS)
_HALF, _ONE, _TWO = np.float32(0.5), np.float32(1), np.float32(2)
_TWO_LN_2, _RADIANS = np.float32(k.TWO_LN_2), np.float32(k.RADIANS)
_ROUND_EXPONENT = np.int32(k.ROUND_EXPONENT)


def fill_normals(out: np.ndarray, address: Address, first_element: int) -> None:
    """Write standard normals into ``out``, float32 or float64, C-contiguous [instances, chains, elements]."""
    _fill_normals(out, *address, first_element)


def fill_bits(out: np.ndarray, address: Address, first_element: int) -> None:
    """Write 32-bit outputs into ``out``, int64 C-contiguous [instances, chains, elements]."""
    _fill_bits(out, *address, first_element)


def fill_uniforms(out: np.ndarray, address: Address, element: int) -> None:
    """Write (x + 1/2) / 2**32 for the output x of ``element`` into ``out``, float64 [instances, chains]."""
    _fill_uniforms(out, *address, element)


def uniform(address: Address) -> float:
    """Element 0 of the first row of ``fill_uniforms``."""
    out = np.empty((1, 1))
    fill_uniforms(out, address, 0)
    return out.item()


@njit(nogil=True, cache=True)
def _round(c0, c1, c2, c3, key_low, key_high, index):
    product_0, product_1 = _M0 * c0, _M1 * c2
    low = (key_low + index * _W0) & _MASK
    high = (key_high + index * _W1) & _MASK
    return (product_1 >> _32) ^ c1 ^ low, product_1 & _MASK, (product_0 >> _32) ^ c3 ^ high, product_0 & _MASK


@njit(nogil=True, cache=True)
def _philox_block(words, size, quad, step, chain, tag, key_low, key_high):
    """Write the outputs of ``size`` counters from ``quad`` on into words, uint32 [4, BLOCK]."""
    low, high = np.uint64(key_low), np.uint64(key_high)
    for j in range(size):
        words[0, j], words[1, j], words[2, j], words[3, j] = np.uint32(quad + j), step, chain, tag
    # The counters come from memory and the rounds are written out: only so does LLVM vectorise this loop.
    for j in range(size):
        c0, c1 = np.uint64(words[0, j]), np.uint64(words[1, j])
        c2, c3 = np.uint64(words[2, j]), np.uint64(words[3, j])
        c0, c1, c2, c3 = _round(c0, c1, c2, c3, low, high, np.uint64(0))
        c0, c1, c2, c3 = _round(c0, c1, c2, c3, low, high, np.uint64(1))
        c0, c1, c2, c3 = _round(c0, c1, c2, c3, low, high, np.uint64(2))
        c0, c1, c2, c3 = _round(c0, c1, c2, c3, low, high, np.uint64(3))
        c0, c1, c2, c3 = _round(c0, c1, c2, c3, low, high, np.uint64(4))
        c0, c1, c2, c3 = _round(c0, c1, c2, c3, low, high, np.uint64(5))
        c0, c1, c2, c3 = _round(c0, c1, c2, c3, low, high, np.uint64(6))
        c0, c1, c2, c3 = _round(c0, c1, c2, c3, low, high, np.uint64(7))
        c0, c1, c2, c3 = _round(c0, c1, c2, c3, low, high, np.uint64(8))
        c0, c1, c2, c3 = _round(c0, c1, c2, c3, low, high, np.uint64(9))
        words[0, j], words[1, j], words[2, j], words[3, j] = c0, c1, c2, c3


@njit(nogil=True, cache=True)
def _radius(x):
    """sqrt(-2 ln u), u = (x | 1) / 2**32, for a uint32 x."""
    odd = x | np.uint32(1)
    exponent = np.int32(((np.float32(odd).view(np.int32) + _ROUND_EXPONENT) >> 23) - 127)
    excess = np.int32(np.int64(odd) - (np.int64(1) << exponent))
    f = np.float32(excess) * np.int32((127 - exponent) << 23).view(np.float32)
    p = _L0 * f + _L1
    p = p * f + _L2
    p = p * f + _L3
    p = p * f + _L4
    p = p * f + _L5
    p = p * f + _L6
    p = p * f + _L7
    p = p * f + _L8
    square = f * f
    log = (p * f) * square - _HALF * square + f
    return np.sqrt(np.float32(np.int32(32 - exponent)) * _TWO_LN_2 - _TWO * log)


@njit(nogil=True, cache=True)
def _cos_sin(y):
    """cos t and sin t, t = 2 pi y / 2**32, for a uint32 y."""
    turned = np.int64(y) + (1 << 29)
    quadrant = turned >> 30
    a = np.float32(np.int32((turned & ((1 << 30) - 1)) - (1 << 29))) * _RADIANS
    square = a * a
    sin = ((_S0 * square + _S1) * square + _S2) * square * a + a
    cos = ((_C0 * square + _C1) * square + _C2) * square * square - _HALF * square + _ONE
    if quadrant & 1:
        sin, cos = cos, sin
    if (quadrant + 1) & 2:
        cos = -cos
    if quadrant & 2:
        sin = -sin
    return cos, sin


@njit(nogil=True, cache=True)
def _box_muller_block(normals, words, size):
    """Turn words, uint32 [4, BLOCK], into normals, float32 [4 * BLOCK]: pairs (0, 1) and (2, 3)."""
    for j in range(size):
        for pair in range(2):
            radius = _radius(words[2 * pair, j])
            cos, sin = _cos_sin(words[2 * pair + 1, j])
            normals[4 * j + 2 * pair] = radius * cos
            normals[4 * j + 2 * pair + 1] = radius * sin


@njit(nogil=True, cache=True)
def fill_row(out, key_low, key_high, step, chain, tag, first):
    """Write elements from ``first`` on of one row into ``out`` [elements], float32 or float64."""
    words = np.empty((4, BLOCK), np.uint32)
    normals = np.empty(4 * BLOCK, np.float32)
    first_quad = first // 4
    quads = (first + out.size + 3) // 4 - first_quad
    for block in range(0, quads, BLOCK):
        size = min(BLOCK, quads - block)
        _philox_block(words, size, first_quad + block, step, chain, tag, key_low, key_high)
        _box_muller_block(normals, words, size)
        start = 4 * (first_quad + block) - first
        low, high = max(start, 0), min(start + 4 * size, out.size)
        part, made = out[low:high], normals[low - start : high - start]
        for j in range(part.size):
            part[j] = made[j]


@njit(nogil=True, cache=True, parallel=True)
def _fill_normals(out, key_low, key_high, step, chains, tags, first):
    rows = out.shape[0] * out.shape[1]
    count = out.shape[2]
    pieces = (count + 4 * PIECE - 1) // (4 * PIECE)
    for task in prange(rows * pieces):
        row, low = task // pieces, task % pieces * 4 * PIECE
        i, c = row // out.shape[1], row % out.shape[1]
        part = out[i, c, low : min(low + 4 * PIECE, count)]
        fill_row(part, key_low, key_high, step, chains[c], tags[i], first + low)


@njit(nogil=True, cache=True)
def _fill_bits(out, key_low, key_high, step, chains, tags, first):
    words = np.empty((4, BLOCK), np.uint32)
    count = out.shape[2]
    first_quad = first // 4
    quads = (first + count + 3) // 4 - first_quad
    for i in range(out.shape[0]):
        for c in range(out.shape[1]):
            for block in range(0, quads, BLOCK):
                size = min(BLOCK, quads - block)
                _philox_block(words, size, first_quad + block, step, chains[c], tags[i], key_low, key_high)
                start = 4 * (first_quad + block) - first
                for e in range(max(start, 0), min(start + 4 * size, count)):
                    out[i, c, e] = words[(e - start) % 4, (e - start) // 4]


@njit(nogil=True, cache=True)
def _fill_uniforms(out, key_low, key_high, step, chains, tags, element):
    words = np.empty((4, BLOCK), np.uint32)
    for i in range(out.shape[0]):
        for c in range(out.shape[1]):
            _philox_block(words, 1, element // 4, step, chains[c], tags[i], key_low, key_high)
            out[i, c] = (np.float64(words[element % 4, 0]) + 0.5) * 2.0**-32
