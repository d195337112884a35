"""The laws about means: every exact sampler on every target it supports, with the effort each needs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from nishimori.exactness.bimodal import bimodal
from nishimori.exactness.funnel import funnel
from nishimori.exactness.gaussian import gaussian
from nishimori.exactness.laws import Place
from nishimori.exactness.linear_network import collapsed_linear_network, linear_network
from nishimori.exactness.moments import Case, MomentLaw
from nishimori.samplers.base import Sampler
from nishimori.samplers.hmc import HMC
from nishimori.samplers.langevin import UnderdampedLangevin
from nishimori.samplers.mala import MALA
from nishimori.samplers.mclmc import MCLMC
from nishimori.samplers.pcn import PCN
from nishimori.samplers.replica_exchange import ReplicaExchange

SAMPLERS: dict[str, Callable[[float, int], Sampler]] = {
    "hmc-leapfrog": partial(HMC, "leapfrog"),
    "hmc-rotation": partial(HMC, "rotation"),
    "hmc-minimum-norm": partial(HMC, "minimum_norm"),
    "hmc-minimum-norm-rotation": partial(HMC, "minimum_norm_rotation"),
    "hmc-fourth-order": partial(HMC, "fourth_order"),
    "mala-langevin": lambda step_size, _: MALA(step_size, "langevin"),
    "mala-pcnl": lambda step_size, _: MALA(step_size, "pcnl"),
    "pcn": lambda step_size, _: PCN(step_size),
    "langevin": UnderdampedLangevin,
    "mclmc": MCLMC,
    "replica-exchange": lambda step_size, num_steps: ReplicaExchange(
        HMC("leapfrog", step_size, num_steps), levels=3, hottest=0.5
    ),
}
"""By step size and number of steps."""


@dataclass(frozen=True)
class Effort:
    """What brings the relative error of every quantity below its limit. A draw is one transition."""

    step_size: float
    num_steps: int
    chains: int
    draws: int


GAUSSIAN = {
    "hmc-leapfrog": Effort(0.03, 50, 1600, 26),
    "hmc-rotation": Effort(0.03, 50, 1600, 26),
    "hmc-minimum-norm": Effort(0.06, 25, 1600, 24),
    "hmc-minimum-norm-rotation": Effort(0.06, 25, 1600, 24),
    "hmc-fourth-order": Effort(0.12, 13, 1600, 27),
    "mala-langevin": Effort(0.03, 1, 8000, 40),
    "mala-pcnl": Effort(0.03, 1, 8000, 40),
    "pcn": Effort(0.014, 1, 9000, 150),
    "langevin": Effort(0.025, 16, 2000, 36),
    "mclmc": Effort(0.045, 35, 1600, 27),
    "replica-exchange": Effort(0.03, 50, 800, 50),
}
LINEAR_NETWORK = {
    "hmc-leapfrog": Effort(0.2, 7, 256, 200),
    "hmc-rotation": Effort(0.2, 7, 256, 100),
    "hmc-minimum-norm": Effort(0.35, 4, 256, 100),
    "hmc-minimum-norm-rotation": Effort(0.35, 4, 256, 100),
    "hmc-fourth-order": Effort(0.7, 2, 256, 100),
    "mala-langevin": Effort(0.35, 1, 1344, 150),
    "mala-pcnl": Effort(0.35, 1, 1344, 150),
    "pcn": Effort(0.3, 1, 2048, 150),
    "langevin": Effort(0.2, 7, 256, 100),
    "mclmc": Effort(0.25, 6, 256, 100),
    "replica-exchange": Effort(0.2, 7, 256, 100),
}
COLLAPSED = {
    "hmc-leapfrog": Effort(0.3, 5, 64, 70),
    "hmc-rotation": Effort(0.3, 5, 64, 70),
    "hmc-minimum-norm": Effort(0.6, 3, 64, 80),
    "hmc-minimum-norm-rotation": Effort(0.6, 3, 64, 80),
    "hmc-fourth-order": Effort(0.8, 2, 96, 80),
    "mala-langevin": Effort(0.6, 1, 128, 140),
    "mala-pcnl": Effort(0.8, 1, 128, 140),
    "pcn": Effort(0.6, 1, 192, 140),
    "langevin": Effort(0.3, 5, 64, 80),
    "mclmc": Effort(0.4, 4, 64, 80),
    "replica-exchange": Effort(0.3, 5, 64, 70),
}
FUNNEL = {
    "hmc-leapfrog": Effort(0.15, 10, 16000, 80),
    "hmc-rotation": Effort(0.15, 10, 16000, 80),
    "hmc-minimum-norm": Effort(0.25, 6, 18000, 80),
    "hmc-minimum-norm-rotation": Effort(0.25, 6, 18000, 80),
    "hmc-fourth-order": Effort(0.5, 4, 16000, 80),
    "mala-langevin": Effort(0.4, 1, 220000, 50),
    "mala-pcnl": Effort(0.4, 1, 220000, 50),
    "pcn": Effort(0.5, 1, 150000, 60),
    "langevin": Effort(0.2, 10, 16000, 60),
    "mclmc": Effort(0.25, 8, 24000, 80),
    "replica-exchange": Effort(0.15, 10, 12000, 80),
}


def _laws(
    target: str, statement: str, case: Callable[[Place], Case], efforts: Mapping[str, Effort]
) -> tuple[MomentLaw, ...]:
    return tuple(
        MomentLaw(
            name=f"{target}/{sampler}",
            statement=statement,
            case=case,
            sampler=SAMPLERS[sampler](effort.step_size, effort.num_steps),
            chains=effort.chains,
            warmup=0,
            draws=effort.draws,
        )
        for sampler, effort in efforts.items()
    )


def moment_laws() -> tuple[MomentLaw, ...]:
    return (
        *_laws("gaussian", "keeps a Gaussian of condition number 1000 in dimension 100", gaussian, GAUSSIAN),
        *_laws("linear-network", "keeps the posterior of a linear network", linear_network, LINEAR_NETWORK),
        *_laws(
            "collapsed", "keeps that posterior with the readout integrated out", collapsed_linear_network, COLLAPSED
        ),
        *_laws("funnel", "keeps Neal's funnel given noisy observations", funnel, FUNNEL),
        MomentLaw(
            "bimodal/replica-exchange",
            "finds the weights of two modes ten standard deviations apart",
            bimodal,
            ReplicaExchange(HMC("leapfrog", 0.7, 2), levels=5, hottest=0.05),
            chains=5000,
            warmup=150,
            draws=300,
            most_z=3.0,
        ),
    )
