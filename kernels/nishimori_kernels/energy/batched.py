"""All chains of all instances at once: the first layer as one matrix product an instance, the rest batched.

Activations are kept as [instances, chains, d_l, samples], so a chain's block is contiguous and the first layer's
product [chains * d_1, d_0] x [d_0, samples] writes it in place. Runs wherever torch runs.
"""

import math
from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from nishimori_kernels.energy.activations import Kernels, by_layer
from nishimori_kernels.energy.variances import PLAIN, Variances


class Buffers:
    """Where activations of some chains of some instances are kept, for networks that take turns."""

    def __init__(self, inputs: Tensor, widths: Sequence[int], kernels: Kernels, chains: int) -> None:
        instances, samples, _ = inputs.shape
        self.pre = [inputs.new_empty((instances, chains, width, samples)) for width in widths]
        self.hidden = [
            pre if kernel.from_output else torch.empty_like(pre)
            for pre, kernel in zip(self.pre, by_layer(kernels, len(widths)), strict=True)
        ]

    @cached_property
    def delta(self) -> list[Tensor]:
        return [torch.empty_like(pre) for pre in self.pre[:-1]]

    @cached_property
    def top_gradient(self) -> Tensor:
        return torch.empty_like(self.pre[-1])

    @staticmethod
    def bytes_of(inputs: Tensor, widths: Sequence[int], kernels: Kernels) -> int:
        """Of `pre` and `hidden`, for one chain of one instance."""
        return lifted_of(widths, kernels) * inputs.shape[1] * inputs.element_size()


def lifted_of(widths: Sequence[int], kernels: Kernels) -> int:
    """Numbers an input that a forward pass of one chain leaves."""
    by_width = zip(widths, by_layer(kernels, len(widths)), strict=True)
    return sum((1 if kernel.from_output else 2) * width for width, kernel in by_width)


class BatchedNetwork:
    """Forward and pull-back of `chains` networks an instance on fixed inputs, with preallocated buffers.

    `inputs` is [instances, samples, d_0]; `widths` are (d_1, ..., d_L), `kernels` one activation of all hidden layers
    or one each. Weight blocks are as in `reference`, biases last, scaled as `variances` say, contiguous, of the dtype
    and device of `inputs`; where they hold no readout, it is a = (1, ..., 1). Results are views of buffers: valid until
    the next call. `output` [instances, chains, samples] and `shared` buffers, by instances and chains, may be given.
    """

    def __init__(
        self,
        inputs: Tensor,
        widths: Sequence[int],
        kernels: Kernels,
        chains: int,
        output: Tensor | None = None,
        shared: dict[tuple[int, int], Buffers] | None = None,
        variances: Variances = PLAIN,
    ) -> None:
        self.inputs = inputs.contiguous()
        self.kernels, self.variances = by_layer(kernels, len(widths)), variances
        self.instances, self.samples, self.input_dim = inputs.shape
        self.chains, self.depth = chains, len(widths)
        fan_in, (*gains, readout_gain) = (self.input_dim, *widths), variances.gains(self.depth)
        self.scales = [
            kernel.input_scale * gain / math.sqrt(width)
            for kernel, gain, width in zip(self.kernels, gains, fan_in, strict=False)
        ]
        self.bias_scales = [kernel.input_scale * variances.bias_scale for kernel in self.kernels]
        self.top_width = fan_in[-1]
        self.readout_scale = readout_gain / math.sqrt(self.top_width)
        kept = {} if shared is None else shared
        if (self.instances, chains) not in kept:
            kept[self.instances, chains] = Buffers(inputs, widths, self.kernels, chains)
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

    def _own_readout(self, blocks: Sequence[Tensor]) -> Tensor | None:
        """The block of the readout, or of what is shaped like it; None where it is fixed."""
        own = self.variances.weights_of(blocks, self.depth)
        return own[self.depth] if len(own) > self.depth else None

    def _readout(self, weights: Sequence[Tensor]) -> Tensor:
        own = self._own_readout(weights)
        return self._ones if own is None else own

    def _lift(self, weights: Sequence[Tensor]) -> None:
        """Up to u of the top hidden layer, which is left in `pre`."""
        below, biases = self.inputs.transpose(1, 2), self.variances.biases(weights, self.depth)
        for layer in range(self.depth):
            if layer > 0:
                self.kernels[layer - 1].apply(self.pre[layer - 1], self.hidden[layer - 1])
                below = self._fold(self.hidden[layer - 1], layer)
            pre = self._fold(self.pre[layer], layer)
            if biases:
                self.pre[layer].copy_((biases[layer] * self.bias_scales[layer]).unsqueeze(-1))
            beta, own = int(bool(biases)), self._fold(weights[layer], layer)
            torch.baddbmm(pre, own, below, beta=beta, alpha=self.scales[layer], out=pre)

    def forward_hidden(self, weights: Sequence[Tensor]) -> Tensor:
        """h_L, [instances, chains, d_L, samples], of one hidden layer or more; a readout is not looked at."""
        self._lift(weights)
        self.kernels[-1].apply(self.pre[-1], self.hidden[-1])
        return self.hidden[-1]

    def forward(self, weights: Sequence[Tensor]) -> Tensor:
        """F, [instances, chains, samples]: a view of the output buffer."""
        if self.depth == 0:
            torch.baddbmm(
                self.output, weights[0], self.inputs.transpose(1, 2), beta=0, alpha=self.readout_scale, out=self.output
            )
        else:
            self._lift(weights)
            readout, scale = self._readout(weights), self.readout_scale
            self.kernels[-1].read_out(self.pre[-1], self.hidden[-1], readout, scale, self.output)
        if self.variances.bias:
            self.output.add_(weights[-1], alpha=self.variances.bias_scale)
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
        if self.variances.bias:
            total = latent_gradient.sum(-1, keepdim=True)
            torch.add(addend[-1], total, alpha=self.variances.bias_scale, out=out[-1])
        if self.depth == 0:
            torch.baddbmm(addend[0], latent_gradient, self.inputs, alpha=self.readout_scale, out=out[0])
            return
        delta = self.pre[-1] if self.kernels[-1].in_place else self.top_gradient
        own = self._own_readout(addend), self._own_readout(out)
        self.kernels[-1].pull_back_read_out(
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
        """out = addend + sum_{i, mu} t_{i mu} dh_{L, i}(x_mu)/dw for W_1, ..., W_L and their biases, after
        `forward_hidden` or `forward` of the same weights; consumes their buffers and `self.top_gradient`, where t may
        be.

        `top_gradient` t is [instances, chains, d_L, samples]; a readout among `weights`, `addend` and `out`, and its
        bias, are not looked at.
        """
        if top_gradient is not self.top_gradient:
            self.top_gradient.copy_(top_gradient)
        self.kernels[-1].multiply_derivative_(self.top_gradient, self.pre[-1], self.hidden[-1])
        self._pull_back_layers(weights, self.top_gradient, addend, out)

    def _pull_back_layers(
        self, weights: Sequence[Tensor], delta: Tensor, addend: Sequence[Tensor], out: Sequence[Tensor]
    ) -> None:
        """From `delta` = d/du_L down to the first layer."""
        added, written = (self.variances.biases(blocks, self.depth) for blocks in (addend, out))
        for layer in reversed(range(self.depth)):
            if added:
                torch.add(added[layer], delta.sum(-1), alpha=self.bias_scales[layer], out=written[layer])
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
            self.kernels[layer - 1].multiply_derivative_(delta, self.pre[layer - 1], self.hidden[layer - 1])
