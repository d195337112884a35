"""Kernels of infinitely wide networks: the covariance of pre-activations (NNGP) and the tangent kernel (NTK).

Pre-activations, in the parametrisation where every weight and bias is N(0, 1) and the scales stand in the forward pass:

    h_1 = sqrt(w_1 / d) W_1 x + sqrt(b) b_1,     h_{l+1} = sqrt(w_{l+1} / N_l) W_{l+1} phi(h_l) + sqrt(b) b_{l+1},

with the weight variances w_l, the readout's last, and the bias variance b. As the widths grow, a unit of h_l has
covariance S_l over inputs, and J J^T over all parameters below it is Theta_l:

    S_1 = Theta_1 = w_1 X X^T / d + b,
    S_{l+1} = w_{l+1} E phi(h_l) phi(h_l)^T + b,   Theta_{l+1} = S_{l+1} + w_{l+1} (E phi'(h_l) phi'(h_l)^T) * Theta_l,

with h_l ~ N(0, S_l) and the entrywise product. Sources: Lee et al. 2018, arXiv 1711.00165, eqs. 4-5; Jacot et al. 2018,
arXiv 1806.07572, Theorem 1, with b = beta^2; Lee et al. 2019, arXiv 1902.06720.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nishimori.description.activations import ACTIVATIONS, Activation
from nishimori.description.quadrature import gaussian_average
from nishimori.theory.mehler import NotResolved, pair_averages

Array = NDArray[np.float64]
Pair = tuple[Array, Array]
ClosedForm = Callable[[Array, Array, Array], Pair]
"""From the covariances k of u and v and their variances a and b, which broadcast against one another."""
STEIN_TOLERANCE = 1e-8


@dataclass(frozen=True, eq=False)
class WideKernels:
    """`covariances` S_1, ..., S_{L+1} and `tangents` Theta_1, ..., Theta_{L+1}, [inputs, inputs] each."""

    covariances: tuple[Array, ...]
    tangents: tuple[Array, ...]

    @property
    def covariance(self) -> Array:
        """That of the output, the NNGP kernel."""
        return self.covariances[-1]

    @property
    def tangent(self) -> Array:
        """That of the output, the NTK."""
        return self.tangents[-1]


def wide_kernels(
    inputs: ArrayLike,
    activation: Activation,
    depth: int,
    weight_variance: float | Sequence[float] = 1.0,
    bias_variance: float = 0.0,
) -> WideKernels:
    """Of `inputs` [inputs, d], stacked where there are several sets, with `depth` hidden layers of one activation.

    `weight_variance` is one for all weights or one of each layer and of the readout; both are variances. Raises
    ValueError where inputs, depth or variances are none, and as `activation_kernels` does.
    """
    rows = np.asarray(inputs, dtype=np.float64)
    if rows.ndim != 2 or not rows.size or not np.isfinite(rows).all():
        raise ValueError(f"inputs have shape {rows.shape}; give finite numbers, [inputs, d]")
    first, *weights = _weight_variances(weight_variance, depth)
    if not (math.isfinite(bias_variance) and bias_variance >= 0):
        raise ValueError(f"bias_variance must be finite and at least 0, got {bias_variance}")
    covariances = [first * (rows @ rows.T) / rows.shape[1] + bias_variance]
    tangents = [covariances[0]]
    for weight in weights:
        moment, slope = activation_kernels(activation, covariances[-1])
        covariances.append(weight * moment + bias_variance)
        tangents.append(covariances[-1] + weight * slope * tangents[-1])
    return WideKernels(tuple(covariances), tuple(tangents))


def activation_kernels(activation: Activation, covariance: ArrayLike) -> Pair:
    """E phi(h) phi(h)^T and E phi'(h) phi'(h)^T, [n, n] each, of h ~ N(0, `covariance` [n, n]).

    Closed forms for identity, erf (Williams 1998, Neural Comput. 10, 1203, eq. 11), sin and relu (Cho and Saul 2009,
    eqs. 3-6), else Mehler's series to 1e-10. Raises ValueError where `covariance` is none, where the activation jumps,
    so that its tangent kernel is infinite, or its derivative is another function's, and where it is one's own and not
    smooth.
    """
    matrix = np.asarray(covariance, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not np.allclose(matrix, matrix.T, rtol=1e-9):
        raise ValueError(f"covariance has shape {matrix.shape} or is not symmetric; give a covariance matrix [n, n]")
    variances = np.diagonal(matrix)
    if not (np.isfinite(matrix).all() and (variances >= 0).all()):
        raise ValueError("covariance has entries that are not finite or variances below 0; give a covariance matrix")
    if ACTIVATIONS.get(activation.name) == activation and activation.name in CLOSED_FORMS:
        return CLOSED_FORMS[activation.name](matrix, variances[:, None], variances[None, :])
    _require_derivative(activation, float(variances.max()))
    try:
        return pair_averages(activation.function, matrix), pair_averages(activation.derivative, matrix)
    except NotResolved:
        raise ValueError(
            f"the kernels of activation {activation.name!r} at variances up to {variances.max():g} are not resolved by "
            "their series; use a smooth activation, or a registered one"
        ) from None


def _require_derivative(activation: Activation, variance: float) -> None:
    """By Stein's identity E[Z phi(sqrt(s) Z)] = sqrt(s) E phi'(sqrt(s) Z) at s = `variance`, which holds where phi is
    the integral of its derivative."""
    deviation = math.sqrt(variance)
    try:
        stein = gaussian_average(lambda z: z * activation.function(deviation * z))
        slope = gaussian_average(lambda z: activation.derivative(deviation * z))
        square = gaussian_average(lambda z: activation.function(deviation * z) ** 2)
    except ArithmeticError as error:
        raise ValueError(
            f"a Gaussian average of activation {activation.name!r} at variance {variance:g} {error}: use an activation "
            "with bounded derivatives"
        ) from error
    if abs(stein - deviation * slope) > STEIN_TOLERANCE * (math.sqrt(square) + deviation * abs(slope)):
        raise ValueError(
            f"the tangent kernel of activation {activation.name!r} is not known: the function jumps, or its derivative "
            "is another function's; use an activation with a derivative"
        )


def _weight_variances(weight_variance: float | Sequence[float], depth: int) -> tuple[float, ...]:
    if depth < 0:
        raise ValueError(f"depth must be at least 0, got {depth}: give the number of hidden layers")
    found = np.atleast_1d(np.asarray(weight_variance, dtype=np.float64))
    if found.shape == (1,):
        found = np.repeat(found, depth + 1)
    if found.shape != (depth + 1,) or not (np.isfinite(found).all() and (found > 0).all()):
        raise ValueError(
            f"weight_variance = {weight_variance} must be positive and finite: give one, or {depth + 1}, the readout's "
            "last"
        )
    return tuple(found.tolist())


def _identity(k: Array, a: Array, b: Array) -> Pair:
    del a, b
    return k.copy(), np.ones_like(k)


def _erf_sqrt2(k: Array, a: Array, b: Array) -> Pair:
    rest = (1 + a) * (1 + b)
    moment = 2 / math.pi * np.arcsin(np.clip(k / np.sqrt(rest), -1, 1))
    return moment, 2 / math.pi / np.sqrt(rest - k**2)


def _erf(k: Array, a: Array, b: Array) -> Pair:
    moment, slope = _erf_sqrt2(2 * k, 2 * a, 2 * b)
    return moment, 2 * slope


def _sin(k: Array, a: Array, b: Array) -> Pair:
    middle = (a + b) / 2
    above, below = np.exp(k - middle), np.exp(-k - middle)
    return (above - below) / 2, (above + below) / 2


def _relu(k: Array, a: Array, b: Array) -> Pair:
    scale = np.sqrt(a * b)
    cosine = np.clip(np.divide(k, scale, out=np.zeros_like(k), where=scale > 0), -1, 1)
    angle = np.arccos(cosine)
    moment = scale * (np.sqrt(1 - cosine**2) + (math.pi - angle) * cosine) / (2 * math.pi)
    return moment, (math.pi - angle) / (2 * math.pi)


CLOSED_FORMS: Mapping[str, ClosedForm] = MappingProxyType(
    {"identity": _identity, "erf": _erf, "erf_sqrt2": _erf_sqrt2, "sin": _sin, "relu": _relu}
)
