"""All chains of all instances at once: the first layer as one matrix product an instance, the rest batched.

Activations are kept as [instances, chains, d_l, samples], so a chain's block is contiguous and the first layer's
product [chains * d_1, d_0] x [d_0, samples] writes it in place. Runs wherever torch runs.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from nishimori_kernels.energy.activations import ACTIVATION_KERNELS


class BatchedNetwork:
    """Forward and pull-back of `chains` networks an instance on fixed inputs, with preallocated buffers.

    `inputs` is [instances, samples, d_0]; `widths` are (d_1, ..., d_L). Weight blocks are as in `reference`,
    contiguous, of the dtype and device of `inputs`. Results are views of buffers: valid until the next call.
    """

    def __init__(self, inputs: Tensor, widths: Sequence[int], activation: str, chains: int) -> None:
        self.inputs = inputs.contiguous()
        self.kernel = ACTIVATION_KERNELS[activation]
        self.instances, self.samples, self.input_dim = inputs.shape
        self.chains, self.depth = chains, len(widths)
        fan_in = (self.input_dim, *widths[:-1])
        self.scales = [self.kernel.input_scale / math.sqrt(width) for width in fan_in][: self.depth]
        self.readout_scale = 1.0 / math.sqrt(widths[-1] if widths else self.input_dim)
        self.pre = [self._buffer(width) for width in widths]
        self.hidden = self.pre if self.kernel.from_output else [self._buffer(width) for width in widths]
        self.delta: list[Tensor] = []
        self.output = inputs.new_empty(self.instances, chains, self.samples)

    def _buffer(self, width: int) -> Tensor:
        return self.inputs.new_empty(self.instances, self.chains, width, self.samples)

    def _fold(self, block: Tensor, layer: int) -> Tensor:
        """A matrix batch: chains stacked under their instance in the first layer, a batch entry each above."""
        rows, columns = block.shape[-2:]
        if layer == 0:
            return block.view(self.instances, self.chains * rows, columns)
        return block.view(self.instances * self.chains, rows, columns)

    def forward(self, weights: Sequence[Tensor]) -> Tensor:
        """F, [instances, chains, samples]: a view of the output buffer."""
        below = self.inputs.transpose(1, 2)
        for layer in range(self.depth):
            pre = self._fold(self.pre[layer], layer)
            torch.baddbmm(pre, self._fold(weights[layer], layer), below, beta=0, alpha=self.scales[layer], out=pre)
            self.kernel.apply(self.pre[layer], self.hidden[layer])
            below = self._fold(self.hidden[layer], layer + 1)
        return self._read_out(weights[-1], below)

    def _read_out(self, readout: Tensor, below: Tensor) -> Tensor:
        rows = readout if self.depth == 0 else readout.view(-1, 1, readout.shape[-1])
        output = self.output if self.depth == 0 else self.output.view(-1, 1, self.samples)
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
        self._pull_back_readout(weights[-1], latent_gradient, addend[-1], out[-1])
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

    def _pull_back_readout(self, readout: Tensor, latent_gradient: Tensor, addend: Tensor, out: Tensor) -> None:
        if not self.delta:
            self.delta = [torch.empty_like(pre) for pre in self.pre]
        width = readout.shape[-1]
        top = self.hidden[-1].view(-1, width, self.samples)
        rows = latent_gradient.reshape(-1, 1, self.samples)
        torch.baddbmm(
            addend.view(-1, 1, width),
            rows,
            top.transpose(1, 2),
            alpha=self.readout_scale,
            out=out.view(-1, 1, width),
        )
        scaled = (readout * self.readout_scale).unsqueeze(-1)
        torch.mul(scaled, latent_gradient.unsqueeze(-2), out=self.delta[-1])
