"""A Gaussian in 100 dimensions of condition number 1000, its mean a standard deviation from the origin everywhere."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from nishimori.exactness.laws import Place
from nishimori.exactness.moments import Case, standard_normals
from nishimori.models.density import DensityTarget
from nishimori.models.layout import Position
from nishimori.models.randomness import Randomness
from nishimori.samplers.base import State

DIM = 100
CONDITION_NUMBER = 1000.0
QUANTITIES = ("mean", "variance", "variance, soft half", "variance, stiff half")


def gaussian(place: Place) -> Case:
    """N(mean, 1 / precision), precisions 1 to 1000 in equal ratios, so that U holds the |theta|^2 / 2 of a prior.

    Chains start at independent draws from it. Quantities: the projection of theta on the mean, and precision
    (theta - mean)^2 averaged over coordinates.
    """
    precision = torch.logspace(0, math.log10(CONDITION_NUMBER), DIM, dtype=torch.float64, device="cpu")
    deviation = precision.rsqrt()
    target = DensityTarget(_log_density(precision), DIM, True, precision=place.precision, device=place.device)

    def start(randomness: Randomness) -> Position:
        position = standard_normals(target, randomness)
        rows = (1 + position.blocks[0].double()) * deviation.to(target.device)
        position.blocks[0].copy_(rows)
        return position

    def observe(state: State) -> Tensor:
        white = state.position.blocks[0].double() / deviation.to(target.device)
        square = (white - 1).square()
        soft, stiff = (half.mean(-1) for half in square.chunk(2, dim=-1))
        return torch.stack([white.mean(-1), square.mean(-1), soft, stiff])

    return Case(target, QUANTITIES, observe, start)


def _log_density(precision: Tensor) -> Callable[[Tensor], Tensor]:
    def log_density(theta: Tensor) -> Tensor:
        scale = precision.to(theta.device).sqrt()
        return -(theta.double() * scale - 1).square().sum(-1) / 2

    return log_density
