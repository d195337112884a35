"""Eigenvalues of the covariance of inputs that an experiment names, as theory takes them: those of a typical draw."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from nishimori.description.activations import activation
from nishimori.description.config import InputsSection
from nishimori.description.input_moments import power_law, through_layers
from nishimori.description.inputs import Inputs, covariance_in, latent_dim

Array = NDArray[np.float64]
ROWS = 2000
"""Eigenvalues that are averaged over, of several draws where one has fewer: sums over them then fluctuate by 1/ROWS."""


def input_spectrum(inputs: Inputs, input_dim: int) -> Array | None:
    """[input_dim], in ascending order; None for independent inputs. Of random layers, means over draws of the same size
    (arXiv 2006.14709's Gaussian equivalent), whose weights are not those of the run.

    Raises BadInput for a covariance file that cannot be used.
    """
    if not isinstance(inputs, InputsSection):
        return None
    if inputs.kind == "power_law":
        return power_law(input_dim, inputs.exponent or 0.0)[::-1]
    if inputs.kind == "covariance":
        return np.linalg.eigvalsh(covariance_in(inputs.file or "", input_dim)).clip(0)
    return _typical(inputs.activation or "sign", latent_dim(inputs, input_dim), input_dim, inputs.depth or 1)


@lru_cache(maxsize=16)
def _typical(name: str, latent: int, input_dim: int, depth: int) -> Array:
    generator, found = np.random.default_rng(0), []
    for _ in range(max(1, ROWS // input_dim)):
        layers = [generator.standard_normal((input_dim, width)) for width in [latent, *[input_dim] * (depth - 1)]]
        layers = [layer / np.linalg.norm(layer, axis=1, keepdims=True) for layer in layers]
        found.append(np.linalg.eigvalsh(through_layers(layers, activation(name)).covariance))
    return np.mean(found, axis=0).clip(0)
