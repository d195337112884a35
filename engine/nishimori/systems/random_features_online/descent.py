"""Stochastic gradient descent of the readout, a fresh input a step; all instances of a point move at once, to
the bit as each would alone."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nishimori.models.activation_kernel import torch_function
from nishimori.models.addressed import Draws
from nishimori.theory.random_features import Features
from nishimori_kernels.batched_products import multiply
from nishimori_kernels.rng.streams import Stream

if TYPE_CHECKING:
    from nishimori.chains.progress import Progress
    from nishimori.description.activations import Activation

Array = NDArray[np.float64]
NUMBERS = 1 << 25
"""In the largest array of a chunk of steps, of all instances of a point."""


def features_drawn(activation: "Activation", dim: int, width: int, units: int, draws: Draws) -> list[Features]:
    """One an instance, with rows of length sqrt(dim) in random directions; the teacher's readouts are 1."""
    student, teacher = draws.rows(Stream.FEATURES, width, dim), draws.rows(Stream.TEACHER, units, dim)
    rows = [(drawn * (math.sqrt(dim) / drawn.norm(dim=2, keepdim=True))).cpu().numpy() for drawn in (student, teacher)]
    return [Features(activation, *pair, np.ones(units)) for pair in zip(rows[0], rows[1], strict=True)]


def chunk_of(instances: int, dim: int, width: int) -> int:
    """Steps, for a point of so many instances: the same for some of them, as products of other shapes are rounded
    otherwise."""
    return max(1, NUMBERS // (instances * max(dim, width)))


def descend(
    drawn: Sequence[Features],
    learning_rate: float,
    times: Sequence[float],
    draws: Draws,
    progress: "Progress",
    chunk: int = 1000,
) -> Array:
    """Error [instances, times] from readout 0 on, exact given the readout; the input of a step is a row of `draws`.
    Features of a `chunk` of steps are computed together."""
    device = draws.device
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
            count = min(end - step, chunk)
            inputs = draws.rows(Stream.TRAIN_INPUTS, count, dim, step)
            hidden = phi(multiply(inputs, student.mT) / math.sqrt(dim)) - mean
            labels = (phi(multiply(inputs, teacher.mT) / math.sqrt(dim)) - mean).sum(2)
            for row in range(count):
                seen = hidden[:, row]
                missed = labels[:, row] - (readout * seen).sum(1)
                readout += learning_rate / dim * missed[:, None] * seen
            step += count
            progress("descent", step, ends[-1], math.nan)
        found.append(_error(readout, *moments))
    return torch.stack(found, dim=1).cpu().numpy()


def _error(readout: Tensor, among: Tensor, across: Tensor, of_teacher: Tensor) -> Tensor:
    """[instances]."""
    quadratic = (multiply(readout[:, None], among).squeeze(1) * readout).sum(1)
    return 0.5 * (quadratic - 2 * (readout * across).sum(1) + of_teacher)
