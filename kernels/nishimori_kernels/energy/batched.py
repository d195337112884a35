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


class Buffers:
    """Where activations of some chains of some instances are kept, for networks that take turns."""

    def __init__(self, inputs: Tensor, widths: Sequence[int], kernel: ActivationKernel, chains: int) -> None:
        instances, samples, _ = inputs.shape
        shapes = [(instances, chains, width, samples) for width in widths]
        self.pre = [inputs.new_empty(shape) for shape in shapes]
        self.hidden = self.pre if kernel.from_output else [inputs.new_empty(shape) for shape in shapes]

    @cached_property
    def delta(self) -> list[Tensor]:
        return [torch.empty_like(pre) for pre in self.pre[:-1]]

    @cached_property
    def top_gradient(self) -> Tensor:
        return torch.empty_like(self.pre[-1])

    @staticmethod
    def bytes_of(inputs: Tensor, widths: Sequence[int], kernel: ActivationKernel) -> int:
        """Of `pre` and `hidden`, for one chain of one instance."""
        layers = 1 if kernel.from_output else 2
        return layers * sum(widths) * inputs.shape[1] * inputs.element_size()


class BatchedNetwork:
    """Forward and pull-back of `chains` networks an instance on fixed inputs, with preallocated buffers.

    `inputs` is [instances, samples, d_0]; `widths` are (d_1, ..., d_L). Weight blocks are as in `reference`,
    contiguous, of the dtype and device of `inputs`; where they hold no readout, it is a = (1, ..., 1). Results are
    views of buffers: valid until the next call. `output` [instances, chains, samples] and `shared` buffers, by
    instances and chains, may be given.
    """

    def __init__(
        self,
        inputs: Tensor,
        widths: Sequence[int],
        kernel: ActivationKernel,
        chains: int,
        output: Tensor | None = None,
        shared: dict[tuple[int, int], Buffers] | None = None,
    ) -> None:
        self.inputs = inputs.contiguous()
        self.kernel = kernel
        self.instances, self.samples, self.input_dim = inputs.shape
        self.chains, self.depth = chains, len(widths)
        fan_in = (self.input_dim, *widths[:-1])
        self.scales = [self.kernel.input_scale / math.sqrt(width) for width in fan_in][: self.depth]
        self.top_width = widths[-1] if widths else self.input_dim
        self.readout_scale = 1.0 / math.sqrt(self.top_width)
        kept = {} if shared is None else shared
        if (self.instances, chains) not in kept:
            kept[self.instances, chains] = Buffers(inputs, widths, kernel, chains)
        self.buffers = kept[self.instances, chains]
        self.pre, self.hidden = self.buffers.pre, self.buffers.hidden
        self.output = inputs.new_empty(self.instances, chains, self.samples) if output is None else output

    @property
    def delta(self) -> list[Tensor]:
        return self.buffers.delta

    @property
    def top_gradient(self) -> Tensor:
        """Where `pull_back_hidden` would have its gradient, [instances, chains, d_L, samples]: written here, it is not
        copied."""
        return self.buffers.top_gradient

    @cached_property
    def _ones(self) -> Tensor:
        return self.inputs.new_ones(self.instances, self.chains, self.top_width)

    def _fold(self, block: Tensor, layer: int) -> Tensor:
        """A matrix batch: chains stacked under their instance in the first layer, a batch entry each above."""
        rows, columns = block.shape[-2:]
        if layer == 0:
            return block.view(self.instances, self.chains * rows, columns)
        return block.view(self.instances * self.chains, rows, columns)

    def _readout(self, weights: Sequence[Tensor]) -> Tensor:
        return weights[self.depth] if len(weights) > self.depth else self._ones

    def _lift(self, weights: Sequence[Tensor]) -> None:
        """Up to u of the top hidden layer, which is left in `pre`."""
        below = self.inputs.transpose(1, 2)
        for layer in range(self.depth):
            if layer > 0:
                self.kernel.apply(self.pre[layer - 1], self.hidden[layer - 1])
                below = self._fold(self.hidden[layer - 1], layer)
            pre = self._fold(self.pre[layer], layer)
            torch.baddbmm(pre, self._fold(weights[layer], layer), below, beta=0, alpha=self.scales[layer], out=pre)

    def forward_hidden(self, weights: Sequence[Tensor]) -> Tensor:
        """h_L, [instances, chains, d_L, samples], of one hidden layer or more; a readout is not looked at."""
        self._lift(weights)
        self.kernel.apply(self.pre[-1], self.hidden[-1])
        return self.hidden[-1]

    def forward(self, weights: Sequence[Tensor]) -> Tensor:
        """F, [instances, chains, samples]: a view of the output buffer."""
        if self.depth == 0:
            torch.baddbmm(
                self.output, weights[0], self.inputs.transpose(1, 2), beta=0, alpha=self.readout_scale, out=self.output
            )
            return self.output
        self._lift(weights)
        self.kernel.read_out(self.pre[-1], self.hidden[-1], self._readout(weights), self.readout_scale, self.output)
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
        delta = self.pre[-1] if self.kernel.in_place else self.top_gradient
        own = (addend[-1], out[-1]) if len(weights) > self.depth else (None, None)
        self.kernel.pull_back_read_out(
            latent_gradient, self._readout(weights), self.readout_scale, self.pre[-1], self.hidden[-1], delta, *own
        )
        self._pull_back_layers(weights, delta, addend, out)

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
        self.kernel.multiply_derivative_(self.top_gradient, self.pre[-1], self.hidden[-1])
        self._pull_back_layers(weights, self.top_gradient, addend, out)

    def _pull_back_layers(
        self, weights: Sequence[Tensor], delta: Tensor, addend: Sequence[Tensor], out: Sequence[Tensor]
    ) -> None:
        """From `delta` = d/dz_L down to the first layer."""
        for layer in reversed(range(self.depth)):
            folded = self._fold(delta, layer)
            below = self.inputs if layer == 0 else self._fold(self.hidden[layer - 1], layer).transpose(1, 2)
            torch.baddbmm(
                self._fold(addend[layer], layer),
                folded,
                below,
                alpha=self.scales[layer],
                out=self._fold(out[layer], layer),
            )
            if layer == 0:
                return
            delta = self.delta[layer - 1]
            target, transposed = self._fold(delta, layer), self._fold(weights[layer], layer).transpose(1, 2)
            torch.baddbmm(target, transposed, folded, beta=0, alpha=self.scales[layer], out=target)
            self.kernel.multiply_derivative_(delta, self.pre[layer - 1], self.hidden[layer - 1])
