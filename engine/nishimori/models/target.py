"""What a sampler asks of a target density."""

from typing import Protocol

import torch
from torch import Tensor

from nishimori.models.layout import Layout, Position


class Target(Protocol):
    """A density known by its energy U = -log density + constant, for all chains of all instances at once.

    `gaussian_prior` says that U holds the term |theta|^2 / 2 of a N(0, I) prior: the likelihood's share is then
    Phi = U - |theta|^2 / 2. Energies are [instances, chains], float64; gradients are laid out like positions, in
    `dtype`, and written to `out` where given. `initial_position` takes a count of chains or their identities.
    """

    gaussian_prior: bool
    num_parameters: int
    instances: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device

    def layout(self, chains: int) -> Layout: ...

    def energy(self, position: Position) -> Tensor: ...

    def gradient(self, position: Position, out: Position | None = None) -> Position: ...

    def energy_and_gradient(self, position: Position, out: Position | None = None) -> tuple[Tensor, Position]: ...

    def initial_position(self, chains: int | tuple[int, ...], start: str, seed: int, point: str = "") -> Position: ...
