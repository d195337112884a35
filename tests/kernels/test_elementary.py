"""exp, tanh and erf in float32: within two units in the last place, at numbers of every size."""

import math
import os
import time
from statistics import median

import numpy as np
import pytest
import torch
from numba import njit

from nishimori_kernels.energy import elementary
from nishimori_kernels.energy.cpu import COMPILED_ACTIVATIONS

JIT = os.environ.get("NUMBA_DISABLE_JIT", "0") == "0"
STRIDE = 509 if JIT else 509 * 997
"""Every so many of the two thousand million positive numbers."""
NAMES = ("exp", "tanh", "erf", "erf_derivative")


def exact(name: str, x: np.ndarray) -> np.ndarray:
    values = torch.from_numpy(x.astype(np.float64))
    if name == "erf_derivative":
        return (2 / math.sqrt(math.pi) * (-values.square()).exp()).numpy()
    return getattr(torch, name)(values).numpy()


def compiled(name: str):
    function = getattr(elementary, name)

    @njit
    def loop(x, out):
        for i in range(x.size):
            out[i] = function(x[i])

    return loop


def positive_numbers() -> np.ndarray:
    return np.arange(0, 0x7F800000, STRIDE, dtype=np.int32).view(np.float32)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("name", NAMES)
def test_within_two_units_in_the_last_place(name, sign):
    x = np.float32(sign) * positive_numbers()
    if name in ("exp", "erf_derivative"):
        x = x[np.abs(x) <= (86 if name == "exp" else 9)]
    out = np.full_like(x, np.nan)
    with np.errstate(all="ignore"):
        compiled(name)(x, out)
    expected = exact(name, x)
    unit = np.spacing(np.abs(expected).astype(np.float32)).astype(np.float64)
    error = np.abs(out - expected) / unit
    # The derivative rounds once more, and exp(-x^2) inherits the rounding of x^2.
    allowed = 2.0 if name != "erf_derivative" else 3.0 + np.square(x.astype(np.float64))
    worst = int(np.argmax(error - allowed))
    assert (error <= allowed).all(), (x[worst], out[worst], expected[worst], error[worst])


@pytest.mark.parametrize("name", ["tanh", "erf"])
def test_limits_and_nan(name):
    x = np.array([np.inf, -np.inf, np.nan, 0.0, -0.0], dtype=np.float32)
    out = np.empty_like(x)
    with np.errstate(all="ignore"):
        compiled(name)(x, out)
    np.testing.assert_array_equal(out, np.array([1, -1, np.nan, 0, 0], dtype=np.float32))


def test_a_derivative_far_out_is_nothing():
    x = np.array([12.0, -40.0, 1e20, np.inf], dtype=np.float32)
    out = np.empty_like(x)
    with np.errstate(all="ignore"):
        compiled("erf_derivative")(x, out)
    assert (out >= 0).all() and (out < 1e-37).all()


@pytest.mark.skipif(not JIT, reason="NUMBA_DISABLE_JIT=1: nothing is compiled")
@pytest.mark.parametrize("name", ["tanh", "erf"])
def test_compiled_loops_are_vectorised(name):
    """An element costs less than twice torch's; a loop that is not vectorised needs more than twice (5 for erf)."""
    u = torch.randn(1, 1, 64, 200, dtype=torch.float32)
    out = torch.empty_like(u)
    kernel, theirs = COMPILED_ACTIVATIONS[name], getattr(torch, name)
    ours: list[float] = []
    others: list[float] = []
    for _ in range(60):
        source = out.copy_(u) if kernel.from_output else u
        ours.append(timed(lambda source=source: kernel.apply(source, out)))
        others.append(timed(lambda: theirs(u, out=out)))
    assert median(ours) < 2 * median(others), (median(ours), median(others))


def timed(call) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started
