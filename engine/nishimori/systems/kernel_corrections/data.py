"""The one data set of an experiment: of its seed alone, so that all widths, depths and activations share it."""

import math

import numpy as np
import torch
from numpy.typing import NDArray

from nishimori.models.addressed import Draws
from nishimori_kernels.rng import Stream, random_key

Array = NDArray[np.float64]


def normals(count: int, stream: Stream, key: int) -> Array:
    """[count] of instance and chain 0."""
    return Draws(key, (0,), torch.device("cpu")).rows(stream, count, 1).flatten().numpy()


def data_set(samples: int, dim: int, signal_variance: float, noise_variance: float, seed: int) -> tuple[Array, Array]:
    """Inputs x ~ N(0, 1) [samples, dim], and labels sqrt(signal_variance / dim) v.x + noise [samples], v ~ N(0, 1)."""
    key = random_key(seed, "")
    inputs = normals(samples * dim, Stream.TRAIN_INPUTS, key).reshape(samples, dim)
    signal = inputs @ normals(dim, Stream.TEACHER, key) * math.sqrt(signal_variance / dim)
    return inputs, signal + math.sqrt(noise_variance) * normals(samples, Stream.TRAIN_NOISE, key)
