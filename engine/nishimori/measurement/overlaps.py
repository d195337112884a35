"""Overlaps and norms of weights."""

import math

import torch
from torch import Tensor

from nishimori.models.layout import Position, chain_dot


def effective_weights(weights: Position) -> Tensor:
    """v = W_1^T ... W_L^T a / sqrt(d_1 ... d_L), [instances, chains, input_dim]; E|v|^2 / input_dim = 1.

    Where the last block is a matrix, the readout is fixed: a = (1, ..., 1). For the identity activation
    F(x) = v . x / sqrt(input_dim) exactly.
    """
    *layers, last = weights.blocks
    if last.dim() == 4:
        layers, last = [*layers, last], last.new_ones(last.shape[:-1])
    vector = last.unsqueeze(-2)
    for layer in reversed(layers):
        vector = vector @ layer / math.sqrt(layer.shape[-2])
    return vector.squeeze(-2).double()


def effective_matrix(weights: Position) -> Tensor:
    """V = W_1^T ... W_L^T / sqrt(d_1 ... d_L), [instances, chains, input_dim, d_L], of one hidden layer or more below a
    readout: v = V a."""
    product, *above = [layer.double() / math.sqrt(layer.shape[-2]) for layer in weights.blocks[:-1]]
    for layer in above:
        product = layer @ product
    return product.transpose(-1, -2)


def mean_product(first: Tensor, second: Tensor) -> Tensor:
    """Mean over the last axis of the elementwise product."""
    return (first * second).mean(-1)


def pair_mean_product(values: Tensor, pairs: Tensor) -> Tensor:
    """Mean product of `values` [instances, chains, n] between the chains of each pair: [instances, pairs]. `pairs`
    [2, pairs], int64, are on the device of `values`."""
    first, second = pairs
    return mean_product(values.index_select(1, first), values.index_select(1, second))


def layer_norms(weights: Position) -> dict[str, Tensor]:
    """|W_l|^2 / (d_l d_{l-1}) and, where it is sampled, |a|^2 / d_L as `layer_norm_1`, ..., each [instances, chains];
    the prior mean is 1."""
    return {
        f"layer_norm_{number}": chain_dot(layer, layer) / layer.layout.num_parameters
        for number, layer in enumerate(weights.layers, start=1)
    }


def gram(values: Tensor) -> Tensor:
    """Mean products between all chains: `values` [..., chains, n] to [..., chains, chains]."""
    return torch.matmul(values, values.transpose(-1, -2)) / values.shape[-1]
