"""The definition: latent output of a network and its pull-back, one layer a line, in plain torch.

Shapes: `weights` is [W_1, ..., W_L, a] with W_l [instances, chains, d_l, d_{l-1}] and a [instances, chains, d_L], or
[W_1, ..., W_L] where the readout is fixed, a = (1, ..., 1), and then, with biases, [b_1, ..., b_L, b] of [instances,
chains, d_l] and [instances, chains, 1], scaled as `variances` say; `inputs` [instances, samples, d_0]; results
[instances, chains, samples]. An activation is one of all hidden layers, or a list of one each. Source: arXiv
2505.03577, eqs. 1-3.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from nishimori_kernels.energy.coefficients import HALF_GAIN, NONLINEAR_SCALE
from nishimori_kernels.energy.variances import PLAIN, Variances

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
Activations = Activation | list[Activation] | list[str]
"""One of all hidden layers, or one each."""


def _functions(activation: Activations, depth: int) -> list[tuple[Elementwise, Elementwise]]:
    """Function and derivative of every hidden layer."""
    each = activation if isinstance(activation, list) else [activation] * depth
    return [(ACTIVATIONS[one], DERIVATIVES[one]) if isinstance(one, str) else one for one in each]


def _split(weights: Sequence[Tensor], variances: Variances) -> tuple[Sequence[Tensor], Tensor, Sequence[Tensor]]:
    """W_1, ..., W_L; a, ones where there is none; b_1, ..., b_L, b, zeros where there are none."""
    depth = sum(block.dim() == 4 for block in weights)
    own, biases = variances.weights_of(weights, depth), variances.biases(weights, depth)
    matrices, readout = own[:depth], own[depth] if len(own) > depth else own[-1].new_ones(own[-1].shape[:-1])
    widths = [*(matrix.shape[-2] for matrix in matrices), 1]
    return matrices, readout, biases or [readout.new_zeros(*readout.shape[:2], width) for width in widths]


def _layers(
    matrices: Sequence[Tensor],
    inputs: Tensor,
    activation: Activations,
    variances: Variances,
    biases: Sequence[Tensor] | None = None,
) -> tuple[list[Tensor], list[Tensor]]:
    """Pre-activations z_l and activations h_l (h_0 the inputs), each [instances, chains, samples, d_l]."""
    pre, hidden, gains = [], [inputs.unsqueeze(1)], variances.gains(len(matrices))
    for layer, (function, _) in enumerate(_functions(activation, len(matrices))):
        weight = matrices[layer]
        z = gains[layer] * hidden[-1] @ weight.transpose(-1, -2) / math.sqrt(weight.shape[-1])
        if biases is not None:
            z = z + variances.bias_scale * biases[layer].unsqueeze(-2)
        pre.append(z)
        hidden.append(function(z))
    return pre, hidden


def top_hidden(
    matrices: Sequence[Tensor],
    inputs: Tensor,
    activation: Activations,
    variances: Variances = PLAIN,
    biases: Sequence[Tensor] | None = None,
) -> Tensor:
    """h_L, [instances, chains, d_L, samples], of the network W_1, ..., W_L with biases b_1, ..., b_L or none."""
    _, hidden = _layers(matrices, inputs, activation, variances, biases)
    return hidden[-1].transpose(-1, -2)


def latent(
    weights: Sequence[Tensor],
    inputs: Tensor,
    activation: Activations,
    variances: Variances = PLAIN,
) -> Tensor:
    """F(x) = sqrt(s_a / d_L) a . h_L + sqrt(bias) b, [instances, chains, samples]."""
    matrices, readout, biases = _split(weights, variances)
    hidden = top_hidden(matrices, inputs, activation, variances, biases)
    scale = variances.gains(len(matrices))[-1] / math.sqrt(readout.shape[-1])
    return scale * (readout.unsqueeze(-2) @ hidden).squeeze(-2) + variances.bias_scale * biases[-1]


def pull_back_hidden(
    matrices: Sequence[Tensor],
    inputs: Tensor,
    activation: Activations,
    top_gradient: Tensor,
    variances: Variances = PLAIN,
) -> list[Tensor]:
    """sum_{i, mu} t_{i mu} dh_{L, i}(x_mu)/dW for each matrix, t = `top_gradient` [instances, chains, d_L, samples], of
    a network without biases."""
    return _down(matrices, inputs, activation, variances, None, top_gradient)[0]


def _down(
    matrices: Sequence[Tensor],
    inputs: Tensor,
    activation: Activations,
    variances: Variances,
    biases: Sequence[Tensor] | None,
    top_gradient: Tensor,
) -> tuple[list[Tensor], list[Tensor]]:
    """The gradients of `pull_back_hidden` by W_1, ..., W_L, and by b_1, ..., b_L."""
    functions = _functions(activation, len(matrices))
    pre, hidden = _layers(matrices, inputs, activation, variances, biases)
    by_weights, by_biases, signal = [], [], top_gradient.transpose(-1, -2)
    for layer in reversed(range(len(pre))):
        delta = signal * functions[layer][1](pre[layer])
        scale = variances.gains(len(matrices))[layer] / math.sqrt(matrices[layer].shape[-1])
        by_weights.append(scale * delta.transpose(-1, -2) @ hidden[layer])
        by_biases.append(variances.bias_scale * delta.sum(-2))
        signal = scale * delta @ matrices[layer]
    return by_weights[::-1], by_biases[::-1]


def pull_back(
    weights: Sequence[Tensor],
    inputs: Tensor,
    activation: Activations,
    latent_gradient: Tensor,
    variances: Variances = PLAIN,
) -> list[Tensor]:
    """sum_mu g_mu dF(x_mu)/dw for each weight block, g = `latent_gradient` [instances, chains, samples]."""
    matrices, readout, biases = _split(weights, variances)
    depth = len(matrices)
    scaled = variances.gains(depth)[-1] * latent_gradient.unsqueeze(-2) / math.sqrt(readout.shape[-1])
    top = readout.unsqueeze(-1) * scaled
    by_weights, by_biases = _down(matrices, inputs, activation, variances, biases, top)
    if len(variances.weights_of(weights, depth)) > depth:
        hidden = top_hidden(matrices, inputs, activation, variances, biases)
        by_weights = [*by_weights, (scaled * hidden).sum(-1)]
    if not variances.bias:
        return by_weights
    return [*by_weights, *by_biases, variances.bias_scale * latent_gradient.sum(-1, keepdim=True)]
