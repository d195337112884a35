"""All chains of all instances at once: batched products, the first layer's with the inputs of an instance shared.

Activations are kept as [instances, chains, d_l, samples], so a chain's block is contiguous and products write it in
place. Runs wherever torch runs.
"""

import math
from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from nishimori_kernels.batched_products import multiply
from nishimori_kernels.blas import one_thread_a_product
from nishimori_kernels.dispatch import compiled
from nishimori_kernels.energy.activations import Kernels, by_layer, entries, row_entries
from nishimori_kernels.energy.variances import PLAIN, Variances
from nishimori_kernels.rows import row_sum


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


def turned_of(inputs: Tensor) -> Tensor:
    """[instances, d_0, samples]; a copy where Numba multiplies, which is faster from the left."""
    turned = inputs.transpose(1, 2)
    return turned.contiguous() if compiled(inputs) else turned


class BatchedNetwork:
    """Forward and pull-back of `chains` networks an instance on fixed inputs, with preallocated buffers.

    `inputs` is [instances, samples, d_0]; `widths` are (d_1, ..., d_L), `kernels` one activation of all hidden layers
    or one each. Weight blocks are as in `reference`, biases last, scaled as `variances` say, contiguous, of the dtype
    and device of `inputs`; where they hold no readout, it is a = (1, ..., 1). Results are views of buffers: valid until
    the next call. `output` [instances, chains, samples], `shared` buffers, by instances and chains, and the inputs that
    `turned_of` gives may be given.
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
        turned: Tensor | None = None,
    ) -> None:
        self.inputs = inputs.contiguous()
        self._turned = turned_of(inputs) if turned is None else turned
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

    def _own_readout(self, blocks: Sequence[Tensor]) -> Tensor | None:
        """The block of the readout, or of what is shaped like it; None where it is fixed."""
        own = self.variances.weights_of(blocks, self.depth)
        return own[self.depth] if len(own) > self.depth else None

    def _readout(self, weights: Sequence[Tensor]) -> Tensor:
        own = self._own_readout(weights)
        return self._ones if own is None else own

    def _lift(self, weights: Sequence[Tensor]) -> None:
        """Up to u of the top hidden layer, which is left in `pre`."""
        below, biases = self._turned, self.variances.biases(weights, self.depth)
        for layer, pre in enumerate(self.pre):
            if layer > 0:
                self.kernels[layer - 1].apply(self.pre[layer - 1], self.hidden[layer - 1])
                below = entries(self.hidden[layer - 1])
            multiply(entries(weights[layer]), below, out=entries(pre), alpha=self.scales[layer])
            if biases:
                pre.add_((biases[layer] * self.bias_scales[layer]).unsqueeze(-1))

    @one_thread_a_product()
    def forward_hidden(self, weights: Sequence[Tensor]) -> Tensor:
        """h_L, [instances, chains, d_L, samples], of one hidden layer or more; a readout is not looked at."""
        self._lift(weights)
        self.kernels[-1].apply(self.pre[-1], self.hidden[-1])
        return self.hidden[-1]

    def forward(self, weights: Sequence[Tensor]) -> Tensor:
        """F, [instances, chains, samples]: a view of the output buffer."""
        if self.depth == 0:
            rows, written = row_entries(weights[0]), row_entries(self.output)
            multiply(rows, self._turned, out=written, alpha=self.readout_scale)
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
            total = row_sum(latent_gradient).unsqueeze(-1)
            torch.add(addend[-1], total, alpha=self.variances.bias_scale, out=out[-1])
        if self.depth == 0:
            rows, added, written = (row_entries(values) for values in (latent_gradient, addend[0], out[0]))
            multiply(rows, self.inputs, out=written, addend=added, alpha=self.readout_scale)
            return
        delta = self.pre[-1] if self.kernels[-1].in_place else self.top_gradient
        own = self._own_readout(addend), self._own_readout(out)
        self.kernels[-1].pull_back_read_out(
            latent_gradient, self._readout(weights), self.readout_scale, self.pre[-1], self.hidden[-1], delta, *own
        )
        self._pull_back_layers(weights, delta, addend, out)

    @one_thread_a_product()
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
                torch.add(added[layer], row_sum(delta), alpha=self.bias_scales[layer], out=written[layer])
            slope, scale = entries(delta), self.scales[layer]
            below = self.inputs if layer == 0 else entries(self.hidden[layer - 1]).transpose(1, 2)
            multiply(slope, below, out=entries(out[layer]), addend=entries(addend[layer]), alpha=scale)
            if layer == 0:
                return
            delta = self.delta[layer - 1]
            multiply(entries(weights[layer]).transpose(1, 2), slope, out=entries(delta), alpha=scale)
            self.kernels[layer - 1].multiply_derivative_(delta, self.pre[layer - 1], self.hidden[layer - 1])
