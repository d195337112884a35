"""Two unit Gaussians in dimension 4, ten standard deviations apart, of weights 0.7 and 0.3."""

import math

import torch
from torch import Tensor

from nishimori.exactness.laws import Place
from nishimori.exactness.moments import Case
from nishimori.models.density import DensityTarget
from nishimori.models.layout import Position
from nishimori.models.randomness import Randomness
from nishimori.samplers.base import State

DIM, OFFSET, WEIGHT = 4, 5.0, 0.7
QUANTITIES = ("weight of the greater mode", "variance within a mode")


def bimodal(place: Place) -> Case:
    """0.7 N(+5 e, I) + 0.3 N(-5 e, I), e the diagonal direction. All chains start at the centre of the lesser mode."""
    target = DensityTarget(_log_density, DIM, precision=place.precision, device=place.device)

    def start(randomness: Randomness) -> Position:
        position = target.layout(len(randomness.chains)).empty(target.dtype, target.device)
        position.flat.fill_(-OFFSET / math.sqrt(DIM))
        return position

    def observe(state: State) -> Tensor:
        theta = state.position.blocks[0].double()
        along = theta.sum(-1) / math.sqrt(DIM)
        square = theta.square().sum(-1) - along.square() + (along.abs() - OFFSET).square()
        return torch.stack([(along > 0).double() / WEIGHT, square / DIM])

    return Case(target, QUANTITIES, observe, start)


def _log_density(theta: Tensor) -> Tensor:
    wide = theta.double()
    centre = OFFSET / math.sqrt(DIM)
    greater = math.log(WEIGHT) - (wide - centre).square().sum(-1) / 2
    lesser = math.log(1 - WEIGHT) - (wide + centre).square().sum(-1) / 2
    return torch.logaddexp(greater, lesser)
