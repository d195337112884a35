"""A batch of networks, layer by layer: feature kernels, and how they change as the weights move."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nishimori.description import Network
from nishimori.models.activation_kernel import activation_kernel
from nishimori_kernels.batched_products import multiply
from nishimori_kernels.energy.activations import ActivationKernel


def product(first: Tensor, second: Tensor) -> Tensor:
    """Of matrices [..., rows, inner] and [..., inner, columns], or one for all; each to the bit as it is alone."""
    seconds = second.reshape(-1, *second.shape[-2:])
    return multiply(first.flatten(0, -3), seconds).unflatten(0, first.shape[:-2])


@dataclass(frozen=True, eq=False)
class Layers:
    """Of one activation, on `inputs` [samples, input_dim] in float64, on their device."""

    network: Network
    inputs: Tensor

    def kernel(self, features: Tensor) -> Tensor:
        """x^T x / width [..., samples, samples] of features x [..., width, samples]."""
        return product(features.mT, features) / features.shape[-2]

    def features(self, preactivations: Tensor) -> Tensor:
        """phi of them, which may be written over."""
        kernel = self._kernel()
        out = torch.empty_like(preactivations)
        kernel.apply(preactivations.mul_(kernel.input_scale), out)
        return out

    def kernel_velocities(self, weights: Sequence[Tensor], velocities: Sequence[Tensor]) -> Tensor:
        """dK^(l) [..., layers, samples, samples] as the weights W_l [..., width, width below] move at `velocities`."""
        kernel, found = self._kernel(), []
        below, moving = self.inputs.mT, torch.zeros_like(self.inputs.mT)
        variances = self.network.weight_variances
        for weight, velocity, variance in zip(weights, velocities, variances, strict=False):
            scale = kernel.input_scale * math.sqrt(variance / weight.shape[-1])
            u, moved = scale * product(weight, below), scale * (product(velocity, below) + product(weight, moving))
            features = torch.empty_like(u)
            kernel.apply(u, features)
            kernel.multiply_derivative_(moved, u, features)
            half = product(features.mT, moved) / features.shape[-2]
            found.append(half + half.mT)
            below, moving = features, moved
        return torch.stack(found, dim=-3)

    def _kernel(self) -> ActivationKernel:
        return activation_kernel(self.network.activations[0], self.inputs.device, torch.float64, "torch")
