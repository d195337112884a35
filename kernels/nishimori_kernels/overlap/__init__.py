"""Inner products row by row of two flat buffers: `reference` is the definition, `cpu` the implementation by Numba."""

import numpy as np
import torch
from torch import Tensor

from nishimori_kernels.blocks import Buffer
from nishimori_kernels.dispatch import Implementation, arrays_of
from nishimori_kernels.overlap import cpu, reference


def row_dot(first: Buffer, second: Buffer, implementation: Implementation = "auto") -> Tensor:
    """sum_j first_j second_j over all blocks of a row, [instances, chains], products and sums in float64.

    By Numba the same bits for any number of threads and whatever rows stand beside. Raises ValueError as
    `dispatch.arrays_of`.
    """
    arrays = arrays_of(implementation, first, second)
    if arrays is None:
        return reference.row_dot(first, second)
    (a, b), blocks = arrays, first.blocks
    out = np.empty((blocks.instances, blocks.chains))
    cpu.row_dot(a, b, blocks.pieces, blocks.rows, out.reshape(-1))
    return torch.from_numpy(out)
