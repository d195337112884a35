"""Channels: the law of a label given the latent output of the network.

Every channel says log p(label | latent), elementwise and in nats, and its first and second derivative in the latent
output. `labels` and `latent` broadcast against each other; nothing is summed.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from nishimori.description.output_functions import OutputFunction, output_function

Array = NDArray[np.float64]

# Below, the ratio of normal density to distribution function loses more digits than four terms of its series.
_FAR_TAIL = -100.0
_SQUARE = "give the square of the noise's standard deviation"
_SCALE = "give the output at which the odds of a label are e to 1"


@dataclass(frozen=True)
class GaussianChannel:
    """y = F + sqrt(noise_variance) z with z ~ N(0, 1); arXiv 2505.03577, eqs. 1-5 with f the identity.

    `noise_variance` is a variance, Delta in the formulas. Raises ValueError unless it is finite and above 0.
    """

    noise_variance: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "noise_variance", _positive_variance(self.noise_variance))

    def log_likelihood(self, labels: ArrayLike, latent: ArrayLike) -> Array:
        """log p(label | latent) = -log(2 pi Delta)/2 - (label - latent)^2 / (2 Delta), elementwise, in nats.

        `labels` and `latent` broadcast against each other; nothing is summed.
        """
        residual = _floats(labels) - _floats(latent)
        return -0.5 * (math.log(2 * math.pi * self.noise_variance) + residual**2 / self.noise_variance)

    def derivative(self, labels: ArrayLike, latent: ArrayLike) -> Array:
        """d/dlatent of log_likelihood: (label - latent) / Delta."""
        return (_floats(labels) - _floats(latent)) / self.noise_variance

    def second_derivative(self, labels: ArrayLike, latent: ArrayLike) -> Array:
        """d^2/dlatent^2 of log_likelihood: -1 / Delta."""
        return np.full(np.broadcast_shapes(np.shape(labels), np.shape(latent)), -1 / self.noise_variance)


@dataclass(frozen=True)
class ProbitChannel:
    """y = sign(F + sqrt(noise_variance) z) with z ~ N(0, 1): classes -1 and 1, the noise inside (arXiv 2302.00375).

        p(y | F) = Phi(t),   t = y F / sqrt(Delta),   Phi the normal distribution function

    `noise_variance` is a variance, Delta in the formulas; 0 is a noiseless teacher. Raises ValueError unless it is
    finite and at least 0, and where a label is neither -1 nor 1.
    """

    noise_variance: float

    def __post_init__(self) -> None:
        zero = not isinstance(self.noise_variance, (bool, str)) and self.noise_variance == 0
        object.__setattr__(
            self, "noise_variance", 0.0 if zero else _positive_variance(self.noise_variance, "0 (no noise) or a")
        )

    def log_likelihood(self, labels: ArrayLike, latent: ArrayLike) -> Array:
        """log Phi(t), elementwise, in nats; without noise 0 on the right side, -infinity on the wrong one."""
        margin = _classes(labels) * _floats(latent)
        if self.noise_variance == 0:
            return np.where(margin > 0, 0.0, np.where(margin < 0, -math.inf, -math.log(2)))
        return np.asarray(special.log_ndtr(margin / math.sqrt(self.noise_variance)))

    def derivative(self, labels: ArrayLike, latent: ArrayLike) -> Array:
        """d/dlatent of log_likelihood: y lambda(t) / sqrt(Delta), lambda the density over the distribution function.

        Raises ValueError without noise, where there is no derivative.
        """
        deviation = self._deviation()
        sides = _classes(labels)
        return sides * _inverse_mills(sides * _floats(latent) / deviation) / deviation

    def second_derivative(self, labels: ArrayLike, latent: ArrayLike) -> Array:
        """d^2/dlatent^2 of log_likelihood: -lambda(t) (lambda(t) + t) / Delta, between -1/Delta and 0.

        Raises ValueError without noise, where there is no derivative.
        """
        deviation = self._deviation()
        margin = _classes(labels) * _floats(latent) / deviation
        inverse_square = 1 / np.minimum(margin, _FAR_TAIL) ** 2
        tail = 1 - inverse_square * (1 - inverse_square * (6 - 50 * inverse_square))
        near = np.maximum(margin, _FAR_TAIL)
        ratio = _inverse_mills(near)
        return -np.where(margin < _FAR_TAIL, tail, ratio * (ratio + near)) / deviation**2

    def _deviation(self) -> float:
        if self.noise_variance == 0:
            raise ValueError("a probit likelihood without noise has no derivative: give a noise_variance above 0")
        return math.sqrt(self.noise_variance)


@dataclass(frozen=True)
class OutputChannel:
    """y = f(F) + sqrt(noise_variance) z with z ~ N(0, 1); arXiv 2505.03577, eqs. 1-5 without the auxiliary A.

    `function` is "identity", "tanh", "relu" or an OutputFunction and is kept as an OutputFunction. Raises ValueError
    when the name is unknown, or the variance, Delta in the formulas, is not finite and above 0.
    """

    function: OutputFunction
    noise_variance: float

    def __init__(self, function: str | OutputFunction, noise_variance: float) -> None:
        object.__setattr__(self, "function", output_function(function))
        object.__setattr__(self, "noise_variance", _positive_variance(noise_variance))

    def log_likelihood(self, labels: ArrayLike, latent: ArrayLike) -> Array:
        """log p(label | latent) = -log(2 pi Delta)/2 - (label - f(latent))^2 / (2 Delta), elementwise, in nats."""
        residual = _floats(labels) - self.function.function(_floats(latent))
        return -0.5 * (math.log(2 * math.pi * self.noise_variance) + residual**2 / self.noise_variance)

    def derivative(self, labels: ArrayLike, latent: ArrayLike) -> Array:
        """d/dlatent of log_likelihood: (label - f) f' / Delta."""
        values = _floats(latent)
        residual = _floats(labels) - self.function.function(values)
        return residual * self.function.derivative(values) / self.noise_variance

    def second_derivative(self, labels: ArrayLike, latent: ArrayLike) -> Array:
        """d^2/dlatent^2 of log_likelihood: [(label - f) f'' - f'^2] / Delta."""
        values = _floats(latent)
        residual = _floats(labels) - self.function.function(values)
        slope = self.function.derivative(values)
        return (residual * self.function.second_derivative(values) - slope**2) / self.noise_variance


