"""The threads of the BLAS behind Numba's np.dot."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from threadpoolctl import LibController, ThreadpoolController


@contextmanager
def one_thread_a_product() -> Iterator[None]:
    """While it is open, a product of NumPy or SciPy runs on the thread that asks for it: callers are threads already.

    It holds for the whole process, and takes a few microseconds.
    """
    libraries = _libraries()
    before = [library.get_num_threads() for library in libraries]
    for library in libraries:
        library.set_num_threads(1)
    try:
        yield
    finally:
        for library, threads in zip(libraries, before, strict=True):
            library.set_num_threads(threads)


@cache
def _libraries() -> tuple[LibController, ...]:
    import scipy.linalg.cython_blas  # noqa: F401  # what Numba's np.dot calls; it must be loaded to be found

    return tuple(ThreadpoolController().select(user_api="blas").lib_controllers)
