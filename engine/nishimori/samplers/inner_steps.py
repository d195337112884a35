"""A transition of many inner steps, each with random numbers and a decision of its own."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from nishimori.samplers.base import Info, State, divergent

MOST_INNER_STEPS = 1024

InnerStep = Callable[[State, int], tuple[State, Tensor, Tensor]]
"""(state, random step) to the state after one step, its energy error and whether it moved, [instances, chains]."""


def address(step: int, number: int = 0) -> int:
    """The random step of inner step `number` of transition `step`."""
    return step * MOST_INNER_STEPS + number


def follow(inner: InnerStep, state: State, step: int, num_steps: int) -> tuple[State, Info]:
    """Transition `step`: `num_steps` inner steps, and what they were like together.

    `acceptance` is the mean of the steps' min(1, exp(-error)); `accepted` where any step moved; `divergent` where any
    step's error was; `energy_error` = -log of the mean of exp(-error), a non-finite error counting as infinite. As for
    a single step, the mean of exp(-energy_error) is then 1 in stationarity.
    """
    errors, moves = [], []
    for number in range(num_steps):
        state, error, moved = inner(state, address(step, number))
        errors.append(error)
        moves.append(moved)
    error, moved = torch.stack(errors, -1), torch.stack(moves, -1)  # [instances, chains, steps]
    safe = torch.where(torch.isfinite(error), error, torch.inf)
    together = math.log(num_steps) - torch.logsumexp(-safe, dim=-1)
    acceptance = torch.exp(-safe.clamp(min=0)).mean(dim=-1)
    return state, Info(acceptance, moved.any(dim=-1), together, divergent(error).any(dim=-1), num_steps)


def require_inner_steps(num_steps: int | None) -> None:
    """ValueError where the inner steps of a transition outnumber their random addresses."""
    if num_steps is not None and num_steps > MOST_INNER_STEPS:
        raise ValueError(
            f"num_steps must be at most {MOST_INNER_STEPS}, got {num_steps}; give fewer steps or a shorter path_length"
        )
