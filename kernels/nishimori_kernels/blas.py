"""The threads of the BLAS behind Numba's np.dot."""

from contextlib import ContextDecorator
from functools import cache
from threading import Lock

import numba
from threadpoolctl import LibController, ThreadpoolController

SMALL = 1 << 17
"""Up to this many multiply-adds one thread is faster than waking the others."""


def threads_for(multiply_adds: int) -> int:
    """How many of Numba's threads are worth it."""
    return 1 if multiply_adds <= SMALL else numba.get_num_threads()


class one_thread_a_product(ContextDecorator):  # noqa: N801  # called like a function
    """While it is open, a product of NumPy or SciPy runs on the thread that asks for it: callers are threads already.

    It holds for the whole process, until the last of those that are open is left, and takes a few microseconds; within
    another it takes none.
    """

    def __enter__(self) -> None:
        _held.enter()

    def __exit__(self, *_: object) -> None:
        _held.leave()


class _Held:
    """How many are open, and the numbers of threads to go back to."""

    def __init__(self) -> None:
        self.lock, self.open = Lock(), 0
        self.before: list[int] = []

    def enter(self) -> None:
        with self.lock:
            if not self.open:
                self.before = [_threads(library) for library in _libraries()]
                for library in _libraries():
                    library.set_num_threads(1)
            self.open += 1

    def leave(self) -> None:
        with self.lock:
            self.open -= 1
            if not self.open:
                for library, threads in zip(_libraries(), self.before, strict=True):
                    library.set_num_threads(threads)


_held = _Held()


def _threads(library: LibController) -> int:
    threads = library.get_num_threads()
    assert isinstance(threads, int)
    return threads


@cache
def _libraries() -> tuple[LibController, ...]:
    import scipy.linalg.cython_blas  # noqa: F401  # what Numba's np.dot calls; it must be loaded to be found

    return tuple(ThreadpoolController().select(user_api="blas").lib_controllers)
