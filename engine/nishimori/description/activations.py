"""Activations and the two Gaussian averages the theory needs of them.

For a pre-activation of variance s (a variance, not a standard deviation) and Z ~ N(0, 1):

    second_moment(s)   = E phi(sqrt(s) Z)^2
    mean_derivative(s) = E phi'(sqrt(s) Z) = E[Z phi(sqrt(s) Z)] / sqrt(s)      (Stein)

These are sigma_l and rho_l of arXiv 2505.03577, Theorem 1. The registered closed forms are the arcsine law
for erf and the characteristic function of a Gaussian for sin; every other average is adaptive quadrature.
"""

import difflib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from nishimori.description.nonlinear_part import tanh2_nonlinear, tanh2_nonlinear_derivative
from nishimori.description.quadrature import gaussian_average

Array = NDArray[np.float64]
Elementwise = Callable[[Array], Array]
TensorFunction = Callable[[Any], Any]
"""From a torch tensor to a torch tensor; this layer does not know torch."""

_DERIVATIVE_TOLERANCE = 1e-8
_PROBES = np.array([0.1, 0.7, 1.9, 3.3])


@dataclass(frozen=True)
class Activation:
    """An elementwise nonlinearity phi with its derivative and its Gaussian averages.

    `function` and `derivative` map a float64 array to a new one of the same shape. Declare `odd=True` when
    phi(-x) = -phi(x): the theory of deep networks is proved for odd activations only. `smooth` says that phi
    is twice differentiable, `samplable` that a sampler may use it. The two formulas, functions of the
    variance, replace quadrature where a closed form is known. `torch_function` and `torch_derivative` map a
    tensor to a new one of its dtype and device: without them an activation of one's own is sampled through
    the numpy functions, in float64 and on the CPU alone.

    Raises ValueError when `odd` is declared of a function that is not, and when one torch function comes
    without the other.
    """

    function: Elementwise = field(repr=False)
    derivative: Elementwise = field(repr=False)
    name: str = "custom"
    odd: bool = False
    smooth: bool = True
    samplable: bool = True
    second_moment_formula: Callable[[float], float] | None = field(default=None, repr=False)
    mean_derivative_formula: Callable[[float], float] | None = field(default=None, repr=False)
    torch_function: TensorFunction | None = field(default=None, repr=False)
    torch_derivative: TensorFunction | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if (self.torch_function is None) != (self.torch_derivative is None):
            raise ValueError(
                f"activation {self.name!r} has one of torch_function and torch_derivative: give both or neither"
            )
        if self.odd and not _is_odd(self.function):
            raise ValueError(
                f"activation {self.name!r} is declared odd but function(-x) differs from -function(x): "
                "declare odd=False or correct the function"
            )

    def second_moment(self, variance: float) -> float:
        """E phi(sqrt(variance) Z)^2 (arXiv 2505.03577, Theorem 1), to 1e-12 relative.

        Raises ValueError when `variance` is negative or not finite, or the average does not exist.
        """
        _require_variance(variance)
        if self.second_moment_formula is not None:
            return self.second_moment_formula(variance)
        return self._average(lambda z: self.function(math.sqrt(variance) * z) ** 2, variance)

    def mean_derivative(self, variance: float) -> float:
        """E phi'(sqrt(variance) Z) (arXiv 2505.03577, Theorem 1), to 1e-12 of the average of |phi'|.

        Raises ValueError as `second_moment` does, and when `derivative` breaks Stein's identity
        E[Z phi(sqrt(s) Z)] = sqrt(s) E phi'(sqrt(s) Z), that is, when it is not the derivative of `function`.
        """
        _require_variance(variance)
        if self.mean_derivative_formula is not None:
            return self.mean_derivative_formula(variance)
        deviation = math.sqrt(variance)
        average = self._average(lambda z: self.derivative(deviation * z), variance)
        stein = self._average(lambda z: z * self.function(deviation * z), variance)
        scale = math.sqrt(self.second_moment(variance)) + deviation * abs(average)
        if abs(stein - deviation * average) > _DERIVATIVE_TOLERANCE * scale:
            raise ValueError(
                f"the derivative of activation {self.name!r} is not the derivative of its function (Stein's "
                f"identity fails at variance {variance:g}): correct it, or pass mean_derivative_formula "
                "if the function jumps"
            )
        return average

    def _average(self, integrand: Elementwise, variance: float) -> float:
        try:
            return gaussian_average(integrand)
        except ArithmeticError as error:
            raise ValueError(
                f"a Gaussian average of activation {self.name!r} at variance {variance:g} {error}: "
                "use an activation with bounded derivatives, or pass its closed forms"
            ) from error


