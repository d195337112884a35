"""Step sizes along the path from prior to posterior, chosen by a pilot and then frozen.

The pilot's chains start at prior draws of their own and are annealed forwards over few rungs; at each, an instance's
log step size moves by the difference between the mean acceptance of its chains and the acceptance aimed at. It sees
the data and never the teacher: a step size that depended on the teacher would break the law of the chains that start
there (see `samplers.annealed_importance`).
"""

import math

import numpy as np
import torch
from torch import Tensor

from nishimori.models.layout import Position
from nishimori.models.randomness import Randomness
from nishimori.models.target import Target
from nishimori.models.tempered import TemperedTarget
from nishimori.samplers.annealed_importance import SAMPLER, evaluate, ladder_of, transition_at
from nishimori.samplers.base import CALIBRATION_STREAMS
from nishimori.samplers.checkpoint import Checkpoint, HostArrays
from nishimori_kernels.rng.streams import Stream

RUNGS, CHAINS, TRANSITIONS = 60, 4, 2
"""Of the pilot: rungs, chains an instance, transitions a rung."""
GAIN = 0.7
LARGEST = 0.35
"""Five steps of it are a quarter of the prior's period, where a rotated draw is a new one."""
SMOOTHED = 9
"""Rungs that a running mean takes the logarithms over: what one rung says is mostly the noise of four chains."""


def pilot_step_sizes(
    target: Target, rungs: int, stiffness: float, seed: int, point: str, checkpoint: Checkpoint
) -> Tensor:
    """Step sizes at every b_k of `ladder_of(rungs, stiffness)`, [rungs + 1, instances], float64, on the CPU.

    The pilot goes on where `checkpoint` says that it was left.
    """
    randomness = Randomness.of(seed, point, target.instances, range(CHAINS))
    position, log_steps = _begun(target, randomness, checkpoint.begun())
    ladder, total = ladder_of(RUNGS, stiffness), RUNGS * TRANSITIONS
    for transition in range(len(log_steps) - 1, total):
        tempered, log_step = TemperedTarget(target, (ladder[transition // TRANSITIONS + 1],)), log_steps[-1]
        given = tempered, evaluate(target, position), log_step.exp(), randomness, CALIBRATION_STREAMS
        moved, info = transition_at(*given, transition)
        acceptance = info.acceptance.mean(1).cpu()
        position = moved.position
        log_step = log_step + GAIN * (acceptance - SAMPLER.target_acceptance)
        log_steps.append(log_step.clamp(max=math.log(LARGEST)))
        checkpoint.reached(
            transition + 1, total, float(acceptance.mean()), lambda now=position: _to_host(now, log_steps)
        )
    return interpolated(smoothed(torch.stack(log_steps[::TRANSITIONS])), rungs).exp()


def _begun(target: Target, randomness: Randomness, left: HostArrays | None) -> tuple[Position, list[Tensor]]:
    """The position and, one by one, the log step sizes before every transition: at the start, or as `_to_host` wrote
    them."""
    if left is None:
        position = target.layout(CHAINS).empty(target.dtype, target.device)
        first = torch.full((len(target.instances),), math.log(LARGEST), dtype=torch.float64, device="cpu")
        return randomness.fill_normals(position, Stream.CALIBRATION_START, 0), [first]
    values = torch.tensor(left["position"], dtype=target.dtype, device=target.device)
    return target.layout(CHAINS).from_edge(values), list(torch.tensor(left["log_steps"], device="cpu"))


def _to_host(position: Position, log_steps: list[Tensor]) -> HostArrays:
    return {"position": position.to_edge().cpu().numpy(), "log_steps": np.stack([one.numpy() for one in log_steps])}


def smoothed(values: Tensor) -> Tensor:
    """The running mean of `values` [rungs, instances] over `SMOOTHED` rungs, fewer at the ends."""
    reach = SMOOTHED // 2
    return torch.stack([values[max(0, rung - reach) : rung + reach + 1].mean(0) for rung in range(len(values))])


def interpolated(values: Tensor, rungs: int) -> Tensor:
    """`values` [pilot rungs + 1, instances] on another ladder, linear in the rung: [rungs + 1, instances]."""
    intervals = len(values) - 1
    where = torch.arange(rungs + 1, dtype=torch.float64, device=values.device) * (intervals / rungs)
    below = where.long().clamp(max=intervals - 1)
    return torch.lerp(values[below], values[below + 1], (where - below).unsqueeze(1))
