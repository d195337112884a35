"""Stochastic gradient descent of the readout, a fresh input a step; all instances of a point move at once."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nishimori.models.activation_kernel import torch_function
from nishimori.theory.random_features import Features
from nishimori_kernels.rng import Stream, fill_normals, random_key

if TYPE_CHECKING:
    from nishimori.chains.progress import Progress
    from nishimori.description.activations import Activation

Array = NDArray[np.float64]
NUMBERS = 1 << 25
"""In the largest array of a chunk of steps, whose features are computed together."""


def rows_drawn(
    count: int, dim: int, stream: Stream, seed: int, point: str, instances: Sequence[int], device: torch.device
) -> Tensor:
    """[instances, count, dim] of length sqrt(dim), in random directions; float64."""
    out = torch.empty(len(instances), 1, count * dim, dtype=torch.float64, device=device)
    drawn = fill_normals(out, random_key(seed, point), stream, 0, instances, (0,)).view(len(instances), count, dim)
    return drawn * (math.sqrt(dim) / drawn.norm(dim=2, keepdim=True))


def features_drawn(
    activation: "Activation", dim: int, width: int, units: int, seed: int, point: str, instances: Sequence[int]
) -> list[Features]:
    """One an instance; the teacher's readouts are 1."""
    cpu = torch.device("cpu")
    student = rows_drawn(width, dim, Stream.FEATURES, seed, point, instances, cpu).numpy()
    teacher = rows_drawn(units, dim, Stream.TEACHER, seed, point, instances, cpu).numpy()
    return [Features(activation, *rows, np.ones(units)) for rows in zip(student, teacher, strict=True)]


def descend(
    drawn: Sequence[Features],
    learning_rate: float,
    times: Sequence[float],
    address: tuple[int, str, Sequence[int]],
    device: torch.device,
    progress: "Progress",
) -> Array:
    """Error [instances, times] from readout 0 on, exact given the readout; `address` is seed, point and instances of
    the inputs, element = step * dim + column."""
    student = torch.tensor(np.stack([one.student for one in drawn]), device=device)
    teacher = torch.tensor(np.stack([one.teacher for one in drawn]), device=device)
    dim, mean = student.shape[2], drawn[0].mean
    phi = torch_function(drawn[0].activation, device)
    moments = [torch.tensor(np.stack([one.moments[part] for one in drawn]), device=device) for part in range(3)]
    readout = torch.zeros(student.shape[:2], dtype=torch.float64, device=device)
    ends = [max(1, round(time * dim)) for time in times]
    found, step = [], 0
    for end in ends:
        while step < end:
            count = min(end - step, max(1, NUMBERS // (len(drawn) * max(student.shape[1:]))))
            inputs = _inputs(step, count, dim, address, device)
            hidden = phi(inputs @ student.mT / math.sqrt(dim)) - mean
            labels = (phi(inputs @ teacher.mT / math.sqrt(dim)) - mean).sum(2)
            for row in range(count):
                seen = hidden[:, row]
                missed = labels[:, row] - (readout * seen).sum(1)
                readout += learning_rate / dim * missed[:, None] * seen
            step += count
            progress("descent", step, ends[-1], math.nan)
        found.append(_error(readout, *moments))
    return torch.stack(found, dim=1).cpu().numpy()


def _inputs(step: int, count: int, dim: int, address: tuple[int, str, Sequence[int]], device: torch.device) -> Tensor:
    """[instances, count, dim], those of the steps from `step` on."""
    seed, point, instances = address
    out = torch.empty(len(instances), 1, count * dim, dtype=torch.float64, device=device)
    key = random_key(seed, point)
    return fill_normals(out, key, Stream.TRAIN_INPUTS, 0, instances, (0,), first_element=step * dim).view(
        len(instances), count, dim
    )


def _error(readout: Tensor, among: Tensor, across: Tensor, of_teacher: Tensor) -> Tensor:
    """[instances]."""
    quadratic = torch.einsum("ia,iab,ib->i", readout, among, readout)
    return 0.5 * (quadratic - 2 * (readout * across).sum(1) + of_teacher)