def activation(name: str) -> Activation:
    """The registered activation called `name`; raises ValueError, with the nearest name, if there is none."""
    if name in ACTIVATIONS:
        return ACTIVATIONS[name]
    close = difflib.get_close_matches(str(name).lower(), ACTIVATIONS, n=1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    raise ValueError(
        f"activation {name!r} is unknown{hint}: choose one of {', '.join(ACTIVATIONS)}, "
        "or build an Activation(function, derivative)"
    )


def _require_variance(variance: float) -> None:
    if not (math.isfinite(variance) and variance >= 0):
        raise ValueError(f"variance must be finite and at least 0, got {variance}: pass a variance")


def _is_odd(function: Elementwise) -> bool:
    return bool(np.allclose(function(-_PROBES), -function(_PROBES), rtol=1e-12, atol=1e-12))


def _identity(x: Array) -> Array:
    return np.asarray(x, dtype=np.float64)


def _identity_derivative(x: Array) -> Array:
    return np.ones_like(x, dtype=np.float64)


def _identity_second_moment(variance: float) -> float:
    return float(variance)


def _identity_mean_derivative(variance: float) -> float:
    del variance
    return 1.0


def _tanh(x: Array) -> Array:
    return np.tanh(x)


def _tanh_derivative(x: Array) -> Array:
    return 1.0 - np.tanh(x) ** 2


def _tanh2(x: Array) -> Array:
    return np.tanh(2.0 * x)


def _tanh2_derivative(x: Array) -> Array:
    return 2.0 * (1.0 - np.tanh(2.0 * x) ** 2)


def _erf(x: Array) -> Array:
    return special.erf(x)


def _erf_derivative(x: Array) -> Array:
    return 2.0 / math.sqrt(math.pi) * np.exp(-(x**2))


def _erf_second_moment(variance: float) -> float:
    # atan(2s / sqrt(1 + 4s)) is asin(2s / (1 + 2s)) without the square-root singularity at large s.
    return 2.0 / math.pi * math.atan(2.0 * variance / math.sqrt(1.0 + 4.0 * variance))


def _erf_mean_derivative(variance: float) -> float:
    return 2.0 / math.sqrt(math.pi * (1.0 + 2.0 * variance))


def _erf_sqrt2(x: Array) -> Array:
    return special.erf(x / math.sqrt(2.0))


def _erf_sqrt2_derivative(x: Array) -> Array:
    return math.sqrt(2.0 / math.pi) * np.exp(-0.5 * x**2)


def _erf_sqrt2_second_moment(variance: float) -> float:
    return _erf_second_moment(0.5 * variance)


def _erf_sqrt2_mean_derivative(variance: float) -> float:
    return math.sqrt(2.0 / (math.pi * (1.0 + variance)))


def _sin(x: Array) -> Array:
    return np.sin(x)


def _sin_derivative(x: Array) -> Array:
    return np.cos(x)


def _sin_second_moment(variance: float) -> float:
    return -0.5 * math.expm1(-2.0 * variance)


def _sin_mean_derivative(variance: float) -> float:
    return math.exp(-0.5 * variance)


def _relu(x: Array) -> Array:
    return np.maximum(x, 0.0)


def _relu_derivative(x: Array) -> Array:
    return np.where(np.asarray(x) > 0, 1.0, 0.0)


def _relu_second_moment(variance: float) -> float:
    return 0.5 * variance


def _relu_mean_derivative(variance: float) -> float:
    del variance
    return 0.5


def _sign(x: Array) -> Array:
    return np.sign(x)


def _sign_derivative(x: Array) -> Array:
    return np.zeros_like(x, dtype=np.float64)


def _sign_second_moment(variance: float) -> float:
    return 1.0 if variance > 0 else 0.0


def _sign_mean_derivative(variance: float) -> float:
    if variance == 0:
        raise ValueError("the mean derivative of activation 'sign' is infinite at variance 0: pass variance > 0")
    return math.sqrt(2.0 / (math.pi * variance))


ACTIVATIONS: Mapping[str, Activation] = MappingProxyType(
    {
        entry.name: entry
        for entry in (
            Activation(
                _identity,
                _identity_derivative,
                "identity",
                odd=True,
                second_moment_formula=_identity_second_moment,
                mean_derivative_formula=_identity_mean_derivative,
            ),
            Activation(_tanh, _tanh_derivative, "tanh", odd=True),
            Activation(_tanh2, _tanh2_derivative, "tanh2", odd=True),
            Activation(tanh2_nonlinear, tanh2_nonlinear_derivative, "tanh2_nonlinear", odd=True),
            Activation(
                _erf,
                _erf_derivative,
                "erf",
                odd=True,
                second_moment_formula=_erf_second_moment,
                mean_derivative_formula=_erf_mean_derivative,
            ),
            Activation(
                _erf_sqrt2,
                _erf_sqrt2_derivative,
                "erf_sqrt2",
                odd=True,
                second_moment_formula=_erf_sqrt2_second_moment,
                mean_derivative_formula=_erf_sqrt2_mean_derivative,
            ),
            Activation(
                _sin,
                _sin_derivative,
                "sin",
                odd=True,
                second_moment_formula=_sin_second_moment,
                mean_derivative_formula=_sin_mean_derivative,
            ),
            Activation(
                _relu,
                _relu_derivative,
                "relu",
                smooth=False,
                second_moment_formula=_relu_second_moment,
                mean_derivative_formula=_relu_mean_derivative,
            ),
            Activation(
                _sign,
                _sign_derivative,
                "sign",
                odd=True,
                smooth=False,
                samplable=False,
                second_moment_formula=_sign_second_moment,
                mean_derivative_formula=_sign_mean_derivative,
            ),
        )
    }
)
