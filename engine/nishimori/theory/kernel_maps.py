"""The map from the covariance S of a layer's pre-activations to the kernel K(S) of its features, and its derivative.

    K_ab = E phi(h_a) phi(h_b),   h ~ N(0, S)
    dK_ab = across_ab dS_ab + own_ab dS_aa + own_ba dS_bb,   across_ab = E phi'(h_a) phi'(h_b),
    own_ab = E phi''(h_a) phi(h_b) / 2 = (E h_a phi'(h_a) phi(h_b) - S_ab across_ab) / (2 S_aa)

(Price 1958; the last by parts, as there may be kinks).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nishimori.description.activations import ACTIVATIONS, Activation
from nishimori.description.quadrature import panel_rule
from nishimori.theory.wide_kernels import activation_kernels

Array = NDArray[np.float64]
REACH = 9.0
"""Standard deviations, beyond which no double sees the density."""


@dataclass(frozen=True, eq=False)
class KernelMap:
    """At one S: `kernel`, `across` and `own`, all [p, p]."""

    kernel: Array
    across: Array
    own: Array

    def derivative(self) -> Array:
        """dK_ab / dS_cd for symmetric changes of S, [p, p, p, p], symmetric in c and d."""
        size = len(self.kernel)
        unit = np.eye(size)
        crossed = 0.5 * (np.einsum("ac,bd->abcd", unit, unit) + np.einsum("ad,bc->abcd", unit, unit))
        first = np.einsum("ab,ac,ad->abcd", self.own, unit, unit)
        return self.across[:, :, None, None] * crossed + first + first.transpose(1, 0, 2, 3)

    def pulled_back(self, gradient: Array) -> Array:
        """dL/dS [p, p] of dL/dK = `gradient` [p, p], symmetric: the transpose of `derivative`."""
        return self.across * gradient + np.diag(2 * np.sum(self.own * gradient, axis=1))


def kernel_map(activation: Activation, covariance: Array) -> KernelMap:
    """At `covariance` S [p, p]. Raises ValueError as `activation_kernels` does, and where two variables are too close
    to dependent for quadrature."""
    kernel, across = activation_kernels(activation, covariance)
    variances = np.diagonal(covariance)[:, None]
    if activation == ACTIVATIONS["identity"]:
        return KernelMap(kernel, across, np.zeros_like(kernel))
    if activation in (ACTIVATIONS["erf"], ACTIVATIONS["erf_sqrt2"]):
        rest = variances + (0.5 if activation == ACTIVATIONS["erf"] else 1.0)
        return KernelMap(kernel, across, -across * covariance / (2 * rest))
    if activation == ACTIVATIONS["sin"]:
        return KernelMap(kernel, across, -0.5 * kernel)
    sloped = kernel if activation == ACTIVATIONS["relu"] else _sloped(activation, covariance)
    return KernelMap(kernel, across, (sloped - covariance * across) / (2 * variances))


def _sloped(activation: Activation, covariance: Array) -> Array:
    """E h_a phi'(h_a) phi(h_b), which is the kernel itself where h phi' = phi."""
    places = range(len(covariance))
    found = [[_sloped_pair(activation, covariance[np.ix_((a, b), (a, b))], a == b) for b in places] for a in places]
    return np.array(found)


def _sloped_pair(activation: Activation, block: Array, same: bool) -> float:
    deviations = np.sqrt(np.diagonal(block))
    if same:
        (points, weights), scale = _rule(deviations[0], deviations[0]), 2 * math.pi * block[0, 0]
        law = weights * np.exp(-0.5 * points**2 / block[0, 0]) / math.sqrt(scale)
        return float(law @ (points * activation.derivative(points) * activation.function(points)))
    determinant = float(np.linalg.det(block))
    if determinant <= 1e-6 * block[0, 0] * block[1, 1]:
        raise ValueError("two inputs are too much alike for the quadrature of a kernel; leave one of them out")
    own = np.sqrt(determinant / np.diagonal(block)[::-1])
    (x, left), (y, right) = (_rule(*pair) for pair in zip(deviations, own, strict=True))
    law = np.exp(-0.5 * ((x[:, None] - block[0, 1] / block[1, 1] * y) / own[0]) ** 2 - 0.5 * (y / deviations[1]) ** 2)
    sides = left * x * activation.derivative(x), right * activation.function(y)
    return float(sides[0] @ law @ sides[1]) / (2 * math.pi * math.sqrt(determinant))


def _rule(deviation: float, own: float) -> tuple[Array, Array]:
    """Panels that a density of this deviation, `own` given the other variable, is resolved by."""
    return panel_rule((-REACH * deviation, REACH * deviation), min(2.0, 2 * own), (0.0,))
