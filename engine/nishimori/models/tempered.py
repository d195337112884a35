"""A target at several temperatures at once, its replicas folded into the chain axis."""

from collections.abc import Sequence

import torch
from torch import Tensor

from nishimori.models.layout import Layout, Position, add_scaled_, broadcast, chain_dot
from nishimori.models.target import Target


class TemperedTarget:
    """U_b = b Phi + |theta|^2 / 2 where the target has a Gaussian prior (Phi = U - |theta|^2 / 2), else U_b = b U.

    Place chain * levels + level of the chain axis is the replica of `chain` at inverse_temperatures[level]. For the
    Gaussian channel inverse temperature b is the noise variance noise_variance / b. Energies and gradients at b = 1 are
    the target's to the last bit.
    """

    def __init__(self, target: Target, inverse_temperatures: Sequence[float]) -> None:
        self.target = target
        self.inverse_temperatures = tuple(inverse_temperatures)
        self.gaussian_prior, self.num_parameters = target.gaussian_prior, target.num_parameters
        self.instances, self.dtype, self.device = target.instances, target.dtype, target.device

    @property
    def levels(self) -> int:
        return len(self.inverse_temperatures)

    def layout(self, chains: int) -> Layout:
        """`chains` counts replicas."""
        return self.target.layout(chains)

    def ladder(self, replicas: int) -> Tensor:
        """The inverse temperatures of `replicas` replicas along the chain axis, [instances, replicas], float64."""
        levels = torch.tensor(self.inverse_temperatures, dtype=torch.float64, device=self.device)
        return levels.repeat(replicas // self.levels).expand(len(self.instances), -1)

    def energy(self, position: Position) -> Tensor:
        """U_b, [instances, replicas], float64."""
        ladder = self.ladder(position.layout.chains)
        return self.reweighted_energy(self.target.energy(position), position, ladder)

    def gradient(self, position: Position, out: Position | None = None) -> Position:
        """b dPhi + theta, or b dU."""
        gradient = self.target.gradient(position, out)
        return self.reweight_(gradient, position, self.ladder(position.layout.chains))

    def energy_and_gradient(self, position: Position, out: Position | None = None) -> tuple[Tensor, Position]:
        energy, gradient = self.target.energy_and_gradient(position, out)
        ladder = self.ladder(position.layout.chains)
        return self.reweighted_energy(energy, position, ladder), self.reweight_(gradient, position, ladder)

    def reweighted_energy(self, energy: Tensor, position: Position, ratio: Tensor) -> Tensor:
        """U_rb = r U_b + (1 - r) |theta|^2 / 2, or r U_b, from U_b and the `ratio` r; each [instances, replicas]."""
        prior = (1 - ratio) * chain_dot(position, position) / 2 if self.gaussian_prior else 0.0
        return energy * ratio + prior

    def reweight_(self, gradient: Position, position: Position, ratio: Tensor) -> Position:
        """The gradient of `reweighted_energy`, from that at b, in place."""
        for number, block in enumerate(gradient.blocks):
            block.mul_(broadcast(ratio, number, block))
        if self.gaussian_prior:
            add_scaled_(gradient, position, 1 - ratio)
        return gradient

    def untempered(self, energy: Tensor, position: Position) -> Tensor:
        """Phi, or for a density U, at b = 1, from U_b; [instances, replicas]."""
        prior = chain_dot(position, position) / 2 if self.gaussian_prior else 0.0
        return (energy - prior) / self.ladder(position.layout.chains)

    def initial_position(self, chains: int | tuple[int, ...], start: str, seed: int, point: str = "") -> Position:
        """`chains` counts or names replicas."""
        return self.target.initial_position(chains, start, seed, point)
