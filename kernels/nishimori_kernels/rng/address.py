"""The checked address of a batch of draws: everything but the elements."""

import operator
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple, SupportsIndex

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

MASK_32 = 0xFFFFFFFF
STREAM_SHIFT = 24
MAX_ELEMENTS = 1 << 34


class Address(NamedTuple):
    """Key and counter words of a batch of rows (instance, chain). Build with ``address_of``.

    ``step`` may be in the memory of a GPU, int64 [1] (see ``counted``): Triton's kernels read it when they run.
    """

    key_low: int
    key_high: int
    step: "int | Tensor"
    chains: np.ndarray  # uint64 [chains]
    tags: np.ndarray  # uint64 [instances], instance | stream << 24

    def at(self, step: SupportsIndex) -> "Address":
        """The same rows at another step; ``ValueError`` unless 0 <= step < 2**32."""
        return Address(self.key_low, self.key_high, _checked_int("step", step, 32), self.chains, self.tags)

    def counted(self, step: "Tensor") -> "Address":
        """The same rows at the step that will be there when a kernel runs; it is not checked."""
        return Address(self.key_low, self.key_high, step, self.chains, self.tags)


def address_of(
    key: SupportsIndex,
    stream: SupportsIndex,
    step: SupportsIndex,
    instances: Iterable[int],
    chains: Iterable[int],
) -> Address:
    """Check the parts of an address and return them as Philox words.

    Ranges: key < 2**64, stream < 2**8, step < 2**32, instance < 2**24, chain < 2**32, none negative.
    ``instances`` and ``chains`` are one-dimensional sequences of integer ids, repeats allowed.

    Raises ``ValueError`` for anything else.
    """
    key = _checked_int("key", key, 64)
    stream = _checked_int("stream", stream, 8)
    return Address(
        key_low=key & MASK_32,
        key_high=key >> 32,
        step=_checked_int("step", step, 32),
        chains=_checked_ids("chain", chains, 32),
        tags=_checked_ids("instance", instances, STREAM_SHIFT) | np.uint64(stream << STREAM_SHIFT),
    )


def check_elements(first_element: SupportsIndex, count: SupportsIndex) -> tuple[int, int]:
    """Return (first_element, count) as ints; ``ValueError`` unless 0 <= first <= first + count <= 2**34."""
    first = _checked_int("first element", first_element, 35)
    number = _checked_int("count of elements", count, 35)
    if first + number > MAX_ELEMENTS:
        raise ValueError(
            f"Elements {first} to {first + number - 1} pass the last one, 2**34 - 1: "
            "draw fewer in a row, or use another step."
        )
    return first, number


def _checked_int(name: str, value: SupportsIndex, bit_count: int) -> int:
    # The check of a protocol takes longer than a draw for some chains.
    if type(value) is not int and not isinstance(value, SupportsIndex):
        raise ValueError(f"The {name} {value!r} is not an integer: give an integer in [0, 2**{bit_count}).")
    number = operator.index(value)
    if not 0 <= number < 1 << bit_count:
        raise ValueError(f"The {name} {number} is out of range: give an integer in [0, 2**{bit_count}).")
    return number


def _checked_ids(name: str, values: Iterable[int], bit_count: int) -> np.ndarray:
    # A list holding a huge integer becomes an object array; both that and floats are refused below.
    ids = np.asarray(values if isinstance(values, np.ndarray | range) else list(values))
    if ids.size == 0:
        return np.zeros(0, np.uint64)
    if ids.ndim != 1 or ids.dtype.kind not in "iu":
        raise ValueError(f"The {name} ids are not a flat sequence of integers: give integers in [0, 2**{bit_count}).")
    if ids.min() < 0 or ids.max() >= 1 << bit_count:
        raise ValueError(f"The {name} ids span {ids.min()} to {ids.max()}: give integers in [0, 2**{bit_count}).")
    return ids.astype(np.uint64)
