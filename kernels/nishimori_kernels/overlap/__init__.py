"""Inner products row by row of two flat buffers: `reference` is the definition, `cpu` Numba's and `gpu` Triton's."""

import numpy as np
import torch
from torch import Tensor

from nishimori_kernels.blocks import Buffer
from nishimori_kernels.dispatch import Implementation, arrays_of, chosen_for
from nishimori_kernels.overlap import cpu, reference


def row_dot(first: Buffer, second: Buffer, implementation: Implementation = "auto") -> Tensor:
    """sum_j first_j second_j over all blocks of a row, [instances, chains], products and sums in float64.

    Compiled, the same bits for any number of threads and whatever rows stand beside. Raises ValueError as
    `dispatch.chosen_for`.
    """
    name = chosen_for(implementation, first, second)
    if name == "torch":
        return reference.row_dot(first, second)
    if name == "triton":
        from nishimori_kernels.overlap import gpu

        return gpu.row_dot(first, second)
    (a, b), blocks = arrays_of(first, second), first.blocks
    out = np.empty((blocks.instances, blocks.chains))
    cpu.row_dot(a, b, blocks.pieces, blocks.rows, out.reshape(-1))
    return torch.from_numpy(out)
