"""The posterior of the readout given labels with Gaussian noise: its mean, exactly, is ridge regression."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from nishimori.models.activation_kernel import torch_function
from nishimori.models.addressed import Draws
from nishimori.theory.random_features import Features
from nishimori_kernels.rng.streams import Stream


def posterior_mean_errors(
    drawn: Sequence[Features], sample_ratio: float, noise_variance: float, draws: Draws
) -> NDArray[np.float64]:
    """E (f - y)^2 [instances] of the posterior mean over tau ~ N(0, 1/width), each from a data set of its own of
    sample_ratio * width rows, drawn apart from those of the descent; exact given the readout."""
    each = [replace(draws, instances=(instance,)) for instance in draws.instances]
    errors = [_error(*pair, sample_ratio, noise_variance) for pair in zip(drawn, each, strict=True)]
    return np.array(errors)


def _error(features: Features, draws: Draws, sample_ratio: float, noise_variance: float) -> float:
    width, dim = features.student.shape
    count, device = max(1, round(sample_ratio * width)), draws.device
    inputs = draws.rows(Stream.TEST_INPUTS, count, dim)[0] / math.sqrt(dim)
    phi = torch_function(features.activation, device)
    hidden = phi(inputs @ torch.tensor(features.student, device=device).mT) - features.mean
    labels = (phi(inputs @ torch.tensor(features.teacher, device=device).mT) - features.mean).sum(1)
    labels += math.sqrt(noise_variance) * draws.rows(Stream.TRAIN_NOISE, count, 1).flatten()
    ridge = width * noise_variance * torch.eye(width, dtype=torch.float64, device=device)
    readout = torch.linalg.solve(hidden.mT @ hidden + ridge, hidden.mT @ labels).cpu().numpy()
    among, across, of_teacher = features.moments
    return float(readout @ among @ readout - 2 * readout @ across + of_teacher)
