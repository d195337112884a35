"""Gradients with products in a format that a GPU's matrix units take: TF32, bfloat16 or float16, summed in float32.

Weights, activations and what is pulled back are kept in the format, readout, residual and gradient in float32. The
residual goes down undivided by the noise variance, and unscaled by the width: its entries are then of order one, as the
range of float16 asks for; the scales are applied in float32, where a product is added to the weights. A force is all
this is good for: energies need float32 products.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from nishimori_kernels.energy.gpu import TritonActivation
from nishimori_kernels.energy.weights import Split

FORMATS = {"tf32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class CoarseNetwork:
    """The gradient of `BlockedNetwork`, for float32 weights on CUDA and activations in Triton."""

    def __init__(
        self, inputs: Tensor, widths: Sequence[int], kernel: TritonActivation, chains: int, precision: str
    ) -> None:
        instances, samples, input_dim = inputs.shape
        self._dims, self._depth, self._kernel = (input_dim, *widths), len(widths), kernel
        self._split = Split(instances, chains, self._dims)
        self._format = FORMATS[precision]
        self._inputs = inputs.to(self._format)
        self._scales = [kernel.input_scale / math.sqrt(dim) for dim in self._dims[:-1]]
        self._readout_scale = 1 / math.sqrt(self._dims[-1])

        def empty(*shape: int) -> Tensor:
            return inputs.new_empty((instances * chains, *shape), dtype=self._format)

        self._u = [empty(dim, samples) for dim in widths]
        self._hidden = self._u if kernel.from_output else [empty(dim, samples) for dim in widths]
        self._delta = [*(empty(dim, samples) for dim in widths[:-1]), *self._u[-1:]]
        self._residual = inputs.new_empty(instances, chains, samples)
        self._ones = inputs.new_ones(instances * chains, self._dims[-1])
        self._rounded: Tensor | None = None

    def misfit_gradient(self, weights: Tensor, labels: Tensor, noise_variance: float, out: Tensor) -> Tensor:
        """As in `BlockedNetwork`, but for rounding."""
        layers, gradients = self._split(weights), self._split(out)
        with _tensor_units():
            if self._depth == 0:
                return self._linear(layers[0], labels, noise_variance, gradients[0])
            rounded = self._split(self._in_format(weights))
            self._lift(rounded)
            sampled = len(layers) > self._depth
            readout = layers[-1].flatten(0, 1) if sampled else self._ones
            top = self._u[-1], self._hidden[-1]
            scale = self._readout_scale
            self._kernel.read_out(*top, readout, scale, self._residual, u_scale=self._scales[-1])
            self._residual.sub_(labels)
            own = (readout, gradients[-1]) if sampled else (None, None)
            self._kernel.pull_back_read_out(
                self._residual, readout, 1.0, *top, self._delta[-1], *own, out_scale=scale / noise_variance
            )
            self._descend(rounded, layers, gradients, scale / noise_variance)
        return self._residual

    def _in_format(self, weights: Tensor) -> Tensor:
        if self._format == torch.float32:
            return weights
        if self._rounded is None or self._rounded.numel() != weights.numel():
            self._rounded = torch.empty_like(weights, dtype=self._format)
        return self._rounded.copy_(weights)

    def _fold(self, tensor: Tensor, layer: int) -> Tensor:
        """A batch of matrices: of an instance with its chains stacked in the first layer, of a chain above."""
        instances = self._inputs.shape[0]
        return tensor.reshape(instances if layer == 0 else -1, *_stacked(tensor, instances, layer))

    def _lift(self, rounded: Sequence[Tensor]) -> None:
        """Up to the top product, which is left in `u`, unscaled."""
        for layer in range(self._depth):
            below = self._inputs.transpose(1, 2) if layer == 0 else self._hidden[layer - 1]
            if layer > 0:
                self._kernel.apply(self._u[layer - 1], below, self._scales[layer - 1])
            torch.bmm(self._fold(rounded[layer], layer), below, out=self._fold(self._u[layer], layer))

    def _descend(
        self, rounded: Sequence[Tensor], layers: Sequence[Tensor], gradients: Sequence[Tensor], scale: float
    ) -> None:
        """From `delta` of the top layer down to the first; the deltas have still to be multiplied by `scale`."""
        for layer in reversed(range(self._depth)):
            delta = self._fold(self._delta[layer], layer)
            below = self._inputs if layer == 0 else self._hidden[layer - 1].transpose(1, 2)
            added, written = (self._fold(each[layer], layer) for each in (layers, gradients))
            self._add_product(added, delta, below, scale * self._scales[layer], written)
            if layer == 0:
                return
            target = self._delta[layer - 1]
            torch.bmm(rounded[layer].flatten(0, 1).transpose(1, 2), self._delta[layer], out=target)
            own = self._u[layer - 1], self._hidden[layer - 1], self._scales[layer]
            self._kernel.multiply_derivative_(target, *own)

    def _add_product(self, added: Tensor, first: Tensor, second: Tensor, alpha: float, out: Tensor) -> None:
        """out = added + alpha * first second, added in float32."""
        if self._format == torch.float32:
            torch.baddbmm(added, first, second, alpha=alpha, out=out)
        else:
            torch.baddbmm(added, first, second, out_dtype=torch.float32, alpha=alpha, out=out)

    def _linear(self, readout: Tensor, labels: Tensor, noise_variance: float, out: Tensor) -> Tensor:
        """Of a network without hidden layers."""
        product = torch.bmm(readout.to(self._format), self._inputs.transpose(1, 2))
        torch.sub(product.float() * self._readout_scale, labels, out=self._residual)
        scale = self._readout_scale / noise_variance
        self._add_product(readout, self._residual.to(self._format), self._inputs, scale, out)
        return self._residual


def _stacked(tensor: Tensor, instances: int, layer: int) -> tuple[int, int]:
    rows, columns = tensor.shape[-2:]
    return (tensor.numel() // (instances * columns), columns) if layer == 0 else (rows, columns)


@contextmanager
def _tensor_units() -> Iterator[None]:
    """Float32 products in TF32."""
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = True
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
