"""The posterior of the readout given labels with Gaussian noise: its mean, exactly, is ridge regression."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from nishimori.models.activation_kernel import torch_function
from nishimori.theory.random_features import Features
from nishimori_kernels.rng import Stream, fill_normals, random_key


def posterior_mean_errors(
    drawn: Sequence[Features],
    sample_ratio: float,
    noise_variance: float,
    address: tuple[int, str, Sequence[int]],
    device: torch.device,
) -> NDArray[np.float64]:
    """E (f - y)^2 [instances] of the posterior mean over tau ~ N(0, 1/width), each from a data set of its own of
    sample_ratio * width rows, drawn apart from those of the descent; exact given the readout."""
    errors = [
        _error(features, sample_ratio, noise_variance, (*address[:2], instance), device)
        for features, instance in zip(drawn, address[2], strict=True)
    ]
    return np.array(errors)


def _error(
    features: Features, sample_ratio: float, noise_variance: float, address: tuple[int, str, int], device: torch.device
) -> float:
    width, dim = features.student.shape
    count = max(1, round(sample_ratio * width))
    inputs = _normals(Stream.TEST_INPUTS, count * dim, address, device).view(count, dim) / math.sqrt(dim)
    phi = torch_function(features.activation, device)
    hidden = phi(inputs @ torch.tensor(features.student, device=device).mT) - features.mean
    labels = (phi(inputs @ torch.tensor(features.teacher, device=device).mT) - features.mean).sum(1)
    labels += math.sqrt(noise_variance) * _normals(Stream.TRAIN_NOISE, count, address, device)
    ridge = width * noise_variance * torch.eye(width, dtype=torch.float64, device=device)
    readout = torch.linalg.solve(hidden.mT @ hidden + ridge, hidden.mT @ labels).cpu().numpy()
    among, across, of_teacher = features.moments
    return float(readout @ among @ readout - 2 * readout @ across + of_teacher)


def _normals(stream: Stream, count: int, address: tuple[int, str, int], device: torch.device) -> torch.Tensor:
    seed, point, instance = address
    out = torch.empty(1, 1, count, dtype=torch.float64, device=device)
    return fill_normals(out, random_key(seed, point), stream, 0, (instance,), (0,)).flatten()
