"""Mean feature kernels of networks of the prior, to first order in 1/width.

What <K> - E K of `theory.kernel_corrections` lacks of <K> - K_inf: given the layer below, K^(l) has the mean
K(w K^(l-1)), a curved map of what fluctuates, so that, to order 1/n,

    E K^(l) - K_inf^(l) = D_l (E K^(l-1) - K_inf^(l-1)) + (w^2 / 2) sum (d^2 K / dS dS) Cov(K^(l-1), K^(l-1)).

It is 0 in the first layer, and in linear networks. Derived here, as the recursion of fluctuations is.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nishimori.description.activations import Activation
from nishimori.theory.kernel_corrections import kernel_fluctuations
from nishimori.theory.kernel_maps import kernel_map

Array = NDArray[np.float64]
STEP = 0.02
"""Of differences, over the smallest eigenvalue of a covariance."""
SMALLEST = 1e-14
"""Of a mode of fluctuations, over the largest."""


def prior_kernel_changes(
    inputs: ArrayLike, widths: Sequence[int], activation: Activation, weight_variance: float = 1.0
) -> tuple[Array, ...]:
    """E K^(l) - K_inf^(l) [p, p] to order 1/n, by hidden layer, of `inputs` [p, d]; to 1e-5 of the largest entry.
    Raises ValueError as `kernel_fluctuations` does."""
    found = [np.zeros((len(np.asarray(inputs)),) * 2)]
    for layers in range(1, len(widths)):
        below = kernel_fluctuations(inputs, widths[:layers], activation, weight_variance)
        covariance = weight_variance * below.kernels[-1]
        slopes = weight_variance * kernel_map(activation, covariance).derivative()
        curved = 0.5 * weight_variance**2 * _curved(activation, covariance, below.covariances[-1])
        found.append(np.einsum("abcd,cd->ab", slopes, found[-1]) + curved)
    return tuple(found)


def _curved(activation: Activation, covariance: Array, fluctuations: Array) -> Array:
    """sum d^2 K_ab / dS_cd dS_ef `fluctuations`_cdef [p, p], by differences of fourth order along the modes of the
    fluctuations."""
    size = len(covariance)
    step = STEP * np.linalg.eigvalsh(covariance)[0]
    strengths, modes = np.linalg.eigh(fluctuations.reshape(size**2, size**2))
    total = np.zeros((size, size))
    for strength, mode in zip(strengths, modes.T.reshape(-1, size, size), strict=True):
        if strength > SMALLEST * strengths[-1]:
            near, far = (_difference(activation, covariance, mode, count * step) for count in (1, 2))
            total += strength * (8 * near - far) / (12 * step)
    return total


def _difference(activation: Activation, covariance: Array, mode: Array, step: float) -> Array:
    """Of the slopes along a symmetric `mode`, at both ends of it."""
    slopes = [kernel_map(activation, covariance + side * step * mode).derivative() for side in (1, -1)]
    return np.einsum("abcd,cd->ab", slopes[0] - slopes[1], mode)
