"""The definition of the draws, in plain integers and float64.

``philox`` works on Python ints and on uint64 arrays alike. The normals here are exact to float64 round-off;
the float32 normals of the kernels approximate them (see README.md for how closely).
"""

from collections.abc import Iterable

import numpy as np

from nishimori_kernels.rng import constants as k
from nishimori_kernels.rng.address import MASK_32, Address, address_of, check_elements


def philox(counter: tuple, key: tuple[int, int]) -> tuple:
    """Return the four 32-bit outputs of Philox4x32-10 at a counter of four words under a key of two.

    The words are ints, or uint64 arrays that broadcast; every one is below 2**32.

    Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011, section 3.3.
    """
    c0, c1, c2, c3 = counter
    key_low, key_high = key
    for _ in range(k.PHILOX_ROUNDS):
        product_0, product_1 = k.PHILOX_M0 * c0, k.PHILOX_M1 * c2
        c0, c1, c2, c3 = (
            (product_1 >> 32) ^ c1 ^ key_low,
            product_1 & MASK_32,
            (product_0 >> 32) ^ c3 ^ key_high,
            product_0 & MASK_32,
        )
        key_low, key_high = (key_low + k.PHILOX_W0) & MASK_32, (key_high + k.PHILOX_W1) & MASK_32
    return c0, c1, c2, c3


def box_muller(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the two normals (float64) of 32-bit words x, y of one shape.

    With u = (x | 1) / 2**32, the midpoint of one of 2**31 cells of (0, 1), and the angle t = 2 pi y / 2**32:

        z_0 = sqrt(-2 ln u) cos t,   z_1 = sqrt(-2 ln u) sin t,   |z| <= sqrt(64 ln 2) = 6.66

    Source: Box and Muller, Ann. Math. Stat. 29 (1958) 610.
    """
    radius = np.sqrt(-2 * np.log((x | np.uint64(1)) * 2.0**-32))
    angle = y * (2 * np.pi / 2**32)
    return radius * np.cos(angle), radius * np.sin(angle)


def bits(
    key: int,
    stream: int,
    step: int,
    instances: Iterable[int],
    chains: Iterable[int],
    count: int,
    first_element: int = 0,
) -> np.ndarray:
    """Return the 32-bit outputs as uint64 [instances, chains, count]; see ``draws.bits``."""
    first, count = check_elements(first_element, count)
    outputs = _quads(address_of(key, stream, step, instances, chains), first, count)
    return _elements(np.stack(outputs, axis=-1), first, count)


def normals(
    key: int,
    stream: int,
    step: int,
    instances: Iterable[int],
    chains: Iterable[int],
    count: int,
    first_element: int = 0,
) -> np.ndarray:
    """Return standard normals as float64 [instances, chains, count]; see ``draws.fill_normals``."""
    first, count = check_elements(first_element, count)
    x0, x1, x2, x3 = _quads(address_of(key, stream, step, instances, chains), first, count)
    return _elements(np.stack(box_muller(x0, x1) + box_muller(x2, x3), axis=-1), first, count)


def _quads(address: Address, first: int, count: int) -> tuple[np.ndarray, ...]:
    quads = np.arange(first // 4, -(-(first + count) // 4), dtype=np.uint64)
    counter = (quads, np.uint64(address.step), address.chains[:, None], address.tags[:, None, None])
    return philox(tuple(np.broadcast_arrays(*counter)), (address.key_low, address.key_high))


def _elements(quads: np.ndarray, first: int, count: int) -> np.ndarray:
    rows = quads.reshape(*quads.shape[:2], quads.shape[2] * 4)
    return rows[:, :, first % 4 : first % 4 + count]
