"""Posterior predictive mean and variance at new inputs, from the positions that a run kept."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from nishimori.description import GaussianChannel
from nishimori.measurement.observers import NetworkTarget
from nishimori.models.forward import batched_network, kernels_of
from nishimori.models.layout import Position
from nishimori.models.module import ModuleTarget
from nishimori.models.target import Target

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Prediction:
    """`mean` and `latent_variance` of F (or of the module's output) over the posterior; `label_mean` and `variance` of
    a label, the channel's noise included where it has one: [instances, rows], for a module [rows, ...].

    Of classes -1 and 1, (1 + label_mean) / 2 is the probability of 1.
    """

    mean: Values
    latent_variance: Values
    label_mean: Values
    variance: Values


def predict(target: Target, kept: Values | None, inputs: ArrayLike) -> Prediction:
    """Average over every chain and draw of `kept` [instances, chains, draws, num_parameters].

    Raises ValueError where positions were not kept, or `target` is a density, which predicts nothing.
    """
    output = _output_of(target, torch.as_tensor(inputs, device=target.device))
    if kept is None:
        raise ValueError('positions were not kept; sample with keep="position" ([run] keep = "position") to predict')
    mean, variance = _moments(output(position) for position in _positions(target, kept))
    if isinstance(target, ModuleTarget):
        return Prediction(mean[0], variance[0], mean[0], variance[0])
    assert isinstance(target, NetworkTarget)
    if isinstance(target.problem.channel, GaussianChannel):
        return Prediction(mean, variance, mean, variance + target.problem.channel.noise_variance)
    law = target.posterior.law
    label_mean, spread = _moments(law.mean(output(position).double()) for position in _positions(target, kept))
    if law.classes:
        return Prediction(mean, variance, label_mean, 1 - label_mean**2)
    return Prediction(mean, variance, label_mean, spread + target.problem.channel.noise_variance)


def _output_of(target: Target, inputs: Tensor) -> Callable[[Position], Tensor]:
    """Predictions of every chain of a position, [instances, chains, rows, ...]."""
    if isinstance(target, ModuleTarget):
        return lambda position: target.predict(position, inputs)
    if not isinstance(target, NetworkTarget):
        raise ValueError("a density predicts nothing; give an observable, or sample a network or a module")
    network = target.problem.network
    if inputs.dim() != 2 or inputs.shape[-1] != network.input_dim:
        raise ValueError(f"inputs have shape {list(inputs.shape)}; give [rows, {network.input_dim}]")
    rows = inputs.to(target.dtype).expand(len(target.instances), *inputs.shape)
    kernels = kernels_of(network, target.device, target.dtype)

    def output(position: Position) -> Tensor:
        return batched_network(network, rows, position.layout.chains, kernels).forward(position.blocks)

    return output


def _positions(target: Target, kept: Values) -> Iterator[Position]:
    """One position of all chains a draw: of all weights, readouts included."""
    complete = target.posterior if isinstance(target, NetworkTarget) else target
    layout = complete.layout(kept.shape[1])
    for draw in range(kept.shape[2]):
        values = torch.as_tensor(kept[:, :, draw], device=target.device)
        yield layout.from_edge(values.to(target.dtype))


def _moments(outputs: Iterator[Tensor]) -> tuple[Values, Values]:
    """Mean and variance over chains and draws, sums in float64 about the first draw's mean."""
    origin: Tensor | None = None
    first = second = torch.zeros((), dtype=torch.float64)
    count = 0
    for output in outputs:
        values = output.double()
        origin = values.mean(1) if origin is None else origin
        centred = values - origin.unsqueeze(1)
        first, second = first + centred.sum(1), second + centred.square().sum(1)
        count += values.shape[1]
    assert origin is not None, "a run keeps at least one draw"
    shift = first / count
    return (origin + shift).cpu().numpy(), (second / count - shift.square()).cpu().numpy()
