"""A density that is not a number outside its support: every proposal that leaves must be rejected."""

import math

import torch
from torch import Tensor

from nishimori.exactness.laws import Place
from nishimori.exactness.moments import Case, MomentLaw
from nishimori.exactness.sampled import SAMPLERS, Effort
from nishimori.models.density import DensityTarget
from nishimori.models.layout import Position
from nishimori.models.randomness import Randomness
from nishimori.samplers.base import State
from nishimori_kernels.rng.streams import Stream

DIM, CUTS = 4, (1.0, 3.0)
QUANTITIES = tuple(f"probability of x < {cut:g}" for cut in CUTS)
EFFORTS = {
    "hmc-leapfrog": Effort(0.9, 2, 12000, 80),
    "mala-langevin": Effort(1.0, 1, 16000, 80),
    "langevin": Effort(0.7, 2, 8000, 80),
    "mclmc": Effort(0.8, 2, 10000, 80),
}


def support(place: Place) -> Case:
    """Independent Gamma(2): density x exp(-x) of x > 0, its logarithm NaN for x < 0. Chains start at exact draws.

    A probability is averaged by counting; a position that is NaN counts as beyond any cut.
    """
    target = DensityTarget(_log_density, DIM, precision=place.precision, device=place.device)

    def start(randomness: Randomness) -> Position:
        position = target.layout(len(randomness.chains)).empty(target.dtype, target.device)
        normals = [randomness.fill_normals(position.empty_like(), Stream.PRIOR_START, number) for number in range(4)]
        position.flat.copy_(torch.stack([draw.flat for draw in normals]).square().sum(0) / 2)
        return position

    def observe(state: State) -> Tensor:
        values = state.position.blocks[0]
        return torch.stack([(values < cut).double().mean(-1) / _probability_below(cut) for cut in CUTS])

    return Case(target, QUANTITIES, observe, start)


def support_laws() -> tuple[MomentLaw, ...]:
    return tuple(
        MomentLaw(
            f"support/{sampler}",
            "never leaves the support of a density that is NaN beyond it",
            support,
            SAMPLERS[sampler](effort.step_size, effort.num_steps),
            effort.chains,
            warmup=0,
            draws=effort.draws,
        )
        for sampler, effort in EFFORTS.items()
    )


def _log_density(theta: Tensor) -> Tensor:
    wide = theta.double()
    return (torch.log(wide) - wide).sum(-1)


def _probability_below(cut: float) -> float:
    return 1 - (1 + cut) * math.exp(-cut)
