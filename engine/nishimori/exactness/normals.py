"""The random numbers of chains are independent standard normals, seen through a sampler that moves to them."""

import torch
from torch import Tensor

from nishimori.exactness.laws import Place
from nishimori.exactness.moments import Case, MomentLaw, standard_normals
from nishimori.models.density import DensityTarget
from nishimori.samplers.base import State
from nishimori.samplers.pcn import PCN

DIM = 32
QUANTITIES = ("mean", "variance", "fourth moment", "product of neighbouring chains", "product of neighbouring numbers")


def normals(place: Place) -> Case:
    """N(0, I) alone. With step size 1 PCN moves to its random numbers and accepts them all."""
    target = DensityTarget(_log_density, DIM, True, precision=place.precision, device=place.device)

    def observe(state: State) -> Tensor:
        values = state.position.blocks[0].double()
        square = values.square()
        chains, numbers = values * values.roll(1, dims=1), values * values.roll(1, dims=2)
        moments = (1 + values, square, square.square() / 3, 1 + chains, 1 + numbers)
        return torch.stack([moment.mean(-1) for moment in moments])

    return Case(target, QUANTITIES, observe, lambda randomness: standard_normals(target, randomness))


def normal_laws() -> tuple[MomentLaw, ...]:
    statement = "moves to independent standard normals where there is a N(0, I) prior alone"
    return (MomentLaw("prior/pcn", statement, normals, PCN(1.0), chains=2000, warmup=0, draws=40),)


def _log_density(theta: Tensor) -> Tensor:
    return -theta.double().square().sum(-1) / 2
