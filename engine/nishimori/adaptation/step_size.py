"""Dual averaging of the logarithm of a step size, one for every instance.

Source: Hoffman and Gelman 2014, arXiv 1111.4246, eq. 6 and section 3.2.1, with their t0 = 10 and kappa = 0.75. Their
gamma = 0.05 is for one chain and hundreds of updates: in the thirty that calibration takes, the step still jumps by
factors of five and its average ends up too small (acceptance 0.90 for a target of 0.80). gamma = 0.2 settles, because
the acceptance here is a mean over chains.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

GAMMA, OFFSET, KAPPA = 0.2, 10.0, 0.75


@dataclass(frozen=True, eq=False)
class DualAveraging:
    """State after `count` updates; every field but `count` is [instances], float64, on the CPU."""

    anchor: Tensor
    log_step: Tensor
    log_average: Tensor
    error: Tensor
    count: int = 0

    @classmethod
    def init(cls, step_size: Tensor) -> "DualAveraging":
        """Start at `step_size`; larger steps are favoured until acceptance says otherwise."""
        log_step = torch.log(step_size.double().cpu())
        return cls(log_step + math.log(2.0), log_step, log_step, log_step * 0)

    @property
    def step_size(self) -> Tensor:
        """The step size to try next."""
        return torch.exp(self.log_step)

    def update(self, acceptance: Tensor, target: float) -> "DualAveraging":
        """Move towards mean acceptance `target`; `acceptance` is the mean over an instance's chains."""
        count = self.count + 1
        weight = 1.0 / (count + OFFSET)
        error = (1 - weight) * self.error + weight * (target - acceptance)
        log_step = self.anchor - count**0.5 / GAMMA * error
        forget = count**-KAPPA
        average = forget * log_step + (1 - forget) * self.log_average
        return DualAveraging(self.anchor, log_step, average, error, count)

    def final(self) -> Tensor:
        """The averaged step size, to be frozen."""
        return torch.exp(self.log_average)


def search(step_size: Tensor, acceptance_at: Callable[[Tensor, int], Tensor], attempts: int = 60) -> Tensor:
    """Halve or double each instance's step size until the acceptance of one step crosses one half.

    `acceptance_at(step_size, attempt)` is the mean over an instance's chains, [instances]. Source: Hoffman and Gelman
    2014, algorithm 4.
    """
    log_step, direction = torch.log(step_size), torch.zeros_like(step_size)
    for attempt in range(attempts):
        above = torch.where(acceptance_at(torch.exp(log_step), attempt) > 0.5, 1.0, -1.0).to(step_size)
        direction = torch.where(direction == 0, above, direction)
        searching = (above == direction) & torch.isfinite(direction)
        if not searching.any():
            break
        log_step = torch.where(searching, log_step + direction * math.log(2.0), log_step)
        direction = torch.where(searching, direction, torch.nan)
    return torch.exp(log_step)
