"""Symmetric splittings of Hamiltonian dynamics, H = U(position) + |momentum|^2 / 2.

A step is half a kick, a drift, half a kick; two neighbouring half-kicks of a trajectory are done as one. Each map is
volume-preserving and the composition reversible under a flip of the momentum whatever deterministic force is used, so
Metropolis with exact energies keeps the target invariant.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from nishimori.models.layout import Position, add_scaled_, per_instance
from nishimori.samplers.base import Target


@dataclass(frozen=True)
class Splitting:
    """`kick_(momentum, position, gradient, time)` and `drift_(position, momentum, time)`, in place; time
    [instances]."""

    name: str
    kick_: Callable[[Position, Position, Position, Tensor], None]
    drift_: Callable[[Position, Position, Tensor], None]
    needs_gaussian_prior: bool


def _kick_full_(momentum: Position, position: Position, gradient: Position, time: Tensor) -> None:
    del position
    add_scaled_(momentum, gradient, -time)


def _drift_straight_(position: Position, momentum: Position, time: Tensor) -> None:
    add_scaled_(position, momentum, time)


def _kick_likelihood_(momentum: Position, position: Position, gradient: Position, time: Tensor) -> None:
    """Kick by Phi = U - |position|^2 / 2 alone."""
    add_scaled_(momentum, gradient, -time)
    add_scaled_(momentum, position, time)


def _drift_rotation_(position: Position, momentum: Position, time: Tensor) -> None:
    """The exact flow of the Gaussian prior: a rotation of (position, momentum) by the angle `time`."""
    cosine, sine = torch.cos(time), torch.sin(time)
    for q, p in zip(position.blocks, momentum.blocks, strict=True):
        c, s = per_instance(cosine, q), per_instance(sine, q)
        rotated = c * q + s * p
        p.mul_(c).sub_(s * q)
        q.copy_(rotated)


LEAPFROG = Splitting("leapfrog", _kick_full_, _drift_straight_, needs_gaussian_prior=False)
"""Stormer-Verlet: kick by U, straight drift. Second order."""

ROTATION = Splitting("rotation", _kick_likelihood_, _drift_rotation_, needs_gaussian_prior=True)
"""Prior-exact splitting (infinity-HMC; Beskos, Pinski, Sanz-Serna, Stuart 2011): exact for a Gaussian prior alone."""

INTEGRATORS = {splitting.name: splitting for splitting in (LEAPFROG, ROTATION)}


def integrate_(
    target: Target,
    splitting: Splitting,
    position: Position,
    momentum: Position,
    gradient: Position,
    step_size: Tensor,
    num_steps: int,
) -> Tensor:
    """Follow `num_steps` steps in place; returns U at the end, [instances, chains].

    `gradient` holds dU at the start and at the end; `step_size` is [instances].
    """
    splitting.kick_(momentum, position, gradient, step_size / 2)
    for _ in range(num_steps - 1):
        splitting.drift_(position, momentum, step_size)
        target.gradient(position, out=gradient)
        splitting.kick_(momentum, position, gradient, step_size)
    splitting.drift_(position, momentum, step_size)
    energy, _ = target.energy_and_gradient(position, out=gradient)
    splitting.kick_(momentum, position, gradient, step_size / 2)
    return energy
