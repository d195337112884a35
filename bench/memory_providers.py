"""What is limited by memory rather than arithmetic, and the limit of the machine."""

import torch
from operation import Call
from shapes import Bytes, Shape
from torch import Tensor

from nishimori.models.layout import add_scaled_, chain_dot, kick_drift_
from nishimori.models.randomness import Randomness
from nishimori_kernels.rng.streams import Stream


def normals(shape: Shape, device: torch.device) -> Call:
    position = shape.position(device)
    randomness = Randomness.of(0, "", range(1), range(shape.chains))
    return lambda: randomness.fill_normals(position, Stream.MOMENTUM, 0)


def momenta(shape: Shape, device: torch.device) -> Call:
    """As HMC draws them, with the sum of their squares chain by chain."""
    position = shape.position(device)
    randomness = Randomness.of(0, "", range(1), range(shape.chains))
    return lambda: randomness.refresh_(position, Stream.MOMENTUM, 0)


def torch_normals(shape: Shape, device: torch.device) -> Call:
    out = torch.empty_like(shape.position(device).flat)
    return lambda: torch.randn(out.shape, out=out)


def kick(shape: Shape, device: torch.device) -> Call:
    momentum, gradient = shape.position(device), shape.position(device, seed=1)
    time = torch.full((1,), -1e-3, dtype=torch.float64, device=device)
    return lambda: add_scaled_(momentum, gradient, time)


def torch_kick(shape: Shape, device: torch.device) -> Call:
    momentum, gradient = shape.position(device).flat, shape.position(device, seed=1).flat
    return lambda: momentum.add_(gradient, alpha=-1e-3)


def kick_and_drift(shape: Shape, device: torch.device) -> Call:
    position, momentum, gradient = (shape.position(device, seed) for seed in range(3))
    time = torch.full((1,), 1e-3, dtype=torch.float64, device=device)
    return lambda: kick_drift_(position, momentum, gradient, time, time)


def torch_kick_and_drift(shape: Shape, device: torch.device) -> Call:
    position, momentum, gradient = (shape.position(device, seed).flat for seed in range(3))

    def run() -> None:
        momentum.add_(gradient, alpha=-1e-3)
        position.add_(momentum, alpha=1e-3)

    return run


def our_chain_dot(shape: Shape, device: torch.device) -> Call:
    first, second = shape.position(device), shape.position(device, seed=1)
    return lambda: chain_dot(first, second)


def torch_chain_dot(shape: Shape, device: torch.device) -> Call:
    pairs = list(zip(shape.position(device).blocks, shape.position(device, seed=1).blocks, strict=True))

    def run() -> Tensor:
        return torch.stack([(a.double() * b.double()).flatten(2).sum(-1) for a, b in pairs]).sum(0)

    return run


def copy(block: Bytes, device: torch.device) -> Call:
    source = torch.zeros(block.count // 4, dtype=torch.float32, device=device)
    out = torch.zeros_like(source)
    return lambda: out.copy_(source)
