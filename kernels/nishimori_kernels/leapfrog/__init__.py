"""The moves of Hamiltonian dynamics, in place: `reference` is the definition, `cpu` Numba's and `gpu` Triton's."""

import numpy as np
from torch import Tensor

from nishimori_kernels.blocks import Blocks, Buffer
from nishimori_kernels.dispatch import Implementation, arrays_of, chosen_for
from nishimori_kernels.leapfrog import cpu, reference


def add_scaled_(buffer: Buffer, direction: Buffer, factor: Tensor, implementation: Implementation = "auto") -> None:
    """buffer += factor * direction: a kick (minus the time and the gradient) or a drift (the time and the momentum).

    `factor` is [instances], [instances, chains] or [blocks, instances, chains], any axis of length one instead, and is
    rounded to the buffers' format. All implementations round alike. Raises ValueError for factors of another shape,
    and as `dispatch.chosen_for`.
    """
    name = chosen_for(implementation, buffer, direction)
    if name == "torch":
        return reference.add_scaled_(buffer, direction, factor)
    if name == "triton":
        from nishimori_kernels.leapfrog import gpu

        return gpu.add_scaled_(buffer, direction, factor)
    (values, step), blocks = arrays_of(buffer, direction), buffer.blocks
    cpu.add_scaled(values, step, _spread(factor, blocks), blocks.chains, blocks.pieces, blocks.rows)


def rotate_(position: Buffer, momentum: Buffer, angle: Tensor, implementation: Implementation = "auto") -> None:
    """The exact flow of |position|^2 / 2 + |momentum|^2 / 2 over the time `angle` (shapes and errors of `add_scaled_`).

    Implementations may differ in the last place of a cosine or sine.
    """
    name = chosen_for(implementation, position, momentum)
    if name == "torch":
        return reference.rotate_(position, momentum, angle)
    if name == "triton":
        from nishimori_kernels.leapfrog import gpu

        return gpu.rotate_(position, momentum, angle)
    (q, p), blocks = arrays_of(position, momentum), position.blocks
    cpu.rotate(q, p, _spread(angle, blocks), blocks.chains, blocks.pieces, blocks.rows)


def kick_drift_(
    position: Buffer,
    momentum: Buffer,
    gradient: Buffer,
    kick: Tensor,
    drift: Tensor,
    implementation: Implementation = "auto",
) -> None:
    """p -= kick * gradient, then q += drift * p, in one pass: the bits of two `add_scaled_`, whose shapes and errors
    these are."""
    name = chosen_for(implementation, position, momentum, gradient)
    if name == "torch":
        return reference.kick_drift_(position, momentum, gradient, kick, drift)
    if name == "triton":
        from nishimori_kernels.leapfrog import gpu

        return gpu.kick_drift_(position, momentum, gradient, kick, drift)
    (q, p, g), blocks = arrays_of(position, momentum, gradient), position.blocks
    times = _spread(kick, blocks), _spread(drift, blocks)
    cpu.kick_drift(q, p, g, times[0], times[1], blocks.chains, blocks.pieces, blocks.rows)


def kick_rotate_(
    position: Buffer,
    momentum: Buffer,
    gradient: Buffer,
    kick: Tensor,
    angle: Tensor,
    implementation: Implementation = "auto",
) -> None:
    """p -= kick * gradient, p += kick * q, then `rotate_`, in one pass: the bits of these three."""
    name = chosen_for(implementation, position, momentum, gradient)
    if name == "torch":
        return reference.kick_rotate_(position, momentum, gradient, kick, angle)
    if name == "triton":
        from nishimori_kernels.leapfrog import gpu

        return gpu.kick_rotate_(position, momentum, gradient, kick, angle)
    (q, p, g), blocks = arrays_of(position, momentum, gradient), position.blocks
    times = _spread(kick, blocks), _spread(angle, blocks)
    cpu.kick_rotate(q, p, g, times[0], times[1], blocks.chains, blocks.pieces, blocks.rows)


def _spread(values: Tensor, blocks: Blocks) -> np.ndarray:
    return np.ascontiguousarray(blocks.spread(values.numpy()), np.float64)
