"""Energy and gradient of a torch.nn.Module's posterior: ours, torch.func.vmap written by hand, and the same network as
a `Posterior`."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from network_providers import data_of
from operation import Call
from shapes import NOISE_VARIANCE, Shape
from torch import Tensor, nn

import nishimori as nm
from nishimori.models.layout import Position


class Network(nn.Sequential):
    """The network of `nm.Network(dim, (dim,) * depth, "tanh")`, its factors 1 / sqrt(width) left to the prior."""

    def __init__(self, dim: int, depth: int) -> None:
        hidden = [layer for _ in range(depth) for layer in (nn.Linear(dim, dim, bias=False), nn.Tanh())]
        super().__init__(*hidden, nn.Linear(dim, 1, bias=False), nn.Flatten(0))


def module_target(shape: Shape, device: torch.device) -> Call:
    target, position = _target(shape, device)
    out = position.empty_like()
    return lambda: target.energy_and_gradient(position, out)


def by_hand(shape: Shape, device: torch.device) -> Call:
    target, position = _target(shape, device)
    module, scale = Network(shape.dim, shape.depth).float().to(device), 1 / math.sqrt(shape.dim)
    names = [name for name, _ in module.named_parameters()]
    stacked = {name: block[0] for name, block in zip(names, position.blocks, strict=True)}
    inputs, labels = (part[0] for part in data_of(shape, device))
    run = _mapped(module, inputs, labels, scale)
    return lambda: run(stacked)


def posterior(shape: Shape, device: torch.device) -> Call:
    target = nm.Posterior(shape.problem(), device=device.type)
    _, position = _target(shape, device)
    same = target.layout(shape.chains).from_edge(position.to_edge())
    out = same.empty_like()
    return lambda: target.energy_and_gradient(same, out)


def values(returned: tuple[Tensor, Position]) -> Sequence[Tensor]:
    """Energies [chains] and gradients [chains, num_parameters]."""
    energy, gradient = returned
    return energy[0], gradient.to_edge()[0]


def values_by_hand(returned: tuple[dict[str, Tensor], Tensor]) -> Sequence[Tensor]:
    gradients, energies = returned
    return energies, torch.cat([gradient.flatten(1) for gradient in gradients.values()], dim=1)


def _target(shape: Shape, device: torch.device) -> tuple[nm.ModuleTarget, Position]:
    inputs, labels = (part[0] for part in data_of(shape, device))
    module = Network(shape.dim, shape.depth).float().to(device)
    likelihood = nm.GaussianLikelihood(inputs, labels, NOISE_VARIANCE)
    target = nm.ModuleTarget(module, likelihood, 1 / math.sqrt(shape.dim), device=device.type)
    return target, target.initial_position(shape.chains, "prior", seed=0)


def _mapped(module: nn.Module, inputs: Tensor, labels: Tensor, scale: float) -> Callable[[dict[str, Tensor]], Any]:
    """Parameters [chains, *shape] of N(0, 1) prior -> gradients and energies, as one writes it with torch.func."""

    def energy(parameters: dict[str, Tensor]) -> Tensor:
        scaled = {name: scale * own for name, own in parameters.items()}
        outputs = torch.func.functional_call(module, scaled, (inputs,))
        prior = sum((own.square().sum() for own in parameters.values()), torch.zeros((), device=inputs.device))
        return (outputs - labels).square().sum() / (2 * NOISE_VARIANCE) + prior / 2

    return torch.func.vmap(torch.func.grad_and_value(energy))
