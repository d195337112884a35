"""Channels on tensors: what a posterior and its observables need of the law of a label given the latent output.

`nishimori.description.channels` is the definition, in numpy. Here labels [instances, 1, samples] and latent outputs F
[instances, chains, samples] are tensors of the dtype of positions, on their device; logarithms are float64.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from nishimori.description import (
    OUTPUT_FUNCTIONS,
    Channel,
    GaussianChannel,
    LogisticChannel,
    OutputChannel,
    OutputFunction,
    ProbitChannel,
)
from nishimori.models.activation_kernel import require_elementwise
from nishimori_kernels.energy.activations import through_numpy

Elementwise = Callable[[Tensor], Tensor]

_ROOT_TWO = math.sqrt(2)


class LabelLaw(Protocol):
    """`classes`: whether labels are -1 and 1."""

    classes: bool

    def log_likelihood(self, labels: Tensor, latent: Tensor) -> Tensor:
        """log p(label | F), elementwise, in nats, float64."""
        ...

    def slope(self, labels: Tensor, latent: Tensor) -> Tensor:
        """d/dF of -log p(label | F), elementwise, in the dtype of F."""
        ...

    def mean(self, latent: Tensor) -> Tensor:
        """E[label | F], elementwise."""
        ...

    def variance(self, latent: Tensor) -> Tensor:
        """Var[label | F], elementwise."""
        ...

    def draw(self, latent: Tensor, noise: Tensor) -> Tensor:
        """Labels, one an element, from standard normals `noise`."""
        ...


@dataclass(frozen=True)
class OutputLaw:
    """y = f(F) + sqrt(noise_variance) z; f is the identity for the Gaussian channel."""

    function: Elementwise
    derivative: Elementwise
    noise_variance: float
    classes = False

    def log_likelihood(self, labels: Tensor, latent: Tensor) -> Tensor:
        squares = (labels - self.function(latent)).double().square() / self.noise_variance
        return -0.5 * (math.log(2 * math.pi * self.noise_variance) + squares)

    def slope(self, labels: Tensor, latent: Tensor) -> Tensor:
        return (self.function(latent) - labels) * self.derivative(latent) / self.noise_variance

    def mean(self, latent: Tensor) -> Tensor:
        return self.function(latent)

    def variance(self, latent: Tensor) -> Tensor:
        return torch.full_like(latent, self.noise_variance)

    def draw(self, latent: Tensor, noise: Tensor) -> Tensor:
        return self.function(latent) + math.sqrt(self.noise_variance) * noise


@dataclass(frozen=True)
class ProbitLaw:
    """y = sign(F + sqrt(noise_variance) z): p(y | F) = Phi(y F / sqrt(noise_variance))."""

    noise_variance: float
    classes = True

    @property
    def _deviation(self) -> float:
        return math.sqrt(self.noise_variance)

    def log_likelihood(self, labels: Tensor, latent: Tensor) -> Tensor:
        return torch.special.log_ndtr((labels * latent).double() / self._deviation)

    def slope(self, labels: Tensor, latent: Tensor) -> Tensor:
        # Density over distribution function: erfcx neither underflows on the wrong side nor cancels there.
        scaled = torch.special.erfcx(labels * latent / (-_ROOT_TWO * self._deviation))
        return -labels * (math.sqrt(2 / math.pi) / self._deviation) / scaled

    def mean(self, latent: Tensor) -> Tensor:
        return torch.special.erf(latent / (_ROOT_TWO * self._deviation))

    def variance(self, latent: Tensor) -> Tensor:
        return 1 - self.mean(latent).square()

    def draw(self, latent: Tensor, noise: Tensor) -> Tensor:
        return _side(latent + self._deviation * noise)


@dataclass(frozen=True)
class LogisticLaw:
    """p(y | F) = 1 / (1 + exp(-y F / temperature))."""

    temperature: float
    classes = True

    def log_likelihood(self, labels: Tensor, latent: Tensor) -> Tensor:
        return torch.nn.functional.logsigmoid((labels * latent).double() / self.temperature)

    def slope(self, labels: Tensor, latent: Tensor) -> Tensor:
        # Not torch.sigmoid, which rounds a number by its place in memory.
        return -labels / (1 + torch.exp(labels * latent / self.temperature)) / self.temperature

    def mean(self, latent: Tensor) -> Tensor:
        return torch.tanh(latent / (2 * self.temperature))

    def variance(self, latent: Tensor) -> Tensor:
        return 1 - self.mean(latent).square()

    def draw(self, latent: Tensor, noise: Tensor) -> Tensor:
        # The quantile of the logistic law that the normal is of its own.
        logistic = torch.special.log_ndtr(noise) - torch.special.log_ndtr(-noise)
        return _side(latent + self.temperature * logistic)


def _side(values: Tensor) -> Tensor:
    return torch.where(values < 0, -torch.ones_like(values), torch.ones_like(values))


def label_law(channel: Channel, device: torch.device) -> LabelLaw:
    """The law of a channel on a device.

    Raises ValueError for a channel that cannot be sampled there: a probit one without noise, or a function of one's own
    without torch functions off the CPU.
    """
    match channel:
        case GaussianChannel():
            return OutputLaw(lambda latent: latent, torch.ones_like, channel.noise_variance)
        case ProbitChannel(noise_variance=0):
            raise ValueError(
                "a probit channel without noise has a theory and no gradient to sample by: give a noise_variance above "
                "0"
            )
        case ProbitChannel():
            return ProbitLaw(channel.noise_variance)
        case LogisticChannel():
            return LogisticLaw(channel.temperature)
        case OutputChannel():
            return OutputLaw(*_functions(channel.function, device), channel.noise_variance)
    raise ValueError(
        f"labels of {channel!r} cannot be sampled: use GaussianChannel, ProbitChannel, LogisticChannel or OutputChannel"
    )


def require_labels(channel: Channel, labels: Tensor) -> None:
    """ValueError where the channel's labels are -1 and 1 and these are not."""
    if label_law(channel, labels.device).classes and not bool((labels.abs() == 1).all()):
        raise ValueError("labels must be -1 or 1 for a channel of classes: give the sign of the class")


def _squared_secant(values: Tensor) -> Tensor:
    """1 / cosh^2, by exponentials: torch.cosh rounds a number by its place in memory."""
    small = torch.exp(-2 * values.abs())
    return 4 * small / (1 + small).square()


_TORCH: dict[str, tuple[Elementwise, Elementwise]] = {
    "identity": (lambda latent: latent, torch.ones_like),
    "tanh": (torch.tanh, _squared_secant),
    "relu": (torch.relu, lambda latent: (latent > 0).to(latent.dtype)),
}


def _functions(function: OutputFunction, device: torch.device) -> tuple[Elementwise, Elementwise]:
    if OUTPUT_FUNCTIONS.get(function.name) == function:
        return _TORCH[function.name]
    pairs = {
        "function": (function.function, function.torch_function),
        "derivative": (function.derivative, function.torch_derivative),
    }
    require_elementwise(f"output function {function.name!r}", pairs)
    if function.torch_function is not None and function.torch_derivative is not None:
        return function.torch_function, function.torch_derivative
    if device.type != "cpu":
        raise ValueError(
            f"output function {function.name!r} has numpy functions alone and cannot run on {device.type}: give its "
            "torch_function and torch_derivative, or use device 'cpu'"
        )
    return through_numpy(function.function), through_numpy(function.derivative)
