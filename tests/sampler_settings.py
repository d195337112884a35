"""The samplers that every exactness test goes through, at settings that suit the small posteriors of these tests."""

from dataclasses import dataclass

import torch

from nishimori.models.randomness import Randomness
from nishimori.models.target import Target
from nishimori.samplers.base import Kernel, Sampler
from nishimori.samplers.hmc import HMC
from nishimori.samplers.langevin import UnderdampedLangevin
from nishimori.samplers.mala import MALA
from nishimori.samplers.mclmc import MCLMC
from nishimori.samplers.pcn import PCN


@dataclass(frozen=True)
class Setting:
    """A sampler with step size and number of steps, and how many chains and transitions know a variance to 1 %."""

    sampler: Sampler
    step_size: float
    num_steps: int
    chains: int = 128
    warmup: int = 60
    draws: int = 240

    def kernel(self, target: Target, chains: int | tuple[int, ...], seed: int = 0, step_size: float = 0.0) -> Kernel:
        """Chains 0 ... chains-1 or those named; `step_size` overrules the setting's where given."""
        identities = range(chains) if isinstance(chains, int) else chains
        randomness = Randomness.of(seed, "", target.instances, identities)
        steps = torch.full((len(target.instances),), step_size or self.step_size, dtype=torch.float64)
        return self.sampler.kernel(target, steps, self.num_steps, randomness)


ADJUSTED = {
    "leapfrog": Setting(HMC("leapfrog", jitter=0.4), 0.15, 10),
    "rotation": Setting(HMC("rotation", jitter=0.4), 0.15, 10),
    "minimum_norm": Setting(HMC("minimum_norm", jitter=0.4), 0.15, 9),
    "minimum_norm_rotation": Setting(HMC("minimum_norm_rotation", jitter=0.4), 0.15, 9),
    "fourth_order": Setting(HMC("fourth_order", jitter=0.4), 0.25, 5),
    "mala": Setting(MALA(proposal="langevin"), 0.2, 1, 512, 300, 600),
    "pcnl": Setting(MALA(proposal="pcnl"), 0.2, 1, 512, 300, 600),
    "pcn": Setting(PCN(), 0.3, 1, 512, 300, 600),
    "langevin": Setting(UnderdampedLangevin(), 0.15, 6, 256, 60, 120),
    "langevin rotation": Setting(UnderdampedLangevin(integrator="rotation"), 0.15, 6, 256, 60, 120),
    "mclmc": Setting(MCLMC(jitter=0.4), 0.15, 10),
}
UNADJUSTED = {
    "unadjusted langevin": Setting(UnderdampedLangevin(adjusted=False), 0.15, 10),
    "unadjusted langevin rotation": Setting(UnderdampedLangevin(adjusted=False, integrator="rotation"), 0.15, 10),
    "unadjusted mclmc": Setting(MCLMC(adjusted=False, target_acceptance=0.98), 0.15, 10),
}
SAMPLERS = ADJUSTED | UNADJUSTED
