"""While products run one thread each, the BLAS has one; afterwards it has what it had."""

from threading import Thread

import numba
import pytest

from nishimori_kernels import blas
from nishimori_kernels.blas import one_thread_a_product, threads_for


def threads() -> list[int]:
    return [blas._threads(library) for library in blas._libraries()]


def test_one_within_another_ends_with_the_outer_one():
    before = threads()
    with one_thread_a_product():
        with one_thread_a_product():
            assert set(threads()) == {1}
        assert set(threads()) == {1}
    assert threads() == before


def test_it_decorates_functions_and_ends_with_an_error():
    @one_thread_a_product()
    def failing() -> None:
        assert set(threads()) == {1}
        raise KeyError

    before = threads()
    with pytest.raises(KeyError):
        failing()
    assert threads() == before


def test_the_last_of_several_threads_gives_the_threads_back():
    before = threads()
    with one_thread_a_product():
        other = Thread(target=one_thread_a_product().__enter__)
        other.start()
        other.join()
    assert set(threads()) == {1}
    one_thread_a_product().__exit__()
    assert threads() == before


def test_little_work_is_left_to_one_thread():
    assert threads_for(blas.SMALL) == 1
    assert threads_for(blas.SMALL + 1) == numba.get_num_threads()
