"""Matrices of random generators of inputs, by their addresses. Never imports torch."""

import numpy as np
from numpy.typing import NDArray

from nishimori_kernels.rng import reference
from nishimori_kernels.rng.keys import random_key
from nishimori_kernels.rng.streams import Stream

Array = NDArray[np.float64]


def random_layers(latent_dim: int, input_dim: int, depth: int, seed: int) -> list[Array]:
    """[input_dim, latent_dim], and [input_dim, input_dim] for the layers after the first: rows of length 1 in random
    directions."""
    widths = [latent_dim, *[input_dim] * depth]
    layers = [_normals(layer, input_dim, width, seed) for layer, width in enumerate(widths[:-1])]
    return [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in layers]


def random_isometry(rows: int, columns: int, seed: int) -> Array:
    """[rows, columns] in a random direction: orthonormal columns, or rows where these are fewer."""
    tall = np.linalg.qr(_normals(0, max(rows, columns), min(rows, columns), seed))[0]
    return tall if rows >= columns else tall.T


def _normals(layer: int, rows: int, columns: int, seed: int) -> Array:
    drawn = reference.normals(random_key(seed, "inputs"), Stream.GENERATOR, layer, (0,), (0,), rows * columns)
    return drawn.reshape(rows, columns)
