"""Philox4x32-10 and Box-Muller in elementwise torch operations, for any device.

The same bits as ``cpu``: float32 values are made with + - * sqrt alone, one rounded operation after another,
so this must stay in eager mode (a compiler may fuse a multiply-add). The device needs float64, for the
square root. 64-bit products may wrap: their low 64 bits are taken apart by masks.
"""

from collections.abc import Iterator

import torch

from nishimori_kernels.rng import constants as k
from nishimori_kernels.rng.address import MASK_32, Address

CHUNK = 1 << 20  # quads made at a time, which bounds the temporary memory at about 100 MiB


def fill_normals(out: torch.Tensor, address: Address, first_element: int) -> None:
    """Write standard normals into ``out``, float32 or float64 [instances, chains, elements], contiguous."""
    for part, words, offset in _chunks(out, address, first_element):
        normals = torch.stack((*box_muller(words[0], words[1]), *box_muller(words[2], words[3])), dim=-1)
        part.copy_(normals.flatten(1)[:, offset : offset + part.shape[1]])


def fill_bits(out: torch.Tensor, address: Address, first_element: int) -> None:
    """Write 32-bit outputs into ``out``, int64 [instances, chains, elements], contiguous."""
    for part, words, offset in _chunks(out, address, first_element):
        part.copy_(torch.stack(words, dim=-1).flatten(1)[:, offset : offset + part.shape[1]])


def philox(counter: tuple[torch.Tensor, ...], key_low: int, key_high: int) -> tuple[torch.Tensor, ...]:
    """Return the four 32-bit outputs at four broadcastable int64 counter words; see ``reference.philox``."""
    c0, c1, c2, c3 = counter
    for _ in range(k.PHILOX_ROUNDS):
        product_0, product_1 = k.PHILOX_M0 * c0, k.PHILOX_M1 * c2
        c0, c1, c2, c3 = (
            ((product_1 >> 32) & MASK_32) ^ c1 ^ key_low,
            product_1 & MASK_32,
            ((product_0 >> 32) & MASK_32) ^ c3 ^ key_high,
            product_0 & MASK_32,
        )
        key_low, key_high = (key_low + k.PHILOX_W0) & MASK_32, (key_high + k.PHILOX_W1) & MASK_32
    return c0, c1, c2, c3


def box_muller(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the two normals (float32) of 32-bit words x, y (int64); see ``reference.box_muller``."""
    radius = _radius(x)
    cos, sin = _cos_sin(y)
    return radius * cos, radius * sin


def _radius(x: torch.Tensor) -> torch.Tensor:
    odd = x | 1
    exponent = ((odd.to(torch.float32).view(torch.int32) + k.ROUND_EXPONENT) >> 23) - 127
    excess = odd - torch.bitwise_left_shift(1, exponent.to(torch.int64))
    f = excess.to(torch.float32) * ((127 - exponent) << 23).view(torch.float32)
    square = f * f
    log = (_polynomial(k.LOG, f) * f) * square - 0.5 * square + f
    return _sqrt((32 - exponent).to(torch.float32) * k.TWO_LN_2 - 2.0 * log)


def _cos_sin(y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    turned = y + (1 << 29)
    quadrant = turned >> 30
    a = ((turned & ((1 << 30) - 1)) - (1 << 29)).to(torch.float32) * k.RADIANS
    square = a * a
    sin = _polynomial(k.SIN, square) * square * a + a
    cos = _polynomial(k.COS, square) * square * square - 0.5 * square + 1.0
    swap = (quadrant & 1).bool()
    cos, sin = torch.where(swap, sin, cos), torch.where(swap, cos, sin)
    cos = torch.where(((quadrant + 1) & 2).bool(), -cos, cos)
    return cos, torch.where((quadrant & 2).bool(), -sin, sin)


def _sqrt(x: torch.Tensor) -> torch.Tensor:
    # torch.sqrt is not correctly rounded in float32 on a CPU with MKL. Through float64 it is, since no
    # float32 root lies within 2**-51 (relative) of the midpoint of two float32 numbers.
    return torch.sqrt(x.to(torch.float64)).to(torch.float32)


def _polynomial(coefficients: tuple[float, ...], x: torch.Tensor) -> torch.Tensor:
    value = coefficients[0] * x + coefficients[1]
    for coefficient in coefficients[2:]:
        value = value * x + coefficient
    return value


def _chunks(
    out: torch.Tensor, address: Address, first: int
) -> Iterator[tuple[torch.Tensor, tuple[torch.Tensor, ...], int]]:
    """Yield (part of out [rows, elements], its four words [rows, quads], offset of its first element)."""
    instances, chain_count, count = out.shape
    rows = out.view(instances * chain_count, count)
    tags = torch.from_numpy(address.tags.astype("int64")).to(out.device).repeat_interleave(chain_count)
    chains = torch.from_numpy(address.chains.astype("int64")).to(out.device).repeat(instances)
    last_quad = -(-(first + count) // 4)
    height = max(1, CHUNK // max(1, last_quad - first // 4))
    for row in range(0, rows.shape[0], height):
        for quad in range(first // 4, last_quad, CHUNK):
            stop_quad = min(quad + CHUNK, last_quad)
            low, high = max(4 * quad, first), min(4 * stop_quad, first + count)
            part = rows[row : row + height, low - first : high - first]
            words = _words(address, chains[row : row + height], tags[row : row + height], quad, stop_quad)
            yield part, words, low - 4 * quad


def _words(
    address: Address, chains: torch.Tensor, tags: torch.Tensor, quad: int, stop_quad: int
) -> tuple[torch.Tensor, ...]:
    quads = torch.arange(quad, stop_quad, device=tags.device)
    step = 0 * quads + address.step
    counter = torch.broadcast_tensors(quads, step, chains[:, None], tags[:, None])
    return philox(counter, address.key_low, address.key_high)
