"""The definition: latent output of a network and its pull-back, one layer a line, in plain torch.

Shapes: `weights` is [W_1, ..., W_L, a] with W_l [instances, chains, d_l, d_{l-1}] and a [instances, chains, d_L];
`inputs` [instances, samples, d_0]; results [instances, chains, samples]. Source: arXiv 2505.03577, eqs. 1-3.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": lambda z: z,
    "tanh": torch.tanh,
    "tanh2": lambda z: torch.tanh(2 * z),
    "erf": torch.erf,
    "erf_sqrt2": lambda z: torch.erf(z / math.sqrt(2)),
    "sin": torch.sin,
    "relu": torch.relu,
}

DERIVATIVES: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": torch.ones_like,
    "tanh": lambda z: 1 - torch.tanh(z) ** 2,
    "tanh2": lambda z: 2 * (1 - torch.tanh(2 * z) ** 2),
    "erf": lambda z: 2 / math.sqrt(math.pi) * torch.exp(-(z**2)),
    "erf_sqrt2": lambda z: math.sqrt(2 / math.pi) * torch.exp(-(z**2) / 2),
    "sin": torch.cos,
    "relu": lambda z: (z > 0).to(z.dtype),
}


def _layers(weights: Sequence[Tensor], inputs: Tensor, activation: str) -> tuple[list[Tensor], list[Tensor]]:
    """Pre-activations z_l and activations h_l (h_0 the inputs), each [instances, chains, samples, d_l]."""
    pre, hidden = [], [inputs.unsqueeze(1)]
    for weight in weights[:-1]:
        z = hidden[-1] @ weight.transpose(-1, -2) / math.sqrt(weight.shape[-1])
        pre.append(z)
        hidden.append(ACTIVATIONS[activation](z))
    return pre, hidden


def latent(weights: Sequence[Tensor], inputs: Tensor, activation: str) -> Tensor:
    """F(x) = a . h_L / sqrt(d_L), [instances, chains, samples]."""
    readout = weights[-1]
    _, hidden = _layers(weights, inputs, activation)
    return (hidden[-1] @ readout.unsqueeze(-1)).squeeze(-1) / math.sqrt(readout.shape[-1])


def pull_back(weights: Sequence[Tensor], inputs: Tensor, activation: str, latent_gradient: Tensor) -> list[Tensor]:
    """sum_mu g_mu dF(x_mu)/dw for each weight block, g = `latent_gradient` [instances, chains, samples]."""
    readout = weights[-1]
    pre, hidden = _layers(weights, inputs, activation)
    scaled = latent_gradient.unsqueeze(-1) / math.sqrt(readout.shape[-1])
    gradients = [(scaled * hidden[-1]).sum(-2)]
    signal = scaled * readout.unsqueeze(-2)
    for layer in reversed(range(len(pre))):
        delta = signal * DERIVATIVES[activation](pre[layer])
        scale = math.sqrt(weights[layer].shape[-1])
        gradients.append(delta.transpose(-1, -2) @ hidden[layer] / scale)
        signal = delta @ weights[layer] / scale
    return gradients[::-1]
