"""Networks in blocks of chains: a block goes through all its layers while its activations are in the cache."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nishimori_kernels.blas import one_thread_a_product
from nishimori_kernels.energy.activations import Kernels
from nishimori_kernels.energy.batched import BatchedNetwork, Buffers, turned_of
from nishimori_kernels.energy.variances import PLAIN, Variances
from nishimori_kernels.energy.weights import Split

Slope = Callable[[Tensor, Tensor], Tensor]
"""From labels and latent outputs to the derivative of the energy in the latent output."""
BLOCK_BYTES = 1024 * 1024
"""Activations of a block, a thread: about a second-level cache. Half of it or twice as much costs up to a tenth."""


@dataclass(frozen=True)
class Block:
    """Some instances, and some of their chains: of several instances all chains, so that blocks are contiguous."""

    instances: slice
    chains: slice
    network: BatchedNetwork

    def of(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        return [tensor[self.instances, self.chains] for tensor in tensors]


class BlockedNetwork:
    """Latent outputs, and gradients of a squared misfit, of `chains` networks an instance, wherever torch runs.

    Arguments as in `BatchedNetwork`; weights and gradients are flat (see `weights.py`). `block_bytes` of activations
    make a block (None: no blocks).
    """

    def __init__(
        self,
        inputs: Tensor,
        widths: Sequence[int],
        kernels: Kernels,
        chains: int,
        block_bytes: int | None = None,
        variances: Variances = PLAIN,
    ) -> None:
        instances, samples, input_dim = inputs.shape
        self._split = Split(instances, chains, (input_dim, *widths), variances.bias > 0)
        self.output = inputs.new_empty(instances, chains, samples)
        self._residual = torch.empty_like(self.output)
        one_chain = Buffers.bytes_of(inputs, widths, kernels)
        largest = max(1, (block_bytes or 2**62) // max(1, one_chain))
        shared: dict[tuple[int, int], Buffers] = {}
        turned = turned_of(inputs)
        self.blocks = [
            Block(
                part,
                own,
                BatchedNetwork(inputs[part], widths, kernels, count, output, shared, variances, turned[part]),
            )
            for part, own in blocks_of(instances, chains, largest)
            for count, output in [(own.stop - own.start, self.output[part, own])]
        ]

    def forward(self, weights: Tensor) -> Tensor:
        """F, [instances, chains, samples]: a buffer, valid until the next call."""
        parts = self._split(weights)
        for block in self.blocks:
            block.network.forward(block.of(parts))
        return self.output

    @one_thread_a_product()
    def misfit_gradient(self, weights: Tensor, labels: Tensor, noise_variance: float, out: Tensor) -> Tensor:
        """out = w + d/dw sum_mu (F(x_mu) - y_mu)^2 / (2 noise_variance); returns F - y, a buffer like `forward`'s.

        `labels` y are [instances, 1, samples]; `out`, flat like the weights, may not overlap them.
        """
        parts, gradients = self._split(weights), self._split(out)
        for block in self.blocks:
            own, residual = block.of(parts), self._residual[block.instances, block.chains]
            torch.sub(block.network.forward(own), labels[block.instances], out=residual)
            block.network.pull_back(own, residual / noise_variance, own, block.of(gradients))
        return self._residual

    @one_thread_a_product()
    def slope_gradient(self, weights: Tensor, labels: Tensor, slope: Slope, out: Tensor) -> Tensor:
        """out = w + sum_mu g_mu dF(x_mu)/dw with g = slope(labels, F); returns F, the buffer of `forward`.

        `slope` maps labels [instances, 1, samples] and F [instances, chains, samples] of a block to g, shaped and typed
        like F; `labels` and `out` as in `misfit_gradient`, which is this with slope (F - y) / noise_variance.
        """
        parts, gradients = self._split(weights), self._split(out)
        for block in self.blocks:
            own = block.of(parts)
            g = slope(labels[block.instances], block.network.forward(own)).contiguous()
            block.network.pull_back(own, g, own, block.of(gradients))
        return self.output


def blocks_of(instances: int, chains: int, largest: int) -> Iterator[tuple[slice, slice]]:
    """Whole instances, or chains of one, at most `largest` chains a block, and as even as can be."""
    if chains <= largest:
        for part in _even(instances, largest // chains):
            yield part, slice(0, chains)
        return
    for instance in range(instances):
        for own in _even(chains, largest):
            yield slice(instance, instance + 1), own


def _even(count: int, largest: int) -> Iterator[slice]:
    """Of 0, ..., count - 1, as few parts as `largest` allows, none longer than another by more than one."""
    parts = -(-count // largest)
    for part in range(parts):
        yield slice(part * count // parts, (part + 1) * count // parts)
