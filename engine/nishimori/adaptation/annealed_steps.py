"""Step sizes along the path from prior to posterior, chosen by a pilot and then frozen.

The pilot's chains start at prior draws of their own and are annealed forwards over few rungs; at each, an instance's
log step size moves by the difference between the mean acceptance of its chains and the acceptance aimed at. It sees
the data and never the teacher: a step size that depended on the teacher would break the law of the chains that start
there (see `samplers.annealed_importance`).
"""

import math

import torch
from torch import Tensor

from nishimori.models.randomness import Randomness
from nishimori.models.target import Target
from nishimori.models.tempered import TemperedTarget
from nishimori.samplers.annealed_importance import (
    SAMPLER,
    Report,
    evaluate,
    ladder_of,
    transition_at,
)
from nishimori.samplers.base import CALIBRATION_STREAMS
from nishimori_kernels.rng.streams import Stream

RUNGS, CHAINS, TRANSITIONS = 60, 4, 2
"""Of the pilot: rungs, chains an instance, transitions a rung."""
GAIN = 0.7
LARGEST = 0.35
"""Five steps of it are a quarter of the prior's period, where a rotated draw is a new one."""
SMOOTHED = 9
"""Rungs that a running mean takes the logarithms over: what one rung says is mostly the noise of four chains."""


def pilot_step_sizes(target: Target, rungs: int, stiffness: float, seed: int, point: str, report: Report) -> Tensor:
    """Step sizes at every b_k of `ladder_of(rungs, stiffness)`, [rungs + 1, instances], float64, on the CPU."""
    randomness = Randomness.of(seed, point, target.instances, range(CHAINS))
    position = target.layout(CHAINS).empty(target.dtype, target.device)
    randomness.fill_normals(position, Stream.CALIBRATION_START, 0)
    log_step = torch.full((len(target.instances),), math.log(LARGEST), dtype=torch.float64, device="cpu")
    ladder, total, log_steps = ladder_of(RUNGS, stiffness), RUNGS * TRANSITIONS, [log_step]
    for transition in range(total):
        tempered = TemperedTarget(target, (ladder[transition // TRANSITIONS + 1],))
        given = tempered, evaluate(target, position), log_step.exp(), randomness, CALIBRATION_STREAMS
        moved, info = transition_at(*given, transition)
        acceptance = info.acceptance.mean(1).cpu()
        position = moved.position
        log_step = (log_step + GAIN * (acceptance - SAMPLER.target_acceptance)).clamp(max=math.log(LARGEST))
        if (transition + 1) % TRANSITIONS == 0:
            log_steps.append(log_step)
        report(transition + 1, total, float(acceptance.mean()))
    return interpolated(smoothed(torch.stack(log_steps)), rungs).exp()


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
