"""Activations fused with what stands beside them, in float32 on the CPU, by Numba.

A row is one hidden unit of one chain on all inputs: it stays in the first-level cache while it is activated, weighed
by its readout, or differentiated. One thread does a chain from end to end, so no sum depends on the number of threads.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit, prange
from torch import Tensor

from nishimori_kernels.energy.elementary import STRAIGHT, erf, erf_derivative, tanh

IDENTITY, TANH, ERF, RELU = range(4)
_ZERO, _ONE = np.float32(0), np.float32(1)
SUMS = {**STRAIGHT, "fastmath": {"contract", "reassoc"}}
"""Sums may be taken in another order, the same at every call."""


@dataclass(frozen=True)
class CompiledActivation:
    """The interface of `TorchActivation`, for contiguous float32 tensors on the CPU.

    `in_place`: `pull_back_read_out` may write `delta` over `u`.
    """

    kind: int
    input_scale: float
    in_place = True

    @property
    def from_output(self) -> bool:
        return self.kind != ERF

    def apply(self, u: Tensor, out: Tensor) -> None:
        self._require_one_buffer(u, out)
        _apply(self.kind, _chains(u), _chains(out))

    def _require_one_buffer(self, u: Tensor, hidden: Tensor) -> None:
        if self.from_output and u.data_ptr() != hidden.data_ptr():
            raise ValueError("an activation whose derivative needs the output alone is computed in place: give u twice")

    def multiply_derivative_(self, delta: Tensor, u: Tensor, hidden: Tensor) -> None:
        _multiply_derivative(self.kind, _chains(delta), _chains(u), _chains(hidden))

    def read_out(self, u: Tensor, hidden: Tensor, readout: Tensor, scale: float, output: Tensor) -> None:
        self._require_one_buffer(u, hidden)
        arrays = _chains(u), _chains(hidden), _rows(readout), _rows(output)
        _read_out(self.kind, np.float32(scale), *arrays)

    def pull_back_read_out(
        self,
        gradient: Tensor,
        readout: Tensor,
        scale: float,
        u: Tensor,
        hidden: Tensor,
        delta: Tensor,
        addend: Tensor | None,
        out: Tensor | None,
    ) -> None:
        own = (_NONE, _NONE, False) if addend is None or out is None else (_rows(addend), _rows(out), True)
        layers = _chains(u), _chains(hidden), _chains(delta)
        _pull_back_read_out(self.kind, np.float32(scale), _rows(gradient), _rows(readout), *layers, *own)


COMPILED_ACTIVATIONS = {
    "identity": CompiledActivation(IDENTITY, 1.0),
    "tanh": CompiledActivation(TANH, 1.0),
    "tanh2": CompiledActivation(TANH, 2.0),
    "erf": CompiledActivation(ERF, 1.0),
    "erf_sqrt2": CompiledActivation(ERF, 0.5**0.5),
    "relu": CompiledActivation(RELU, 1.0),
}

_NONE = np.empty((0, 0), np.float32)


def _rows(tensor: Tensor) -> np.ndarray:
    """[..., n] as [rows, n], the same memory."""
    return tensor.detach().reshape(-1, tensor.shape[-1]).numpy() if tensor.is_contiguous() else _refuse(tensor)


def _chains(tensor: Tensor) -> np.ndarray:
    """[instances, chains, rows, n] as [batch, rows, n], the same memory."""
    return tensor.detach().flatten(0, 1).numpy() if tensor.is_contiguous() else _refuse(tensor)


def _refuse(tensor: Tensor) -> np.ndarray:
    raise ValueError(
        f"a compiled kernel needs contiguous tensors, got strides {tensor.stride()} of {list(tensor.shape)}"
    )


# LLVM vectorises a loop over two arrays only where it finds them apart: what may share memory is one argument.


@njit(**STRAIGHT)
def activate(kind, scale, u, hidden):
    """u *= scale, hidden = base(u); for ERF alone there is a `u`, else it is `hidden`."""
    if kind == TANH:
        for j in range(hidden.size):
            hidden[j] = tanh(scale * hidden[j])
    elif kind == ERF:
        for j in range(hidden.size):
            u[j] *= scale
            hidden[j] = erf(u[j])
    elif kind == RELU:
        for j in range(hidden.size):
            hidden[j] = _ZERO if hidden[j] < _ZERO else scale * hidden[j]
    elif scale != _ONE:
        for j in range(hidden.size):
            hidden[j] *= scale


@njit(**STRAIGHT)
def slope(kind, u, hidden, out):
    """out = base'(u)."""
    if kind == TANH:
        for j in range(hidden.size):
            out[j] = _ONE - hidden[j] * hidden[j]
    elif kind == ERF:
        for j in range(hidden.size):
            out[j] = erf_derivative(u[j])
    elif kind == RELU:
        for j in range(hidden.size):
            out[j] = _ONE if hidden[j] > _ZERO else _ZERO * hidden[j]
    else:
        out[:] = _ONE


@njit(**SUMS)
def dot(a, b):
    total = _ZERO
    for j in range(a.size):
        total += a[j] * b[j]
    return total


@njit(parallel=True, **STRAIGHT)
def _apply(kind, u, hidden):
    for chain in prange(len(u)):
        for unit in range(u.shape[1]):
            activate(kind, _ONE, u[chain, unit], hidden[chain, unit])


@njit(parallel=True, **STRAIGHT)
def _multiply_derivative(kind, delta, u, hidden):
    for chain in prange(len(u)):
        row_slope = np.empty(u.shape[2], np.float32)
        for unit in range(u.shape[1]):
            slope(kind, u[chain, unit], hidden[chain, unit], row_slope)
            row = delta[chain, unit]
            for j in range(row.size):
                row[j] *= row_slope[j]


@njit(parallel=True, **STRAIGHT)
def _read_out(kind, scale, u, hidden, readout, output):
    for chain in prange(len(u)):
        total = output[chain]
        total[:] = _ZERO
        for unit in range(u.shape[1]):
            row, weight = hidden[chain, unit], scale * readout[chain, unit]
            activate(kind, _ONE, u[chain, unit], row)
            for j in range(row.size):
                total[j] += weight * row[j]


@njit(parallel=True, **STRAIGHT)
def _pull_back_read_out(kind, scale, gradient, readout, u, hidden, delta, addend, out, weighed):
    for chain in prange(len(u)):
        row_slope = np.empty(u.shape[2], np.float32)
        for unit in range(u.shape[1]):
            row = hidden[chain, unit]
            if weighed:
                out[chain, unit] = addend[chain, unit] + scale * dot(gradient[chain], row)
            slope(kind, u[chain, unit], row, row_slope)
            factor, own, target = scale * readout[chain, unit], gradient[chain], delta[chain, unit]
            for j in range(own.size):
                target[j] = factor * own[j] * row_slope[j]
