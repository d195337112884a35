"""The generator that an experiment file names."""

from collections.abc import Callable

from nishimori.description.activations import activation
from nishimori.description.config import InputsSection
from nishimori.description.errors import BadInput
from nishimori.description.inputs import Inputs, is_gaussian, latent_dim
from nishimori.models.inputs import GaussianInputs, HiddenManifoldInputs, IndependentInputs, InputGenerator
from nishimori.models.named_moments import moments_named


def generator_of(inputs: Inputs, input_dim: int, own: Callable[[int], InputGenerator] | None = None) -> InputGenerator:
    """Of inputs with their defaults said; the Gaussian equivalent where that is asked for. An `own` generator, of an
    input dimension, replaces them.

    Raises BadInput where that one makes another number of inputs, and where there is no Gaussian equivalent.
    """
    if own is not None:
        return _required(own(input_dim), input_dim)
    if not isinstance(inputs, InputsSection) or inputs.kind == "power_law":
        return IndependentInputs(moments_named(inputs, input_dim).covariance.diagonal())
    if is_gaussian(inputs):
        return _with_moments_of(inputs, input_dim)
    layers = activation(inputs.activation or "sign"), inputs.depth or 1, inputs.seed or 0
    return HiddenManifoldInputs(input_dim, latent_dim(inputs, input_dim), *layers)


def _with_moments_of(inputs: InputsSection, input_dim: int) -> GaussianInputs:
    try:
        return GaussianInputs(moments_named(inputs, input_dim))
    except ValueError:
        raise BadInput(
            f"so few inputs ({input_dim}) of random layers have no Gaussian equivalent: one direction would have a "
            "negative variance; raise input_dim or inputs.latent_ratio, or lower inputs.depth"
        ) from None


def _required(generator: InputGenerator, input_dim: int) -> InputGenerator:
    found = generator.input_dim
    if found != input_dim:
        raise BadInput(f"network.input_dim = {input_dim}, but the generator makes {found} inputs; give that")
    return generator