@dataclass(frozen=True)
class LogisticChannel:
    """Classes -1 and 1 with p(y | F) = 1 / (1 + exp(-y F / temperature)): logistic regression on the output.

    The same as y = sign(F + temperature l) with l of the standard logistic law, so that `noise_variance`, the variance
    of the noise inside, is (pi temperature)^2 / 3. Raises ValueError unless the temperature is finite and above 0, and
    where a label is neither -1 nor 1.
    """

    temperature: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "temperature", _positive("temperature", self.temperature, "a finite number", _SCALE))

    @classmethod
    def of_noise_variance(cls, noise_variance: float) -> "LogisticChannel":
        """The channel whose noise inside has this variance."""
        return cls(math.sqrt(3 * _positive_variance(noise_variance)) / math.pi)

    @property
    def noise_variance(self) -> float:
        return (math.pi * self.temperature) ** 2 / 3

    def log_likelihood(self, labels: ArrayLike, latent: ArrayLike) -> Array:
        """-log(1 + exp(-t)), t = y F / temperature, elementwise, in nats."""
        return np.asarray(special.log_expit(self._margin(labels, latent)))

    def derivative(self, labels: ArrayLike, latent: ArrayLike) -> Array:
        """d/dlatent of log_likelihood: y / (1 + exp(t)) / temperature."""
        return _classes(labels) * special.expit(-self._margin(labels, latent)) / self.temperature

    def second_derivative(self, labels: ArrayLike, latent: ArrayLike) -> Array:
        """d^2/dlatent^2 of log_likelihood: -1 / (4 cosh(t / 2)^2) / temperature^2."""
        margin = self._margin(labels, latent)
        return -special.expit(margin) * special.expit(-margin) / self.temperature**2

    def _margin(self, labels: ArrayLike, latent: ArrayLike) -> Array:
        return _classes(labels) * _floats(latent) / self.temperature


Channel = GaussianChannel | ProbitChannel | LogisticChannel | OutputChannel
CLASSES = ProbitChannel | LogisticChannel
"""Channels whose labels are -1 and 1."""


def channel_named(kind: str, noise_variance: float) -> Channel:
    """The channel that experiment files and commands call `kind`; ValueError for an unknown one."""
    match kind:
        case "gaussian":
            return GaussianChannel(noise_variance)
        case "probit":
            return ProbitChannel(noise_variance)
        case "logistic":
            return LogisticChannel.of_noise_variance(noise_variance)
    return OutputChannel(kind, noise_variance)


def _inverse_mills(t: Array) -> Array:
    # erfcx keeps every digit in the far tail, where the logarithms of density and distribution cancel.
    return math.sqrt(2 / math.pi) / special.erfcx(-t / math.sqrt(2))


def _floats(values: ArrayLike) -> Array:
    return np.asarray(values, dtype=np.float64)


def _classes(labels: ArrayLike) -> Array:
    sides = _floats(labels)
    if np.any(np.abs(sides) != 1):
        raise ValueError("a label is neither -1 nor 1: give the sign of the class")
    return sides


def _positive_variance(value: object, allowed: str = "a") -> float:
    return _positive("noise_variance", value, f"{allowed} finite variance", _SQUARE)


def _positive(name: str, value: object, what: str, remedy: str) -> float:
    try:
        number = float(value)  # pyright: ignore[reportArgumentType]
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(value, (bool, str)) or not (math.isfinite(number) and number > 0):
        raise ValueError(f"{name} must be {what} greater than 0, got {value!r}: {remedy}")
    return number
