"""Feature kernels of sampled posteriors, and how far they are from the prior's.

A mean of kernels over T draws misses n (<K> - E K), which is of order 1, by sqrt(n / T). What flows back to the prior
misses it by 1 / sqrt(n T) instead: with the Ornstein-Uhlenbeck flow W_t = s W + sqrt(1 - s^2) W', s = exp(-t), W' from
the prior, whose generator is minus the gradient of |W|^2 / 2 and the Laplacian, integration by parts over the posterior
exp(-|W|^2 / 2 - Phi) gives, exactly and at any width,

    <K> - E K = - int_0^1 ds < grad K(s W + sqrt(1 - s^2) W') . grad Phi(W) >.

Here it is averaged over s and 1 - s, s uniform, so that linear networks of one layer leave no scatter of s at all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nishimori.adaptation.calibration import CalibrationRecord
from nishimori.models.collapsed import CollapsedPosterior
from nishimori.models.layout import Position
from nishimori.samplers.hmc import HMC
from nishimori.sampling import sample
from nishimori.systems.kernel_corrections.layers import Layers, product
from nishimori_kernels.rng import Stream, fill_normals, random_key, uniforms

if TYPE_CHECKING:
    from nishimori.chains.progress import Progress

Array = NDArray[np.float64]
SAMPLER = HMC("rotation")


@dataclass(frozen=True, eq=False)
class Sampled:
    """By instance: `means` of kernels <K^(l)> and `changes` <K^(l)> - E K^(l) by parts, [instances, layers, samples,
    samples]."""

    means: Array
    changes: Array


def sampled_kernels(
    target: CollapsedPosterior,
    chains: int,
    warmup: int,
    draws: int,
    seed: int,
    point: str,
    record: CalibrationRecord,
    progress: "Progress",
) -> Sampled:
    """Sampled by Hamiltonian Monte Carlo with the prior-exact rotation, the readout integrated out; every instance is a
    group of chains of its own on the same data."""
    run = sample(
        target,
        SAMPLER,
        chains=chains,
        warmup=warmup,
        draws=draws,
        start="prior",
        seed=seed,
        point=point,
        keep="position",
        calibration=record,
        progress=progress,
    )
    kept = run.draws["position"][..., : target.num_parameters]
    flow = _Flow(target, random_key(seed, point), range(chains))
    means, changes = [], []
    for step in range(draws):
        values = torch.tensor(kept[:, :, step], dtype=torch.float64, device=target.device)
        position = target.layout(chains).from_edge(values)
        means.append(_mean(flow.kernels(position)))
        changes.append(_mean(flow.changes(position, step)))
        progress("kernels", step + 1, draws, run.acceptance)
    return Sampled(np.mean(means, axis=0), np.mean(changes, axis=0))


def _mean(values: Tensor) -> Array:
    """Over chains."""
    return values.mean(dim=1).cpu().numpy()


@dataclass(frozen=True, eq=False)
class _Flow:
    target: CollapsedPosterior
    key: int
    chains: Sequence[int]

    @cached_property
    def layers(self) -> Layers:
        return Layers(self.target.problem.network, self.target.problem.inputs[0].to(self.target.device))

    def kernels(self, position: Position) -> Tensor:
        """K^(l) [instances, chains, layers, samples, samples]."""
        below, found = self.layers.inputs.mT, []
        for weight, variance in zip(position.blocks, self.target.problem.network.weight_variances, strict=False):
            below = self.layers.features((variance / weight.shape[-1]) ** 0.5 * product(weight, below))
            found.append(self.layers.kernel(below))
        return torch.stack(found, dim=2)

    def changes(self, position: Position, step: int) -> Tensor:
        """One draw of what is averaged, [instances, chains, layers, samples, samples]."""
        force = self.target.gradient(position)
        force.flat.sub_(position.flat)
        fresh, address = position.empty_like(), (step, self.target.instances, self.chains)
        for block, first in zip(fresh.blocks, position.layout.first_elements, strict=True):
            fill_normals(block, self.key, Stream.KERNEL_FLOW, *address, first_element=first)
        part = uniforms(self.key, Stream.KERNEL_FLOW_TIME, *address, device=self.target.device)
        velocities = [self._velocities(position, fresh, force, one) for one in (part, 1 - part)]
        return -0.5 * (velocities[0] + velocities[1])

    def _velocities(self, position: Position, fresh: Position, force: Position, part: Tensor) -> Tensor:
        old, new = part[..., None, None], torch.sqrt(1 - part**2)[..., None, None]
        blocks = zip(position.blocks, fresh.blocks, strict=True)
        return self.layers.kernel_velocities([old * here + new * there for here, there in blocks], force.blocks)
