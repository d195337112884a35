"""The same posterior from networks of the prior, weighed by the evidence of their last kernel: no chains at all.

Given the layer below, units are independent Gaussians of covariance w K, which is all that is drawn. Both means over
posterior and prior are over the same networks, so that an error of n (<K> - E K) does not grow with n.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nishimori.systems.kernel_corrections.layers import Layers
from nishimori_kernels.rng import Stream, fill_normals

Array = NDArray[np.float64]
NUMBERS = 1 << 22
"""Of a layer of the networks that are drawn together."""


@dataclass(frozen=True, eq=False)
class Weighed:
    """By instance: `changes` <K^(l)> - E K^(l) and prior `means` E K^(l), [instances, layers, samples, samples]; the
    `divergence` of the posterior from the prior, in nats; and the `efficiency`, effective draws over draws."""

    changes: Array
    means: Array
    divergence: Array
    efficiency: Array


def weighed_kernels(
    layers: Layers, labels: Tensor, noise_variance: float, draws: int, key: int, instances: Sequence[int]
) -> Weighed:
    """From `draws` networks an instance; `labels` [samples]. One instance after the other: how a matrix is rounded
    depends on where in memory it lies."""
    each = [_weighed(layers, labels, noise_variance, draws, key, instance) for instance in instances]
    return Weighed(*(np.concatenate(parts) for parts in zip(*each, strict=True)))


def _weighed(layers: Layers, labels: Tensor, noise_variance: float, draws: int, key: int, instance: int) -> list[Array]:
    """The fields of `Weighed`, of one instance."""
    together = max(1, NUMBERS // (max(layers.network.widths) * len(labels)))
    batches = [
        _kernels(layers, key, (instance,), range(first, min(first + together, draws)))
        for first in range(0, draws, together)
    ]
    kernels = torch.cat(batches, dim=1)
    logs = _log_evidence(layers.network.weight_variances[-1] * kernels[:, :, -1], labels, noise_variance)
    weights = torch.exp(logs - logs.amax(dim=1, keepdim=True))
    weights /= weights.mean(dim=1, keepdim=True)
    means = kernels.mean(dim=1)
    posterior = torch.einsum("ir,irlab->ilab", weights, kernels) / draws
    divergence = torch.special.xlogy(weights, weights).mean(dim=1)
    efficiency = 1 / weights.square().mean(dim=1)
    return [found.cpu().numpy() for found in (posterior - means, means, divergence, efficiency)]


def _kernels(layers: Layers, key: int, instances: Sequence[int], draws: range) -> Tensor:
    """K^(l) [instances, draws, layers, samples, samples]."""
    gram, found, first = layers.inputs @ layers.inputs.mT / layers.network.input_dim, [], 0
    below, samples = gram.expand(len(instances), len(draws), -1, -1), len(gram)
    for width, variance in zip(layers.network.widths, layers.network.weight_variances, strict=False):
        out = torch.empty(len(instances), len(draws), width, samples, dtype=torch.float64, device=gram.device)
        fill_normals(out, key, Stream.KERNEL_WEIGHTS, 0, instances, draws, first_element=first)
        below = layers.kernel(layers.features(out @ _root(variance * below)))
        found.append(below)
        first += width * samples
    return torch.stack(found, dim=2)


def _root(covariances: Tensor) -> Tensor:
    """Symmetric, of singular ones too."""
    eigenvalues, vectors = torch.linalg.eigh(covariances)
    return (vectors * eigenvalues.clamp(min=0).sqrt().unsqueeze(-2)) @ vectors.mT


def _log_evidence(covariances: Tensor, labels: Tensor, noise_variance: float) -> Tensor:
    """log N(labels; 0, covariance + noise), [instances, draws]."""
    noise = noise_variance * torch.eye(len(labels), dtype=labels.dtype, device=labels.device)
    factor = torch.linalg.cholesky(covariances + noise)
    solved = torch.linalg.solve_triangular(factor, labels[:, None].expand(*factor.shape[:2], -1, 1), upper=False)
    determinant = factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    return -determinant - solved.square().sum((-2, -1)) / 2 - len(labels) / 2 * math.log(2 * math.pi)
