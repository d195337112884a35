"""Gradients with the operands of their products rounded as a format would round them, and summed in float32.

Says what a force in a format does to the acceptance where there is no hardware for it. Slow: no gain is to be had here.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from nishimori_kernels.energy.reference import ACTIVATIONS, DERIVATIVES
from nishimori_kernels.energy.weights import Split

Product = Callable[[Tensor, Tensor], Tensor]


def round_tf32(values: Tensor) -> Tensor:
    """Float32 to the ten bits of mantissa of TF32, to nearest, ties to even."""
    bits = values.contiguous().view(torch.int32)
    return ((bits + 0xFFF + ((bits >> 13) & 1)) & ~0x1FFF).view(torch.float32)


def round_bf16(values: Tensor) -> Tensor:
    return values.bfloat16().float()


def round_fp16(values: Tensor) -> Tensor:
    return values.half().float()


def _rounded(rounding: Callable[[Tensor], Tensor]) -> Product:
    return lambda a, b: rounding(a) @ rounding(b)


def _in_three(a: Tensor, b: Tensor) -> Tensor:
    """bf16x3: each operand as a sum of two bfloat16 numbers, less the product of the small parts."""
    a_high, b_high = round_bf16(a), round_bf16(b)
    a_low, b_low = round_bf16(a - a_high), round_bf16(b - b_high)
    return a_high @ b_high + (a_high @ b_low + a_low @ b_high)


PRODUCTS: dict[str, Product] = {
    "tf32": _rounded(round_tf32),
    "fp16": _rounded(round_fp16),
    "bf16": _rounded(round_bf16),
    "bf16x3": _in_three,
}


class EmulatedNetwork:
    """The gradient of `BlockedNetwork`, for float32 weights and a named activation; `product` is one of `PRODUCTS`.

    The residual is scaled to its largest entry before it is rounded, as the narrow range of fp16 asks for.
    """

    def __init__(self, inputs: Tensor, widths: Sequence[int], activation: str, chains: int, product: str) -> None:
        instances, _, input_dim = inputs.shape
        self._split = Split(instances, chains, (input_dim, *widths))
        self._inputs, self._depth = inputs.unsqueeze(1), len(widths)
        self._function, self._derivative = ACTIVATIONS[activation], DERIVATIVES[activation]
        self._product = PRODUCTS[product]

    def misfit_gradient(self, weights: Tensor, labels: Tensor, noise_variance: float, out: Tensor) -> Tensor:
        """As in `BlockedNetwork`, but for rounding."""
        layers, gradients = self._split(weights), self._split(out)
        pre, hidden = self._lift(layers[: self._depth])
        top = hidden[-1]
        readout = layers[-1] if len(layers) > self._depth else top.new_ones(*top.shape[:-2], top.shape[-1])
        scale = 1 / math.sqrt(readout.shape[-1])
        residual = scale * self._product(top, readout.unsqueeze(-1)).squeeze(-1) - labels
        g = residual / noise_variance
        size = g.abs().amax((-1, -2, -3), keepdim=True).clamp_min(torch.finfo(torch.float32).tiny)
        unit = g / size
        if len(layers) > self._depth:
            pulled = self._product(unit.unsqueeze(-2), top).squeeze(-2)
            gradients[-1].copy_(readout + scale * size * pulled)
        signal = scale * unit.unsqueeze(-1) * readout.unsqueeze(-2)
        for layer in reversed(range(self._depth)):
            delta, fan_in = signal * self._derivative(pre[layer]), math.sqrt(layers[layer].shape[-1])
            pulled = self._product(delta.transpose(-1, -2), hidden[layer]) / fan_in
            gradients[layer].copy_(layers[layer] + size.unsqueeze(-1) * pulled)
            signal = self._product(delta, layers[layer]) / fan_in
        return residual

    def _lift(self, matrices: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """z_1, ..., z_L and h_0, ..., h_L, [instances, chains or 1, samples, d_l]."""
        pre, hidden = [], [self._inputs]
        for matrix in matrices:
            pre.append(self._product(hidden[-1], matrix.transpose(-1, -2)) / math.sqrt(matrix.shape[-1]))
            hidden.append(self._function(pre[-1]))
        return pre, hidden
