"""The threads of the BLAS behind Numba's np.dot."""

from contextlib import AbstractContextManager
from functools import cache

from threadpoolctl import ThreadpoolController


def one_thread_a_product() -> AbstractContextManager[object]:
    """While it is open, a product of NumPy or SciPy runs on the thread that asks for it: callers are threads already.

    Takes about ten microseconds. It holds for the whole process.
    """
    return _blas().limit(limits=1)


@cache
def _blas() -> ThreadpoolController:
    import scipy.linalg.cython_blas  # noqa: F401  # what Numba's np.dot calls; it must be loaded to be found

    return ThreadpoolController().select(user_api="blas")
