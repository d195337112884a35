"""The passes of one thread through one chain: up to its latent outputs, and back to its gradient. Numba, float32.

Weights of a chain are scattered over the blocks of a flat buffer (see `weights.py`): block l holds one layer of all
rows, chains of all instances. The last block, the readout, may be absent.
"""

from typing import NamedTuple

import numpy as np
from numba import njit, prange

from nishimori_kernels.energy.cpu import activate, dot, slope
from nishimori_kernels.energy.elementary import STRAIGHT

_ZERO = np.float32(0)


class Networks(NamedTuple):
    """What all chains share: `scales` of pre-activations, 1/sqrt(width) and the activation's own; inputs, and `turned`
    ones [instances, d_0, samples]; `ones`, a fixed readout."""

    kind: int
    from_output: bool
    chains: int
    dims: np.ndarray
    scales: np.ndarray
    readout_scale: np.float32
    ones: np.ndarray
    inputs: np.ndarray
    turned: np.ndarray


@njit(**STRAIGHT)
def layer_of(flat, dims, rows, row, layer):
    """W_{layer + 1} of a row, [d_{layer + 1}, d_layer]."""
    first = 0
    for below in range(layer):
        first += rows * dims[below] * dims[below + 1]
    size = dims[layer] * dims[layer + 1]
    return flat[first + row * size : first + (row + 1) * size].reshape(dims[layer + 1], dims[layer])


@njit(**STRAIGHT)
def readout_place(flat, dims, rows, row):
    """Where the readout of a row begins; the end of `flat` where there is none."""
    first = 0
    for below in range(dims.size - 1):
        first += rows * dims[below] * dims[below + 1]
    return min(first + row * dims[-1], flat.size)


@njit(**STRAIGHT)
def readout_of(net, flat, rows, row):
    first = readout_place(flat, net.dims, rows, row)
    return flat[first : first + net.dims[-1]] if first < flat.size else net.ones


@njit(**STRAIGHT)
def units_of(space, dims, samples, layer):
    """Layer `layer + 1` in the memory of one thread, [d_{layer + 1}, samples]."""
    first = 0
    for below in range(layer):
        first += dims[below + 1] * samples
    return space[first : first + dims[layer + 1] * samples].reshape(dims[layer + 1], samples)


@njit(**STRAIGHT)
def hidden_space(net, space):
    """Where activations are kept: over what they are computed from, unless the derivative needs that."""
    return space if net.from_output else space[net.dims[1:].sum() * net.inputs.shape[1] :]


@njit(**STRAIGHT)
def free_space(net, space):
    """What `lift` leaves alone."""
    layers = 1 if net.from_output else 2
    return space[layers * net.dims[1:].sum() * net.inputs.shape[1] :]


