"""What every sampler shares: the target it asks of, its state, and what it tells a reader."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from nishimori.models.layout import Layout, Position

DIVERGENCE_THRESHOLD = 1000.0


class Target(Protocol):
    """A density known by its energy U = -log density + constant."""

    gaussian_prior: bool
    num_parameters: int
    instances: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device

    def layout(self, chains: int) -> Layout: ...

    def energy_and_gradient(self, position: Position, out: Position | None = None) -> tuple[Tensor, Position]: ...

    def gradient(self, position: Position, out: Position | None = None) -> Position: ...


@dataclass(frozen=True, eq=False)
class State:
    """What the next step needs: a position, its energy [instances, chains] (float64) and gradient."""

    position: Position
    energy: Tensor
    gradient: Position


@dataclass(frozen=True, eq=False)
class Info:
    """What a reader needs, each [instances, chains] but `num_steps`.

    `acceptance` is min(1, exp(-energy_error)), zero where the energy is not finite; `divergent` marks energy errors
    above 1000 in size, or not finite.
    """

    acceptance: Tensor
    accepted: Tensor
    energy_error: Tensor
    divergent: Tensor
    num_steps: int


def metropolis(energy_error: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor]:
    """Acceptance probability and decision; a NaN or infinite energy error is rejected.

    `energy_error` = H(proposed) - H(current) and `uniform` in (0, 1) are [instances, chains].
    """
    finite = torch.isfinite(energy_error)
    safe = torch.where(finite, energy_error, torch.inf)
    return torch.exp(-safe.clamp(min=0)), finite & (torch.log(uniform) < -safe)


def divergent(energy_error: Tensor) -> Tensor:
    return ~torch.isfinite(energy_error) | (energy_error.abs() > DIVERGENCE_THRESHOLD)
