"""Gradients with products of bfloat16 matrices, for CPUs that multiply these faster than float32 ones.

Weights, activations and what is pulled back are rounded to bfloat16 where they enter or leave a product (oneDNN's,
which sums in float32); positions, readout, residual and gradient stay float32. A force is all this is good for:
energies need float32 products.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from nishimori_kernels.energy import bfloat16_loops as loops
from nishimori_kernels.energy.blocked import blocks_of
from nishimori_kernels.energy.cpu import CompiledActivation
from nishimori_kernels.energy.weights import Split

_BYTES = 2
BLOCK_BYTES = 4 * 1024 * 1024
"""Activations of a block: larger than a second-level cache, as small products of bfloat16 are slow."""


class Bfloat16Network:
    """The gradient of `BlockedNetwork`, for float32 weights on the CPU and activations that are compiled."""

    def __init__(
        self,
        inputs: Tensor,
        widths: Sequence[int],
        kernel: CompiledActivation,
        chains: int,
        block_bytes: int = BLOCK_BYTES,
    ) -> None:
        instances, samples, input_dim = inputs.shape
        dims = (input_dim, *widths)
        self._split = Split(instances, chains, dims)
        self._residual = inputs.new_empty(instances, chains, samples)
        one_chain = 2 * _BYTES * samples * sum(widths)
        self._parts = list(blocks_of(instances, chains, max(1, block_bytes // max(1, one_chain))))
        instances_a_block = max(part.stop - part.start for part, _ in self._parts)
        chains_a_block = max(own.stop - own.start for _, own in self._parts)
        self._space = _Space(kernel, instances_a_block * chains_a_block, dims, samples)
        self._inputs = inputs.bfloat16()

    def misfit_gradient(self, weights: Tensor, labels: Tensor, noise_variance: float, out: Tensor) -> Tensor:
        """As in `BlockedNetwork`, but for rounding."""
        layers, gradients = self._split(weights), self._split(out)
        for part, own in self._parts:
            self._space.misfit_gradient(
                self._inputs[part],
                [layer[part, own] for layer in layers],
                labels[part],
                noise_variance,
                [gradient[part, own] for gradient in gradients],
                self._residual[part, own],
            )
        return self._residual


class _Space:
    """Buffers of a block of chains, and the pass through them."""

    def __init__(self, kernel: CompiledActivation, rows: int, dims: Sequence[int], samples: int) -> None:
        def empty(*shape: int) -> Tensor:
            return torch.empty(shape, dtype=torch.bfloat16)

        self.kind, self.dims, self.depth = kernel.kind, dims, len(dims) - 1
        self.scales = [np.float32(kernel.input_scale / math.sqrt(dim)) for dim in dims[:-1]]
        self.readout_scale = np.float32(1 / math.sqrt(dims[-1]))
        self.weights = [empty(rows, *shape) for shape in zip(dims[1:], dims[:-1], strict=True)]
        self.u = [empty(rows, dim, samples) for dim in dims[1:]]
        self.hidden = self.u if kernel.from_output else [empty(rows, dim, samples) for dim in dims[1:]]
        self.delta = [empty(rows, dim, samples) for dim in dims[1:]]
        self.products = [torch.empty_like(weights) for weights in self.weights]
        self.ones = torch.ones(rows, dims[-1], dtype=torch.float32)

    def misfit_gradient(
        self,
        inputs: Tensor,
        layers: Sequence[Tensor],
        labels: Tensor,
        noise_variance: float,
        gradients: Sequence[Tensor],
        residual: Tensor,
    ) -> None:
        """Of the chains [instances, chains] that fill `layers`, `gradients` and `residual`."""
        shape = residual.shape[:2]
        sampled = len(layers) > self.depth
        readout = layers[-1] if sampled else self.ones[: shape[0] * shape[1]].view(*shape, -1)
        if self.depth == 0:
            self._linear(inputs, readout, labels, noise_variance, gradients, residual)
            return
        self._lift(inputs, layers, shape)
        top = _bits(self.u[-1], shape), _bits(self.hidden[-1], shape)
        flat_readout, flat_residual = _rows(readout), _rows(residual)
        loops.read_out(self.kind, self.scales[-1], *top, self.readout_scale, flat_readout, flat_residual)
        residual.sub_(labels)
        g, delta = _rows(residual / noise_variance), _bits(self.delta[-1], shape)
        own = _rows(gradients[-1]) if sampled else flat_readout
        scales = self.scales[-1], g, self.readout_scale
        loops.pull_back_read_out(self.kind, *scales, flat_readout, *top, delta, own, sampled)
        self._descend(inputs, layers, gradients, shape)

    def _lift(self, inputs: Tensor, layers: Sequence[Tensor], shape: torch.Size) -> None:
        """Up to the top product, which is left in `u`; activations of the layers below in `hidden`."""
        for layer in range(self.depth):
            weights, u = self.weights[layer][: shape.numel()], self.u[layer][: shape.numel()]
            weights.view(*shape, *weights.shape[1:]).copy_(layers[layer])
            if layer == 0:
                folded = u.view(shape[0], -1, u.shape[-1])
                torch.bmm(weights.view(shape[0], -1, self.dims[0]), inputs.transpose(1, 2), out=folded)
                continue
            below = self.hidden[layer - 1][: shape.numel()]
            bits = _bits(self.u[layer - 1], shape), _bits(self.hidden[layer - 1], shape)
            loops.activate(self.kind, self.scales[layer - 1], *bits)
            torch.bmm(weights, below, out=u)

    def _descend(
        self, inputs: Tensor, layers: Sequence[Tensor], gradients: Sequence[Tensor], shape: torch.Size
    ) -> None:
        """From `delta` = d/dz_L down to the first layer."""
        for layer in reversed(range(self.depth)):
            delta, product = self.delta[layer][: shape.numel()], self.products[layer][: shape.numel()]
            if layer == 0:
                folded = product.view(shape[0], -1, self.dims[0])
                torch.bmm(delta.view(shape[0], -1, delta.shape[-1]), inputs, out=folded)
            else:
                torch.bmm(delta, self.hidden[layer - 1][: shape.numel()].transpose(1, 2), out=product)
            own = _rows(layers[layer]), self.scales[layer], _bits(product, shape).reshape(-1, product.shape[-1])
            loops.add(*own, _rows(gradients[layer]))
            if layer == 0:
                return
            below = self.delta[layer - 1][: shape.numel()]
            torch.bmm(self.weights[layer][: shape.numel()].transpose(1, 2), delta, out=below)
            bits = (_bits(each[layer - 1], shape) for each in (self.delta, self.u, self.hidden))
            loops.multiply_derivative_(self.kind, self.scales[layer - 1], self.scales[layer], *bits)

    def _linear(
        self,
        inputs: Tensor,
        readout: Tensor,
        labels: Tensor,
        noise_variance: float,
        gradients: Sequence[Tensor],
        residual: Tensor,
    ) -> None:
        """Of a network without hidden layers."""
        residual.copy_(readout.bfloat16() @ inputs.transpose(1, 2)).mul_(float(self.readout_scale)).sub_(labels)
        pulled = (residual / noise_variance).bfloat16() @ inputs
        torch.add(readout, pulled.float(), alpha=float(self.readout_scale), out=gradients[-1])


def _rows(tensor: Tensor) -> np.ndarray:
    """Float32 numbers, [rows, n], the same memory."""
    return tensor.view(-1, tensor.shape[-1]).numpy()


def _bits(buffer: Tensor, shape: torch.Size) -> np.ndarray:
    """Of the first chains of a buffer, uint16, the same memory."""
    return buffer[: shape.numel()].view(torch.uint16).numpy()
