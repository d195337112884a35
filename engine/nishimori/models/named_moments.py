"""Moments of the inputs that an experiment file names, as theory takes them. Never imports torch."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from nishimori.description.activations import activation
from nishimori.description.config import InputsSection
from nishimori.description.input_moments import InputMoments, power_law, through_layers
from nishimori.description.inputs import Inputs, covariance_in, latent_dim
from nishimori.models.random_layers import random_isometry, random_layers

Array = NDArray[np.float64]


@lru_cache(maxsize=4)
def moments_named(inputs: Inputs, input_dim: int) -> InputMoments:
    """Of inputs with their defaults said; for random layers, those of their Gaussian equivalent (arXiv 2006.14709).

    Raises BadInput for a covariance file that cannot be used.
    """
    if not isinstance(inputs, InputsSection):
        return InputMoments.of_latent(input_dim)
    width, seed = latent_dim(inputs, input_dim), inputs.seed or 0
    match inputs.kind:
        case "power_law":
            return InputMoments.independent(power_law(input_dim, inputs.exponent or 0.0))
        case "covariance":
            return InputMoments.gaussian(covariance_in(inputs.file or "", input_dim))
        case "correlated":
            shared = inputs.directions == "shared"
            isometry = np.eye(input_dim, width) if shared else random_isometry(input_dim, width, seed)
            whole = InputMoments.independent(power_law(input_dim, inputs.exponent or 0.0))
            return InputMoments(whole.mean, whole.covariance, (inputs.correlation or 1.0) * whole.cross @ isometry)
        case _:
            layers = random_layers(width, input_dim, inputs.depth or 1, seed)
            return through_layers(layers, activation(inputs.activation or "sign"))


def spectrum_named(inputs: Inputs, input_dim: int) -> Array | None:
    """Eigenvalues [input_dim] of the covariance, none negative; None for independent inputs."""
    if not isinstance(inputs, InputsSection):
        return None
    return np.linalg.eigvalsh(moments_named(inputs, input_dim).covariance).clip(0)
