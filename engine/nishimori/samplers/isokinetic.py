"""Isokinetic dynamics: a particle of unit speed that the gradient turns.

In whitened coordinates x~ (x = h x~, h the step size), d of them, with G = h grad U and |u| = 1:

    dx~/dt = u,    du/dt = -(1 - u u^T) G / (d - 1)

preserves exp(-U) times the uniform law of u. Both flows are exact. A kick of time t, with e = -G / |G|,
c = e.u and delta = t |G| / (d - 1):

    u <- (u + e (sinh delta + c (cosh delta - 1))) / (cosh delta + c sinh delta),

which changes the kinetic energy, (d - 1) log |momentum|, by (d - 1) log(cosh delta + c sinh delta). A step is half a
kick, a drift, half a kick, of time sqrt(d): positions move by h sqrt(d) u, as they do by leapfrog's h p. Reversible
under u -> -u; the volume of phase space shrinks by the exponential of the kinetic energy's change, so that a Metropolis
test on potential plus kinetic energy is exact. Source: Ver Steeg and Galstyan 2021, arXiv 2111.02434; Robnik, De Luca,
Silverstein and Seljak 2022, arXiv 2212.08549.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from nishimori.models.layout import Position, add_scaled_, broadcast, chain_dot
from nishimori.models.target import Target
from nishimori.samplers.base import State, gradient_of

SMALLEST_NORM = 1e-30


def normalize_(velocity: Position) -> Position:
    """Unit length, chain by chain."""
    _scale_(velocity, 1 / chain_dot(velocity, velocity).sqrt())
    return velocity


def isokinetic_kick_(velocity: Position, gradient: Position, step_size: Tensor, fraction: float) -> Tensor:
    """Turn `velocity` by a fraction of a step's force; returns the kinetic energy's change, [instances, chains].

    All factors are divided by exp(delta) / 2, so that large forces do not overflow; a force of zero turns nothing.
    """
    size = velocity.layout.num_parameters
    force = gradient.empty_like()
    for number, (out, block) in enumerate(zip(force.blocks, gradient.blocks, strict=True)):
        torch.mul(block, broadcast(step_size, number, block), out=out)
    norm = chain_dot(force, force).sqrt()
    inverse = -1 / norm.clamp(min=SMALLEST_NORM)
    cosine = chain_dot(force, velocity) * inverse
    delta = fraction * math.sqrt(size) / (size - 1) * norm
    decay = torch.exp(-delta)
    _scale_(velocity, 2 * decay)
    add_scaled_(velocity, force, inverse * (1 - decay) * (1 + decay + cosine * (1 - decay)))
    normalize_(velocity)
    return (size - 1) * (delta + torch.log((1 + cosine + decay.square() * (1 - cosine)) / 2))


def integrate_isokinetic_(
    target: Target, position: Position, velocity: Position, gradient: Position, step_size: Tensor, num_steps: int
) -> tuple[Tensor, Tensor]:
    """Follow `num_steps` steps in place; returns U at the end and the kinetic energy's change, [instances, chains].

    `gradient` holds grad U at the start and at the end; the last half kick of a step and the first of the next are
    done as one.
    """
    drift = math.sqrt(position.layout.num_parameters) * step_size
    kinetic = isokinetic_kick_(velocity, gradient, step_size, 0.5)
    for _ in range(num_steps - 1):
        add_scaled_(position, velocity, drift)
        target.gradient(position, out=gradient)
        kinetic += isokinetic_kick_(velocity, gradient, step_size, 1.0)
    add_scaled_(position, velocity, drift)
    energy, _ = target.energy_and_gradient(position, out=gradient)
    return energy, kinetic + isokinetic_kick_(velocity, gradient, step_size, 0.5)


def isokinetic_trajectory(
    target: Target, state: State, velocity: Position, step_size: Tensor, longest: int
) -> Iterator[tuple[State, Tensor]]:
    """The states after 1, 2, ... `longest` steps from `state` and their energy errors.

    `velocity` is moved in place, and a state is overwritten by the next one.
    """
    position, gradient = state.position.clone(), gradient_of(state).clone()
    total = torch.zeros_like(state.energy)
    for _ in range(longest):
        energy, kinetic = integrate_isokinetic_(target, position, velocity, gradient, step_size, 1)
        total = total + kinetic
        yield State(position, energy, gradient), energy - state.energy + total


def _scale_(position: Position, factor: Tensor) -> None:
    for number, block in enumerate(position.blocks):
        block.mul_(broadcast(factor, number, block))
