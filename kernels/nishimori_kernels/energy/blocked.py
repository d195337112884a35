"""Networks in blocks of chains: a block goes through all its layers while its activations are in the cache."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nishimori_kernels.energy.activations import ActivationKernel
from nishimori_kernels.energy.batched import BatchedNetwork, Buffers

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
    """Latent outputs, and gradients of a squared misfit, of `chains` networks an instance.

    Arguments and weights as in `BatchedNetwork`. `block_bytes` of activations make a block (None: no blocks).
    """

    def __init__(
        self,
        inputs: Tensor,
        widths: Sequence[int],
        kernel: ActivationKernel,
        chains: int,
        block_bytes: int | None = None,
    ) -> None:
        instances, samples, _ = inputs.shape
        self.output = inputs.new_empty(instances, chains, samples)
        self._residual = torch.empty_like(self.output)
        one_chain = Buffers.bytes_of(inputs, widths, kernel)
        largest = max(1, (block_bytes or 2**62) // max(1, one_chain))
        shared: dict[tuple[int, int], Buffers] = {}
        self.blocks = [
            Block(
                part,
                own,
                BatchedNetwork(inputs[part], widths, kernel, own.stop - own.start, self.output[part, own], shared),
            )
            for part, own in _blocks(instances, chains, largest)
        ]

    def forward(self, weights: Sequence[Tensor]) -> Tensor:
        """F, [instances, chains, samples]: a buffer, valid until the next call."""
        for block in self.blocks:
            block.network.forward(block.of(weights))
        return self.output

    def misfit_gradient(
        self,
        weights: Sequence[Tensor],
        labels: Tensor,
        noise_variance: float,
        addend: Sequence[Tensor],
        out: Sequence[Tensor],
    ) -> Tensor:
        """out = addend + d/dw sum_mu (F(x_mu) - y_mu)^2 / (2 noise_variance); returns F - y, a buffer like `forward`'s.

        `labels` y are [instances, 1, samples]; `addend` and `out` are shaped like `weights` and may not overlap.
        """
        for block in self.blocks:
            own, residual = block.of(weights), self._residual[block.instances, block.chains]
            torch.sub(block.network.forward(own), labels[block.instances], out=residual)
            block.network.pull_back(own, residual / noise_variance, block.of(addend), block.of(out))
        return self._residual


def _blocks(instances: int, chains: int, largest: int) -> Iterator[tuple[slice, slice]]:
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