@njit(**STRAIGHT)
def lift(net, flat, rows, row, space):
    """Up to what the readout weighs, [d_L, samples]: h_L, or the inputs of a network without hidden layers."""
    dims, turned, samples = net.dims, net.turned[row // net.chains], net.inputs.shape[1]
    hidden, top = hidden_space(net, space), turned
    for layer in range(dims.size - 1):
        u = units_of(space, dims, samples, layer)
        np.dot(layer_of(flat, dims, rows, row, layer), top, u)
        top = units_of(hidden, dims, samples, layer)
        activate(net.kind, net.scales[layer], u.reshape(-1), top.reshape(-1))
    return top


@njit(**STRAIGHT)
def read_out(scale, readout, top, output):
    output[:] = _ZERO
    for unit in range(len(top)):
        row, weight = top[unit], scale * readout[unit]
        for j in range(row.size):
            output[j] += weight * row[j]


@njit(**STRAIGHT)
def add_scaled(out, weights, scale, gradient):
    """out = weights + scale * gradient."""
    for j in range(out.size):
        out[j] = weights[j] + scale * gradient[j]


@njit(**STRAIGHT)
def pull_back_read_out(net, readout, top, u, g, row_slope, delta):
    """delta = d/dz_L."""
    for unit in range(len(top)):
        slope(net.kind, u[unit], top[unit], row_slope)
        factor, target = net.readout_scale * readout[unit], delta[unit]
        for j in range(g.size):
            target[j] = factor * g[j] * row_slope[j]


@njit(**STRAIGHT)
def multiply_derivative(net, scale, delta, u, hidden, row_slope):
    """delta *= scale * base'."""
    for unit in range(len(delta)):
        slope(net.kind, u[unit], hidden[unit], row_slope)
        target = delta[unit]
        for j in range(target.size):
            target[j] *= scale * row_slope[j]


@njit(**STRAIGHT)
def pull_back(net, flat, rows, row, g, top, out, space, free):
    """out = w + sum_mu g_mu dF(x_mu)/dw of a row, after `lift` in the same `space`; `free` is memory it left alone."""
    dims, samples = net.dims, net.inputs.shape[1]
    depth, readout, first = dims.size - 1, readout_of(net, flat, rows, row), readout_place(flat, dims, rows, row)
    if first < flat.size:
        for unit in range(len(top)):
            out[first + unit] = readout[unit] + net.readout_scale * dot(g, top[unit])
    if depth == 0:
        return
    reach = dims.max() * samples
    row_slope, product = free[:samples], free[samples + 2 * reach :]
    spaces = free[samples : samples + 2 * reach].reshape(2, reach)
    hidden = hidden_space(net, space)
    delta = spaces[0, : dims[-1] * samples].reshape(dims[-1], samples)
    pull_back_read_out(net, readout, top, units_of(space, dims, samples, depth - 1), g, row_slope, delta)
    for layer in range(depth - 1, -1, -1):
        weights = layer_of(flat, dims, rows, row, layer)
        gradient = product[: weights.size].reshape(weights.shape)
        if layer == 0:
            np.dot(delta, net.inputs[row // net.chains], gradient)
        else:
            np.dot(delta, units_of(hidden, dims, samples, layer - 1).T, gradient)
        own = layer_of(out, dims, rows, row, layer)
        add_scaled(own.reshape(-1), weights.reshape(-1), net.scales[layer], gradient.reshape(-1))
        if layer == 0:
            return
        below = spaces[(depth - layer) % 2, : dims[layer] * samples].reshape(dims[layer], samples)
        np.dot(weights.T, delta, below)
        parts = units_of(space, dims, samples, layer - 1), units_of(hidden, dims, samples, layer - 1)
        multiply_derivative(net, net.scales[layer], below, parts[0], parts[1], row_slope)
        delta = below


@njit(parallel=True, **STRAIGHT)
def forward(net, flat, output, spaces):
    """F of all rows; `spaces` is one row of memory a thread."""
    rows, threads = len(output), len(spaces)
    for thread in prange(threads):
        for row in range(thread * rows // threads, (thread + 1) * rows // threads):
            top = lift(net, flat, rows, row, spaces[thread])
            read_out(net.readout_scale, readout_of(net, flat, rows, row), top, output[row])


@njit(parallel=True, **STRAIGHT)
def misfit_gradient(net, flat, labels, noise_variance, out, residual, spaces):
    """residual = F - y, and the gradient of its squares / (2 noise_variance) plus w in `out`, of all rows."""
    rows, threads, samples = len(residual), len(spaces), net.inputs.shape[1]
    for thread in prange(threads):
        for row in range(thread * rows // threads, (thread + 1) * rows // threads):
            space, own, known = spaces[thread], residual[row], labels[row // net.chains]
            top, free = lift(net, flat, rows, row, space), free_space(net, space)
            read_out(net.readout_scale, readout_of(net, flat, rows, row), top, own)
            g = free[:samples]
            for j in range(samples):
                own[j] -= known[j]
                g[j] = own[j] / noise_variance
            pull_back(net, flat, rows, row, g, top, out, space, free[samples:])


@njit(parallel=True, **STRAIGHT)
def slope_gradient(net, flat, slopes, out, spaces):
    """w + sum_mu g_mu dF(x_mu)/dw in `out`, g the `slopes` of a row, of all rows: a second way up, and back."""
    rows, threads = len(slopes), len(spaces)
    for thread in prange(threads):
        for row in range(thread * rows // threads, (thread + 1) * rows // threads):
            space = spaces[thread]
            top, free = lift(net, flat, rows, row, space), free_space(net, space)
            pull_back(net, flat, rows, row, slopes[row], top, out, space, free)
