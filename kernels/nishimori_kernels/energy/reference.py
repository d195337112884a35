"""The definition: latent output of a network and its pull-back, one layer a line, in plain torch.

Shapes: `weights` is [W_1, ..., W_L, a] with W_l [instances, chains, d_l, d_{l-1}] and a [instances, chains, d_L], or
[W_1, ..., W_L] where the readout is fixed, a = (1, ..., 1); `inputs` [instances, samples, d_0]; results [instances,
chains, samples]. Source: arXiv 2505.03577, eqs. 1-3.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from nishimori_kernels.energy.coefficients import HALF_GAIN, NONLINEAR_SCALE

Elementwise = Callable[[Tensor], Tensor]

ACTIVATIONS: dict[str, Elementwise] = {
    "identity": lambda z: z,
    "tanh": torch.tanh,
    "tanh2": lambda z: torch.tanh(2 * z),
    "tanh2_nonlinear": lambda z: NONLINEAR_SCALE * (torch.tanh(2 * z) - 2 * HALF_GAIN * z),
    "erf": torch.erf,
    "erf_sqrt2": lambda z: torch.erf(z / math.sqrt(2)),
    "sin": torch.sin,
    "relu": torch.relu,
}

DERIVATIVES: dict[str, Elementwise] = {
    "identity": torch.ones_like,
    "tanh": lambda z: 1 - torch.tanh(z) ** 2,
    "tanh2": lambda z: 2 * (1 - torch.tanh(2 * z) ** 2),
    "tanh2_nonlinear": lambda z: 2 * NONLINEAR_SCALE * (1 - torch.tanh(2 * z) ** 2 - HALF_GAIN),
    "erf": lambda z: 2 / math.sqrt(math.pi) * torch.exp(-(z**2)),
    "erf_sqrt2": lambda z: math.sqrt(2 / math.pi) * torch.exp(-(z**2) / 2),
    "sin": torch.cos,
    "relu": lambda z: (z > 0).to(z.dtype),
}


Activation = str | tuple[Elementwise, Elementwise]
"""A name, or function and derivative."""


def _functions(activation: Activation) -> tuple[Elementwise, Elementwise]:
    return (ACTIVATIONS[activation], DERIVATIVES[activation]) if isinstance(activation, str) else activation


def _readout(weights: Sequence[Tensor]) -> tuple[Sequence[Tensor], Tensor]:
    """W_1, ..., W_L and a; ones where the last block is a matrix."""
    if weights[-1].dim() == 4:
        return weights, weights[-1].new_ones(weights[-1].shape[:-1])
    return weights[:-1], weights[-1]


def _layers(matrices: Sequence[Tensor], inputs: Tensor, function: Elementwise) -> tuple[list[Tensor], list[Tensor]]:
    """Pre-activations z_l and activations h_l (h_0 the inputs), each [instances, chains, samples, d_l]."""
    pre, hidden = [], [inputs.unsqueeze(1)]
    for weight in matrices:
        z = hidden[-1] @ weight.transpose(-1, -2) / math.sqrt(weight.shape[-1])
        pre.append(z)
        hidden.append(function(z))
    return pre, hidden


def top_hidden(matrices: Sequence[Tensor], inputs: Tensor, activation: Activation) -> Tensor:
    """h_L, [instances, chains, d_L, samples], of the network W_1, ..., W_L."""
    _, hidden = _layers(matrices, inputs, _functions(activation)[0])
    return hidden[-1].transpose(-1, -2)


def latent(weights: Sequence[Tensor], inputs: Tensor, activation: Activation) -> Tensor:
    """F(x) = a . h_L / sqrt(d_L), [instances, chains, samples]."""
    matrices, readout = _readout(weights)
    hidden = top_hidden(matrices, inputs, activation)
    return (readout.unsqueeze(-2) @ hidden).squeeze(-2) / math.sqrt(readout.shape[-1])


def pull_back_hidden(
    matrices: Sequence[Tensor], inputs: Tensor, activation: Activation, top_gradient: Tensor
) -> list[Tensor]:
    """sum_{i, mu} t_{i mu} dh_{L, i}(x_mu)/dW for each matrix, t = `top_gradient` [instances, chains, d_L, samples]."""
    function, derivative = _functions(activation)
    pre, hidden = _layers(matrices, inputs, function)
    gradients, signal = [], top_gradient.transpose(-1, -2)
    for layer in reversed(range(len(pre))):
        delta = signal * derivative(pre[layer])
        scale = math.sqrt(matrices[layer].shape[-1])
        gradients.append(delta.transpose(-1, -2) @ hidden[layer] / scale)
        signal = delta @ matrices[layer] / scale
    return gradients[::-1]


def pull_back(
    weights: Sequence[Tensor], inputs: Tensor, activation: Activation, latent_gradient: Tensor
) -> list[Tensor]:
    """sum_mu g_mu dF(x_mu)/dw for each weight block, g = `latent_gradient` [instances, chains, samples]."""
    matrices, readout = _readout(weights)
    scaled = latent_gradient.unsqueeze(-2) / math.sqrt(readout.shape[-1])
    below = pull_back_hidden(matrices, inputs, activation, readout.unsqueeze(-1) * scaled)
    if readout is not weights[-1]:
        return below
    return [*below, (scaled * top_hidden(matrices, inputs, activation)).sum(-1)]
