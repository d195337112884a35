"""The 64-bit Philox key of a seed and a grid point."""

import hashlib
import operator
from typing import SupportsIndex


def random_key(seed: SupportsIndex, point: str = "") -> int:
    r"""Return the key of (seed, point), an integer in [0, 2**64).

    It is the first eight bytes, read little endian, of the 64-byte BLAKE2b digest (RFC 7693) of

        b"nishimori" + b"\x00" + decimal digits of seed + b"\x00" + point in UTF-8

    Digits contain no zero byte and ``point`` comes last, so different pairs have different encodings.

    Raises ``ValueError`` if the seed is not a non-negative integer (of any size; a bool is refused).
    """
    if isinstance(seed, bool) or not isinstance(seed, SupportsIndex):
        raise ValueError(f"The seed {seed!r} is not an integer: give an integer of at least 0.")
    number = operator.index(seed)
    if number < 0:
        raise ValueError(f"The seed {number} is negative: give an integer of at least 0.")
    message = b"\x00".join((b"nishimori", str(number).encode("ascii"), point.encode("utf-8")))
    return int.from_bytes(hashlib.blake2b(message).digest()[:8], "little")
