"""The mean of exp(-energy error) is 1 in stationarity, whatever is accepted: a law of every proposal with its test.

It sees a map that does not preserve volume, or does not return, at acceptance zero too, where averages over states see
nothing. Source: Creutz 1988, Phys. Rev. D 38, 1228, eq. 9; for any Metropolis-Hastings ratio it says that the
proposal's density integrates to 1.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from nishimori.chains.loop import Schedule, chain_loop
from nishimori.exactness.laws import Outcome, Place
from nishimori.exactness.linear_network import linear_network
from nishimori.exactness.moments import Case, compare, fixed_kernel
from nishimori.exactness.sampled import SAMPLERS, Effort
from nishimori.models.randomness import Randomness
from nishimori.samplers.base import Info, Sampler

EFFORTS = {
    "hmc-leapfrog": Effort(0.1, 3, 512, 16),
    "hmc-rotation": Effort(0.1, 3, 512, 16),
    "hmc-minimum-norm": Effort(0.15, 2, 512, 16),
    "hmc-fourth-order": Effort(0.3, 1, 512, 16),
    "mala-langevin": Effort(0.1, 1, 512, 16),
    "mala-pcnl": Effort(0.2, 1, 512, 16),
    "pcn": Effort(0.05, 1, 512, 16),
    "langevin": Effort(0.1, 3, 512, 16),
    "mclmc": Effort(0.15, 3, 512, 16),
}


@dataclass(frozen=True)
class EnergyErrorLaw:
    """Of transitions of `sampler` that begin at exact draws."""

    name: str
    statement: str
    case: Callable[[Place], Case]
    sampler: Sampler
    chains: int
    transitions: int

    def check(self, place: Place) -> Outcome:
        case = self.case(place)
        randomness = Randomness.of(place.seed, self.name, case.target.instances, range(self.chains))
        kernel = fixed_kernel(case.target, self.sampler, randomness)
        state = kernel.init(case.start(randomness))
        total = torch.zeros_like(state.energy)
        for transition in chain_loop(kernel, state, Schedule(0, self.transitions)):
            total = total + _weight(transition.info)
        return Outcome((compare("mean of exp(-energy error)", (total / self.transitions).cpu()),))


def energy_error_laws() -> tuple[EnergyErrorLaw, ...]:
    return tuple(
        EnergyErrorLaw(
            f"energy-error/{sampler}",
            "has exp(-energy error) of mean 1 on the posterior of a linear network",
            linear_network,
            SAMPLERS[sampler](effort.step_size, effort.num_steps),
            effort.chains,
            effort.draws,
        )
        for sampler, effort in EFFORTS.items()
    )


def _weight(info: Info) -> Tensor:
    """exp(-energy error), zero where it is not finite."""
    error = info.energy_error
    return torch.exp(-torch.where(torch.isfinite(error), error, math.inf))
