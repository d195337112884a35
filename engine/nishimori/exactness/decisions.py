"""The Metropolis test accepts with the probability that the energy error says, every chain by a number of its own."""

from dataclasses import dataclass

import torch
from torch import Tensor

from nishimori.chains.loop import Schedule, chain_loop
from nishimori.exactness.laws import Outcome, Place
from nishimori.exactness.linear_network import linear_network
from nishimori.exactness.moments import compare, fixed_kernel
from nishimori.exactness.sampled import SAMPLERS, Effort
from nishimori.models.randomness import Randomness
from nishimori.samplers.base import Info, Sampler

EFFORTS = {
    "hmc-leapfrog": Effort(0.4, 2, 1024, 60),
    "mala-langevin": Effort(0.5, 1, 1024, 60),
    "pcn": Effort(0.3, 1, 1024, 100),
    "mclmc": Effort(0.4, 2, 1024, 60),
}


@dataclass(frozen=True)
class DecisionLaw:
    """Acceptance less min(1, exp(-energy error)), and its product between neighbouring chains and instances: all 0 on
    average, here moved to 1, whatever the chains' law."""

    name: str
    statement: str
    sampler: Sampler
    chains: int
    transitions: int

    def check(self, place: Place) -> Outcome:
        case = linear_network(place)
        randomness = Randomness.of(place.seed, self.name, case.target.instances, range(self.chains))
        kernel = fixed_kernel(case.target, self.sampler, randomness)
        state = kernel.init(case.start(randomness))
        infos = [transition.info for transition in chain_loop(kernel, state, Schedule(0, self.transitions))]
        excess = torch.stack([_excess(info) for info in infos])
        products = {name: excess * excess.roll(1, dims=axis) for name, axis in (("instances", 1), ("chains", 2))}
        named = {
            "acceptance": excess,
            **{f"product of neighbouring {name}": product for name, product in products.items()},
        }
        return Outcome(tuple(compare(name, 1 + values.mean(0)) for name, values in named.items()))


def decision_laws() -> tuple[DecisionLaw, ...]:
    return tuple(
        DecisionLaw(
            f"decision/{sampler}",
            "accepts with probability min(1, exp(-energy error)), chain by chain independently",
            SAMPLERS[sampler](effort.step_size, effort.num_steps),
            effort.chains,
            effort.draws,
        )
        for sampler, effort in EFFORTS.items()
    )


def _excess(info: Info) -> Tensor:
    error = torch.where(torch.isfinite(info.energy_error), info.energy_error, torch.inf)
    return (info.accepted.double() - torch.exp(-error.clamp(min=0))).cpu()
