"""Eigenvalues of the covariance of inputs that an experiment names, as theory takes them. Never imports torch."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from nishimori.description.activations import activation
from nishimori.description.config import InputsSection
from nishimori.description.input_moments import power_law, through_layers
from nishimori.description.inputs import Inputs, covariance_in, latent_dim
from nishimori_kernels.rng import reference
from nishimori_kernels.rng.keys import random_key
from nishimori_kernels.rng.streams import Stream

Array = NDArray[np.float64]


def input_spectrum(inputs: Inputs, input_dim: int) -> Array | None:
    """[input_dim], none negative; None for independent inputs. Of random layers, those of the Gaussian equivalent of
    the very layers that `models.inputs.HiddenManifoldInputs` has (arXiv 2006.14709).

    Raises BadInput for a covariance file that cannot be used.
    """
    if not isinstance(inputs, InputsSection):
        return None
    if inputs.kind == "power_law":
        return power_law(input_dim, inputs.exponent or 0.0)
    if inputs.kind == "covariance":
        return np.linalg.eigvalsh(covariance_in(inputs.file or "", input_dim)).clip(0)
    sizes = latent_dim(inputs, input_dim), input_dim, inputs.depth or 1, inputs.seed or 0
    return _of_layers(inputs.activation or "sign", *sizes)


@lru_cache(maxsize=16)
def _of_layers(name: str, latent: int, input_dim: int, depth: int, seed: int) -> Array:
    layers = [_rows(layer, input_dim, input_dim if layer else latent, seed) for layer in range(depth)]
    return np.linalg.eigvalsh(through_layers(layers, activation(name)).covariance).clip(0)


def _rows(layer: int, count: int, dim: int, seed: int) -> Array:
    """[count, dim] of length 1, by the definition of the draws."""
    drawn = reference.normals(random_key(seed, "inputs"), Stream.GENERATOR, layer, (0,), (0,), count * dim)
    rows = drawn.reshape(count, dim)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
