"""Sizes of what is timed, and the work there is in it."""

from dataclasses import dataclass
from functools import cache

import torch
from common import case_of, operations_of

import nishimori as nm
from nishimori.models.layout import Position

NOISE_VARIANCE = 0.1
TRANSITION_STEPS = 10


@cache
def _problem(dim: int, samples: int, depth: int) -> nm.Problem:
    network, channel = nm.Network(dim, (dim,) * depth, "tanh"), nm.GaussianChannel(NOISE_VARIANCE)
    return nm.matched_teacher(network, channel, samples, test_samples=samples)


@dataclass(frozen=True)
class Shape:
    """A tanh network with all layers `dim` wide, on as many inputs: one instance, `chains` chains."""

    dim: int
    samples: int
    depth: int
    chains: int

    def __str__(self) -> str:
        return case_of(self.dim, self.samples, self.depth, self.chains)

    def problem(self) -> nm.Problem:
        """With as many test inputs as samples; the same object for the same network and samples."""
        return _problem(self.dim, self.samples, self.depth)

    def position(self, device: torch.device, seed: int = 0) -> Position:
        """Prior draws, float32."""
        return nm.Posterior(self.problem(), device=device.type).initial_position(self.chains, "prior", seed)

    @property
    def parameters(self) -> int:
        """Of all chains."""
        return self.chains * (self.depth * self.dim**2 + self.dim)


@dataclass(frozen=True)
class Square:
    """A product of two square matrices."""

    size: int

    def __str__(self) -> str:
        return f"size={self.size}"


@dataclass(frozen=True)
class Bytes:
    """A copy of so many bytes."""

    count: int

    def __str__(self) -> str:
        return f"bytes={self.count}"


GRADIENT_SHAPES = (Shape(100, 200, 1, 64), Shape(100, 200, 3, 64), Shape(400, 800, 1, 8), Shape(400, 800, 3, 8))
CUDA_SHAPES = (Shape(1000, 2000, 2, 32), Shape(1000, 2000, 3, 32), Shape(100, 400, 2, 1024), Shape(100, 400, 2, 64))
MODULE_SHAPES = (Shape(64, 200, 2, 64), Shape(16, 50, 2, 64), Shape(200, 400, 2, 16))


def gradient_work(shape: Shape) -> int:
    """Floating-point operations of the matrix products of one gradient."""
    return operations_of(shape.dim, shape.samples, shape.depth, shape.chains)


def transition_work(shape: Shape) -> int:
    """Floating-point operations of the matrix products of a transition's gradients."""
    return TRANSITION_STEPS * gradient_work(shape)


def forward_work(shape: Shape) -> int:
    """Floating-point operations of the matrix products of one forward pass."""
    return 2 * shape.chains * shape.samples * shape.depth * shape.dim**2


def first_layer_work(shape: Shape) -> int:
    """Floating-point operations of the first layer's product of one forward pass; those of a deeper one are as many."""
    return 2 * shape.chains * shape.samples * shape.dim**2


def readout_work(shape: Shape) -> int:
    """Floating-point operations of a gradient with the readout integrated out: the network's matrix products, one
    triangle of the Gram matrix of the narrower side, its factorisation, the inverse, and its product with the layer."""
    narrow, wide = sorted((shape.dim, shape.samples))
    return gradient_work(shape) + shape.chains * (narrow**2 * wide + narrow**3 + 2 * narrow**2 * wide)
