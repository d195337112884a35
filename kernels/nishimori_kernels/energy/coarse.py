"""Gradients with products in a format that a GPU's matrix units take: TF32, bfloat16 or float16, summed in float32.

Weights, activations and what is pulled back are kept in the format, readout, residual and gradient in float32. The
residual goes down undivided by the noise variance, and unscaled by the width: its entries are then of order one, as the
range of float16 asks for; the scales are applied in float32, where a product is added to the weights. A force is all
this is good for: energies need float32 products.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import torch
from torch import Tensor

from nishimori_kernels.blocks import Buffer
from nishimori_kernels.energy.gpu import TritonActivation
from nishimori_kernels.energy.weights import Split
from nishimori_kernels.leapfrog.advance import advance_

FORMATS = {"tf32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16, "bf16x3": torch.float32}


class Products(Protocol):
    """The products of a gradient, and what stands beside them, of batches of matrices [batch, rows, columns] in the
    format; `scale` is applied in float32, `base` is the activation's."""

    def lift(self, matrix: Tensor, below: Tensor, u: Tensor, hidden: Tensor, scale: float) -> None:
        """u = scale * matrix below, hidden = base(u); `u` may be left as it is where the slope needs `hidden` alone."""
        ...

    def lift_top(self, matrix: Tensor, below: Tensor, u: Tensor, scale: float) -> float:
        """u = scale * matrix below, but for a factor, which is returned."""
        ...

    def descend(self, matrix: Tensor, delta: Tensor, u: Tensor, hidden: Tensor, scale: float, out: Tensor) -> None:
        """out = scale * matrix^T delta * base'(u)."""
        ...

    def add(self, added: Tensor | None, first: Tensor, second: Tensor, alpha: float, out: Tensor) -> None:
        """out = added + alpha * first second, with `added` and `out` in float32; or, without an addend, alpha * first
        second, with `out` in the format."""
        ...


class LibraryProducts:
    """The `Products` of cuBLAS, with the activation's passes between them."""

    def __init__(self, kernel: TritonActivation) -> None:
        self._kernel = kernel

    def lift(self, matrix: Tensor, below: Tensor, u: Tensor, hidden: Tensor, scale: float) -> None:
        torch.bmm(matrix, below, out=u)
        self._kernel.apply(u, hidden, scale)

    def lift_top(self, matrix: Tensor, below: Tensor, u: Tensor, scale: float) -> float:
        torch.bmm(matrix, below, out=u)
        return scale

    def descend(self, matrix: Tensor, delta: Tensor, u: Tensor, hidden: Tensor, scale: float, out: Tensor) -> None:
        torch.bmm(matrix.transpose(1, 2), delta, out=out)
        self._kernel.multiply_derivative_(out, u, hidden, scale)

    def add(self, added: Tensor | None, first: Tensor, second: Tensor, alpha: float, out: Tensor) -> None:
        if added is None:
            torch.baddbmm(out, first, second, beta=0, alpha=alpha, out=out)
        elif first.dtype == torch.float32:
            torch.baddbmm(added, first, second, alpha=alpha, out=out)
        else:
            torch.baddbmm(added, first, second, out_dtype=torch.float32, alpha=alpha, out=out)


