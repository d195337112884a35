"""The random numbers of chains are independent standard normals, seen through a sampler that moves to them."""

import torch
from torch import Tensor

from nishimori.description import GaussianChannel, Network
from nishimori.exactness.laws import Place
from nishimori.exactness.moments import Case, MomentLaw, standard_normals
from nishimori.models.posterior import Posterior
from nishimori.models.problem import matched_teacher
from nishimori.samplers.base import State
from nishimori.samplers.pcn import PCN

WIDTH, INSTANCES, NOISE_VARIANCE = 8, 4, 1e12
PRODUCTS = ("instances", "chains", "numbers", "layers")
QUANTITIES = ("mean", "variance", "fourth moment", *(f"product of neighbouring {axis}" for axis in PRODUCTS))


def normals(place: Place) -> Case:
    """The prior of a network with two layers of one shape, its labels telling nothing: with step size 1 PCN moves to
    its random numbers and accepts them all."""
    channel, network = GaussianChannel(NOISE_VARIANCE), Network(WIDTH, (WIDTH, WIDTH), "tanh")
    problem = matched_teacher(network, channel, 1, INSTANCES, test_samples=1)
    target = Posterior(problem, place.precision, place.device)

    def observe(state: State) -> Tensor:
        values = state.position.to_edge().double()
        neighbours = [values.roll(1, dims=axis) for axis in range(3)] + [values.roll(WIDTH**2, dims=2)]
        square = values.square()
        moments = [1 + values, square, square.square() / 3, *(1 + values * other for other in neighbours)]
        return torch.stack([moment.mean(-1) for moment in moments])

    return Case(target, QUANTITIES, observe, lambda randomness: standard_normals(target, randomness))


def normal_laws() -> tuple[MomentLaw, ...]:
    statement = "moves to independent standard normals where there is a N(0, I) prior alone"
    return (MomentLaw("prior/pcn", statement, normals, PCN(1.0), chains=250, warmup=0, draws=40),)
