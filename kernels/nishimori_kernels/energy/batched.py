"""All chains of all instances at once: the first layer as one matrix product an instance, the rest batched.

Activations are kept as [instances, chains, d_l, samples], so a chain's block is contiguous and the first layer's
product [chains * d_1, d_0] x [d_0, samples] writes it in place. Runs wherever torch runs.
"""

import math
from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from nishimori_kernels.energy.activations import ActivationKernel


class BatchedNetwork:
    """Forward and pull-back of `chains` networks an instance on fixed inputs, with preallocated buffers.

    `inputs` is [instances, samples, d_0]; `widths` are (d_1, ..., d_L). Weight blocks are as in `reference`,
    contiguous, of the dtype and device of `inputs`; where they hold no readout, it is a = (1, ..., 1). Results are
    views of buffers: valid until the next call.
    """

    def __init__(self, inputs: Tensor, widths: Sequence[int], kernel: ActivationKernel, chains: int) -> None:
        self.inputs = inputs.contiguous()
        self.kernel = kernel
        self.instances, self.samples, self.input_dim = inputs.shape
        self.chains, self.depth = chains, len(widths)
        fan_in = (self.input_dim, *widths[:-1])
        self.scales = [self.kernel.input_scale / math.sqrt(width) for width in fan_in][: self.depth]
        self.top_width = widths[-1] if widths else self.input_dim
        self.readout_scale = 1.0 / math.sqrt(self.top_width)
        self.pre = [self._buffer(width) for width in widths]
        self.hidden = self.pre if self.kernel.from_output else [self._buffer(width) for width in widths]
        self.output = inputs.new_empty(self.instances, chains, self.samples)

    def _buffer(self, width: int) -> Tensor:
        return self.inputs.new_empty(self.instances, self.chains, width, self.samples)

    @cached_property
    def delta(self) -> list[Tensor]:
        return [torch.empty_like(pre) for pre in self.pre]

    @cached_property
    def _ones(self) -> Tensor:
        return self.inputs.new_ones(self.instances, self.chains, self.top_width)

    @property
    def top_gradient(self) -> Tensor:
        """Where `pull_back_hidden` would have its gradient, [instances, chains, d_L, samples]: written here, it is not
        copied."""
        return self.delta[-1]

    def _fold(self, block: Tensor, layer: int) -> Tensor:
        """A matrix batch: chains stacked under their instance in the first layer, a batch entry each above."""
        rows, columns = block.shape[-2:]
        if layer == 0:
            return block.view(self.instances, self.chains * rows, columns)
        return block.view(self.instances * self.chains, rows, columns)

    def _readout(self, weights: Sequence[Tensor]) -> Tensor:
        return weights[self.depth] if len(weights) > self.depth else self._ones

    def forward_hidden(self, weights: Sequence[Tensor]) -> Tensor:
        """h_L, [instances, chains, d_L, samples], of one hidden layer or more; a readout is not looked at."""
        below = self.inputs.transpose(1, 2)
        for layer in range(self.depth):
            pre = self._fold(self.pre[layer], layer)
            torch.baddbmm(pre, self._fold(weights[layer], layer), below, beta=0, alpha=self.scales[layer], out=pre)
            self.kernel.apply(self.pre[layer], self.hidden[layer])
            below = self._fold(self.hidden[layer], layer + 1)
        return self.hidden[-1]

    def forward(self, weights: Sequence[Tensor]) -> Tensor:
        """F, [instances, chains, samples]: a view of the output buffer."""
        if self.depth == 0:
            rows, below, output = weights[0], self.inputs.transpose(1, 2), self.output
        else:
            below = self._fold(self.forward_hidden(weights), self.depth)
            rows, output = (tensor.view(len(below), 1, -1) for tensor in (self._readout(weights), self.output))
        torch.baddbmm(output, rows, below, beta=0, alpha=self.readout_scale, out=output)
        return self.output

    def pull_back(
        self,
        weights: Sequence[Tensor],
        latent_gradient: Tensor,
        addend: Sequence[Tensor],
        out: Sequence[Tensor],
    ) -> None:
        """out = addend + sum_mu g_mu dF(x_mu)/dw, after `forward` of the same weights; consumes its buffers.

        `latent_gradient` g is [instances, chains, samples], contiguous; `addend` and `out` are shaped like `weights`
        and may not overlap each other.
        """
        if self.depth == 0:
            torch.baddbmm(addend[0], latent_gradient, self.inputs, alpha=self.readout_scale, out=out[0])
            return
        readout = self._readout(weights)
        if len(weights) > self.depth:
            self._pull_back_readout(latent_gradient, addend[-1], out[-1])
        scaled = (readout * self.readout_scale).unsqueeze(-1)
        torch.mul(scaled, latent_gradient.unsqueeze(-2), out=self.top_gradient)
        self.pull_back_hidden(weights, self.top_gradient, addend, out)

    def pull_back_hidden(
        self,
        weights: Sequence[Tensor],
        top_gradient: Tensor,
        addend: Sequence[Tensor],
        out: Sequence[Tensor],
    ) -> None:
        """out = addend + sum_{i, mu} t_{i mu} dh_{L, i}(x_mu)/dW for W_1, ..., W_L, after `forward_hidden` or `forward`
        of the same weights; consumes their buffers and `self.top_gradient`, where t may be.

        `top_gradient` t is [instances, chains, d_L, samples]; a readout among `weights`, `addend` and `out` is not
        looked at.
        """
        if top_gradient is not self.top_gradient:
            self.top_gradient.copy_(top_gradient)
        for layer in reversed(range(self.depth)):
            delta = self.delta[layer]
            self.kernel.multiply_derivative_(delta, self.pre[layer], self.hidden[layer])
            folded = self._fold(delta, layer)
            below = self.inputs if layer == 0 else self._fold(self.hidden[layer - 1], layer).transpose(1, 2)
            torch.baddbmm(
                self._fold(addend[layer], layer),
                folded,
                below,
                alpha=self.scales[layer],
                out=self._fold(out[layer], layer),
            )
            if layer > 0:
                target = self._fold(self.delta[layer - 1], layer)
                transposed = self._fold(weights[layer], layer).transpose(1, 2)
                torch.baddbmm(target, transposed, folded, beta=0, alpha=self.scales[layer], out=target)

    def _pull_back_readout(self, latent_gradient: Tensor, addend: Tensor, out: Tensor) -> None:
        top = self.hidden[-1].view(-1, self.top_width, self.samples)
        torch.baddbmm(
            addend.view(-1, 1, self.top_width),
            latent_gradient.reshape(-1, 1, self.samples),
            top.transpose(1, 2),
            alpha=self.readout_scale,
            out=out.view(-1, 1, self.top_width),
        )