class CoarseNetwork:
    """The gradient of `BlockedNetwork`, for float32 weights on CUDA and activations in Triton. The products are
    cuBLAS's, in "tf32", "bf16" or "fp16", where no others are given."""

    def __init__(
        self,
        inputs: Tensor,
        widths: Sequence[int],
        kernel: TritonActivation,
        chains: int,
        precision: str,
        products: Products | None = None,
    ) -> None:
        instances, samples, input_dim = inputs.shape
        self._dims, self._depth, self._kernel = (input_dim, *widths), len(widths), kernel
        self._products = products or LibraryProducts(kernel)
        self._split = Split(instances, chains, self._dims)
        self._format = FORMATS[precision]
        self._inputs = inputs.to(self._format)
        self._scales = [kernel.input_scale / math.sqrt(dim) for dim in self._dims[:-1]]
        self._readout_scale = 1 / math.sqrt(self._dims[-1])

        def empty(*shape: int) -> Tensor:
            return inputs.new_empty((instances * chains, *shape), dtype=self._format)

        self._u = [empty(dim, samples) for dim in widths]
        self._hidden = self._u if kernel.from_output else [empty(dim, samples) for dim in widths[:-1]]
        self._delta = [*(empty(dim, samples) for dim in widths[:-1]), *self._u[-1:]]
        self._residual = inputs.new_empty(instances, chains, samples)
        self._ones = inputs.new_ones(instances * chains, self._dims[-1])
        self._rounded: Tensor | None = None
        self._slope: Tensor | None = None

    def misfit_gradient(self, weights: Tensor, labels: Tensor, noise_variance: float, out: Tensor) -> Tensor:
        """As in `BlockedNetwork`, but for rounding."""
        self.load(weights)
        return self._pull_back(weights, weights, labels, 1 / noise_variance, out)

    def load(self, weights: Tensor) -> None:
        """Take `weights` in the format of the products."""
        if self._format == torch.float32:
            self._rounded = weights
            return
        if self._rounded is None or self._rounded.numel() != weights.numel():
            self._rounded = torch.empty_like(weights, dtype=self._format)
        self._rounded.copy_(weights)

    def advance(
        self, weights: Tensor, momentum: Tensor, labels: Tensor, noise_variance: float, coefficients: Tensor
    ) -> None:
        """Weights and momenta after `leapfrog.advance_` with the gradient of the likelihood at the weights, which are
        those of the last `load` or `advance`. The gradient stays in the format, undivided by the noise variance."""
        if self._slope is None or self._slope.numel() != weights.numel():
            self._slope = torch.empty_like(weights, dtype=self._format)
        self._pull_back(weights, None, labels, 1.0, self._slope)
        rounded = None if self._format == torch.float32 else self._rounded
        blocks = self._split.blocks(weights)
        pair = Buffer(weights, blocks), Buffer(momentum, blocks)
        advance_(*pair, self._slope, coefficients, 1 / noise_variance, rounded)

    def _pull_back(self, weights: Tensor, addend: Tensor | None, labels: Tensor, scale: float, out: Tensor) -> Tensor:
        """out = addend + scale * the gradient of sum (F - y)^2 / 2, or that without an addend; returns F - y."""
        layers, gradients = self._split(weights), self._split(out)
        added = [None] * len(layers) if addend is None else self._split(addend)
        assert self._rounded is not None
        with _tensor_units():
            if self._depth == 0:
                return self._linear(added[0], labels, scale, gradients[0])
            rounded = self._split(self._rounded)
            top_scale = self._lift(rounded)
            sampled = len(layers) > self._depth
            readout = layers[-1].flatten(0, 1) if sampled else self._ones
            own = readout, labels, self._readout_scale, top_scale, self._residual
            shares = self._kernel.pull_back_misfit(self._u[-1], *own)
            if sampled:
                self._kernel.weigh_readout(shares, added[-1], scale * self._readout_scale, gradients[-1])
            self._descend(rounded, added, gradients, scale * self._readout_scale)
        return self._residual

    def _fold(self, tensor: Tensor, layer: int) -> Tensor:
        """A batch of matrices: of an instance with its chains stacked in the first layer, of a chain above."""
        instances = self._inputs.shape[0]
        return tensor.reshape(instances if layer == 0 else -1, *_stacked(tensor, instances, layer))

    def _lift(self, rounded: Sequence[Tensor]) -> float:
        """Up to the top product, which is left in `u`, but for the factor that is returned."""
        below = self._inputs.transpose(1, 2)
        for layer in range(self._depth - 1):
            own = (self._fold(each[layer], layer) for each in (rounded, self._u, self._hidden))
            matrix, u, hidden = own
            self._products.lift(matrix, below, u, hidden, self._scales[layer])
            below = self._hidden[layer]
        top = self._depth - 1
        return self._products.lift_top(
            self._fold(rounded[top], top), below, self._fold(self._u[top], top), self._scales[top]
        )

    def _descend(
        self, rounded: Sequence[Tensor], added: Sequence[Tensor | None], gradients: Sequence[Tensor], scale: float
    ) -> None:
        """From `delta` of the top layer down to the first; the deltas have still to be multiplied by `scale`."""
        for layer in reversed(range(self._depth)):
            delta = self._fold(self._delta[layer], layer)
            below = self._inputs if layer == 0 else self._hidden[layer - 1].transpose(1, 2)
            own, written = added[layer], self._fold(gradients[layer], layer)
            addend = None if own is None else self._fold(own, layer)
            self._products.add(addend, delta, below, scale * self._scales[layer], written)
            if layer == 0:
                return
            beneath = self._u[layer - 1], self._hidden[layer - 1], self._scales[layer], self._delta[layer - 1]
            self._products.descend(rounded[layer].flatten(0, 1), self._delta[layer], *beneath)

    def _linear(self, added: Tensor | None, labels: Tensor, scale: float, out: Tensor) -> Tensor:
        """Of a network without hidden layers."""
        assert self._rounded is not None
        product = torch.empty_like(self._residual, dtype=self._format)
        own = self._rounded.view(out.shape), self._inputs.transpose(1, 2), product
        factor = self._products.lift_top(*own, self._readout_scale)
        torch.sub(product.float() * factor, labels, out=self._residual)
        self._products.add(added, self._residual.to(self._format), self._inputs, scale * self._readout_scale, out)
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
