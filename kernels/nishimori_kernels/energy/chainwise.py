"""Networks chain by chain, in float32 on the CPU: a thread takes one chain through all layers and back.

Weights, activations and gradients of a chain stay in the second-level cache of the core that works on it, and no core
waits for another between products. Products are those of the BLAS that SciPy brings (Numba's np.dot), on one thread
each; everything beside them is compiled. A chain's result depends neither on the number of threads nor on the chains
beside it.
"""

import math
from collections.abc import Sequence

import numba
import numpy as np
import torch
from torch import Tensor

from nishimori_kernels.blas import one_thread_a_product
from nishimori_kernels.energy import chainwise_loops as loops
from nishimori_kernels.energy.blocked import Slope
from nishimori_kernels.energy.cpu import CompiledActivation
from nishimori_kernels.energy.variances import PLAIN, Variances


class ChainwiseNetwork:
    """The interface of `BlockedNetwork`, without biases. `inputs` [instances, samples, d_0] are float32, on the CPU."""

    def __init__(
        self,
        inputs: Tensor,
        widths: Sequence[int],
        kernel: CompiledActivation,
        chains: int,
        variances: Variances = PLAIN,
    ) -> None:
        if variances.bias:
            raise ValueError("networks chain by chain have no biases; use BlockedNetwork")
        *gains, readout_gain = variances.gains(len(widths))
        instances, samples, input_dim = inputs.shape
        dims = np.array([input_dim, *widths])
        self._networks = loops.Networks(
            kernel.kind,
            kernel.from_output,
            chains,
            dims,
            np.array(
                [kernel.input_scale * gain / math.sqrt(dim) for gain, dim in zip(gains, dims, strict=False)], np.float32
            ),
            np.float32(readout_gain / math.sqrt(dims[-1])),
            np.ones(dims[-1], np.float32),
            inputs.contiguous().numpy(),
            inputs.transpose(1, 2).contiguous().numpy(),
        )
        layers = 1 if kernel.from_output else 2
        self._floats = int((layers * dims[1:].sum() + 2 * dims.max() + 2) * samples)
        self._floats += int((dims[1:] * dims[:-1]).max(initial=0))
        self._output = inputs.new_empty(instances, chains, samples)
        self._residual = torch.empty_like(self._output)
        self._spaces = np.empty((0, 0), np.float32)

    def forward(self, weights: Tensor) -> Tensor:
        """F, [instances, chains, samples]: a buffer, valid until the next call."""
        with one_thread_a_product():
            loops.forward(self._networks, weights.numpy(), _rows(self._output), self._memory())
        return self._output

    def misfit_gradient(self, weights: Tensor, labels: Tensor, noise_variance: float, out: Tensor) -> Tensor:
        """out = w + d/dw sum_mu (F(x_mu) - y_mu)^2 / (2 noise_variance); returns F - y, a buffer like `forward`'s.

        `labels` y are [instances, 1, samples]; `out`, flat like the weights, may not overlap them.
        """
        arrays = weights.numpy(), _rows(labels), np.float32(noise_variance), out.numpy(), _rows(self._residual)
        with one_thread_a_product():
            loops.misfit_gradient(self._networks, *arrays, self._memory())
        return self._residual

    def slope_gradient(self, weights: Tensor, labels: Tensor, slope: Slope, out: Tensor) -> Tensor:
        """out = w + sum_mu g_mu dF(x_mu)/dw with g = slope(labels, F), all chains at once; returns F, the buffer of
        `forward`. The layers are passed once more on the way back: activations of all chains are nowhere kept."""
        output = self.forward(weights)
        slopes = slope(labels, output).contiguous()
        with one_thread_a_product():
            loops.slope_gradient(self._networks, weights.numpy(), _rows(slopes), out.numpy(), self._memory())
        return output

    def _memory(self) -> np.ndarray:
        """[threads, floats], made at the first call and where the number of threads has changed."""
        if len(self._spaces) != numba.get_num_threads():
            self._spaces = torch.empty(numba.get_num_threads(), self._floats, dtype=torch.float32).numpy()
        return self._spaces


def _rows(tensor: Tensor) -> np.ndarray:
    return tensor.view(-1, tensor.shape[-1]).numpy()
