"""The generator that an experiment file names."""

import numpy as np

from nishimori.description.activations import activation
from nishimori.description.config import InputsSection
from nishimori.description.input_moments import power_law
from nishimori.description.inputs import Inputs, covariance_in, latent_dim
from nishimori.models.inputs import GaussianInputs, HiddenManifoldInputs, IndependentInputs, InputGenerator


def generator_of(inputs: Inputs, input_dim: int) -> InputGenerator:
    """Of inputs with their defaults said; the Gaussian equivalent where that is asked for."""
    if not isinstance(inputs, InputsSection):
        return IndependentInputs(np.ones(input_dim))
    found = _generator(inputs, input_dim)
    return GaussianInputs(found.moments) if inputs.equivalent else found


def _generator(inputs: InputsSection, input_dim: int) -> InputGenerator:
    match inputs.kind:
        case "power_law":
            return IndependentInputs(power_law(input_dim, inputs.exponent or 0.0))
        case "covariance":
            return GaussianInputs(covariance_in(inputs.file or "", input_dim))
        case _:
            layers = activation(inputs.activation or "sign"), inputs.depth or 1, inputs.seed or 0
            return HiddenManifoldInputs(input_dim, latent_dim(inputs, input_dim), *layers)
