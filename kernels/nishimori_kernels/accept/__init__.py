"""The Metropolis decision and its consequence: `reference` is the definition, `cpu` Numba's and `gpu` Triton's."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from nishimori_kernels.accept import cpu, reference
from nishimori_kernels.blocks import Buffer
from nishimori_kernels.dispatch import Implementation, arrays_of, chosen, chosen_for


class Decision(NamedTuple):
    """Of energy errors of any shape: the probability of acceptance (float64), whether the proposal is accepted, and
    whether the trajectory diverged."""

    acceptance: Tensor
    accepted: Tensor
    divergent: Tensor


def metropolis(
    energy_error: Tensor, uniform: Tensor, divergence: float, implementation: Implementation = "auto"
) -> Decision:
    """Probability min(1, exp(-energy_error)); accepted where log(uniform) < -energy_error; divergent where the error
    exceeds `divergence` in size.

    A NaN or infinite energy error has probability 0, is rejected and divergent. `energy_error` = H(proposed) -
    H(current) and `uniform` in (0, 1) are float64, of one shape. Raises ValueError for other shapes, and as
    `dispatch.chosen`.
    """
    if energy_error.shape != uniform.shape:
        shapes = f"{list(energy_error.shape)} and {list(uniform.shape)}"
        raise ValueError(f"energy errors and uniforms have the shapes {shapes}; give one uniform an error")
    name = chosen(implementation, energy_error)
    if name == "torch":
        return Decision(*reference.metropolis(energy_error, uniform, divergence))
    if name == "triton":
        from nishimori_kernels.accept import gpu

        return Decision(*gpu.metropolis(energy_error, uniform, divergence))
    errors, shape = energy_error.numpy(), energy_error.shape
    acceptance, accepted, divergent = np.empty(shape), np.empty(shape, np.bool_), np.empty(shape, np.bool_)
    made = acceptance.reshape(-1), accepted.reshape(-1), divergent.reshape(-1)
    cpu.metropolis(errors.reshape(-1), uniform.numpy().reshape(-1), *made, divergence)
    return Decision(torch.from_numpy(acceptance), torch.from_numpy(accepted), torch.from_numpy(divergent))


def restore_(accepted: Tensor, proposed: Buffer, current: Buffer, implementation: Implementation = "auto") -> None:
    """Rows of `proposed` that are not `accepted` [instances, chains] become those of `current`, in place.

    They are copied, never weighed: a NaN that was rejected is gone. Raises ValueError for anything but one bool a row,
    and as `dispatch.chosen_for`.
    """
    blocks = proposed.blocks
    if accepted.dtype is not torch.bool or accepted.shape != (blocks.instances, blocks.chains):
        given = f"{accepted.dtype} {list(accepted.shape)}"
        raise ValueError(f"accepted is {given}; give a bool for each of {blocks.instances} x {blocks.chains} rows")
    name = chosen_for(implementation, proposed, current)
    if name == "torch":
        return reference.restore_(accepted, proposed, current)
    if name == "triton":
        from nishimori_kernels.accept import gpu

        return gpu.restore_(accepted, proposed, current)
    new, old = arrays_of(proposed, current)
    cpu.restore(accepted.numpy().reshape(-1), new, old, blocks.pieces, blocks.rows)
