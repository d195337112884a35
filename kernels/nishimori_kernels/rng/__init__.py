"""Random numbers by address, without generator state.

Every 32-bit output of Philox4x32-10 has the address (key; stream, instance, chain, step, element):

    key     = random_key(seed, point)                              64 bits
    counter = (element // 4, step, chain, instance | stream << 24)  4 x 32 bits
    element 4 j + i  is output i of the counter with element // 4 = j

so a draw depends on its own address and on nothing else: not on the batch it is drawn in, the order, the
device or the number of threads. The definition is ``reference``; ``cpu`` (Numba) and ``torch_ops`` (any
device) give the same bits as each other. See the README of this folder.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nishimori_kernels.rng.draws import bits, fill_normals, uniforms, uniforms_at
    from nishimori_kernels.rng.keys import random_key
    from nishimori_kernels.rng.streams import Stream

__all__ = ["Stream", "bits", "fill_normals", "random_key", "uniforms", "uniforms_at"]

_DRAWS = ("bits", "fill_normals", "uniforms", "uniforms_at")
_HOME = {"Stream": "streams", "random_key": "keys"} | dict.fromkeys(_DRAWS, "draws")


def __getattr__(name: str) -> object:
    # Lazy, so that `rng.keys` and `rng.streams` are importable where torch and numba are not.
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
