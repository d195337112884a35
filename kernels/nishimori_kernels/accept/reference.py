"""The definition: the Metropolis decision, and what a rejected row becomes."""

import torch
from torch import Tensor

from nishimori_kernels.blocks import Buffer


def metropolis(energy_error: Tensor, uniform: Tensor, divergence: float) -> tuple[Tensor, Tensor, Tensor]:
    """min(1, exp(-energy_error)), 0 where the error is not finite; whether log(uniform) < -energy_error there; and
    whether the error is larger than `divergence`, or not finite."""
    finite = torch.isfinite(energy_error)
    safe = torch.where(finite, energy_error, torch.inf)
    accepted = finite & (torch.log(uniform) < -safe)
    return torch.exp(-safe.clamp(min=0)), accepted, ~finite | (energy_error.abs() > divergence)


def restore_(accepted: Tensor, proposed: Buffer, current: Buffer) -> None:
    """proposed = current where not `accepted` [instances, chains]."""
    for new, old in zip(proposed.parts, current.parts, strict=True):
        new.copy_(torch.where(accepted.unsqueeze(-1), new, old))
