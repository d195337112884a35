"""Overlaps and norms of weights."""

import math

import torch
from torch import Tensor

from nishimori.description import Network
from nishimori.models.forward import weights_of
from nishimori.models.layout import Position, chain_dot
from nishimori_kernels.batched_products import multiply
from nishimori_kernels.rows import row_mean


def effective_weights(weights: Position, network: Network) -> Tensor:
    """v = W_1^T ... W_L^T a / sqrt(d_1 ... d_L), [instances, chains, input_dim], of all weights of `network`, times the
    square root of the product of the weight variances, which is E|v|^2 / input_dim.

    A fixed readout is a = (1, ..., 1); biases do not enter. For the identity activation and without biases F(x) = v . x
    / sqrt(input_dim) exactly.
    """
    blocks = weights_of(network, weights)
    layers, readout = blocks[: network.depth], blocks[network.depth :]
    top = readout[0] if readout else blocks[-1].new_ones(blocks[-1].shape[:-1])
    vector = top.flatten(0, 1).unsqueeze(1)
    for layer in reversed(layers):
        vector = multiply(vector, layer.flatten(0, 1)) / math.sqrt(layer.shape[-2])
    return vector.view(*top.shape[:2], -1).double() * math.sqrt(network.effective_variance)


def effective_matrix(weights: Position, network: Network) -> Tensor:
    """V with v = V a, [instances, chains, input_dim, d_L], of one hidden layer or more below a readout: W_1^T ... W_L^T
    / sqrt(d_1 ... d_L), scaled as `effective_weights` is."""
    layers = weights_of(network, weights)[: network.depth]
    product, *above = [layer.double().flatten(0, 1) / math.sqrt(layer.shape[-2]) for layer in layers]
    for layer in above:
        product = multiply(layer, product)
    return product.transpose(1, 2).unflatten(0, layers[0].shape[:2]) * math.sqrt(network.effective_variance)


def mean_product(first: Tensor, second: Tensor) -> Tensor:
    """Mean over the last axis of the elementwise product."""
    return row_mean(first * second)


def pair_mean_product(values: Tensor, pairs: Tensor) -> Tensor:
    """Mean product of `values` [instances, chains, n] between the chains of each pair: [instances, pairs]. `pairs`
    [2, pairs], int64, are on the device of `values`."""
    first, second = pairs
    return mean_product(values.index_select(1, first), values.index_select(1, second))


def layer_norms(weights: Position, network: Network) -> dict[str, Tensor]:
    """|W_l|^2 / (d_l d_{l-1}) and, where it is sampled, |a|^2 / d_L as `layer_norm_1`, ...; where there are biases,
    |b_l|^2 / d_l and the square of the output's as `bias_norm_1`, ...; each [instances, chains], with prior mean 1."""
    count = len(network.weight_names)
    names = [f"layer_norm_{number}" for number in range(1, count + 1)]
    names += [f"bias_norm_{number}" for number in range(1, len(weights.layers) - count + 1)]
    return {
        name: chain_dot(layer, layer) / layer.layout.num_parameters
        for name, layer in zip(names, weights.layers, strict=True)
    }


def gram(values: Tensor) -> Tensor:
    """Mean products between all chains: `values` [..., chains, n] to [..., chains, chains]."""
    return torch.matmul(values, values.transpose(-1, -2)) / values.shape[-1]
