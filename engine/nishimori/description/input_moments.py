"""First and second moments of inputs made of independent normal numbers, and the Gaussian equivalent of random layers.

Inputs x in R^N are functions of a latent c ~ N(0, 1_D). What a network with wide layers sees of them is, under the
Gaussian equivalence theorem (arXiv 2006.14709), their covariance Omega and their covariance Phi with the latent alone.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nishimori.description.activations import Activation
from nishimori.description.quadrature import gaussian_average

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class InputMoments:
    """`mean` E x [N], `covariance` Omega = Cov x [N, N] and `cross` Phi = E x c^T [N, D]."""

    mean: Array
    covariance: Array
    cross: Array

    @property
    def input_dim(self) -> int:
        return self.cross.shape[0]

    @property
    def latent_dim(self) -> int:
        return self.cross.shape[1]

    @classmethod
    def of_latent(cls, dim: int) -> "InputMoments":
        """x = c."""
        return cls.independent(np.ones(dim))

    @classmethod
    def independent(cls, variances: Array) -> "InputMoments":
        """x = sqrt(variances) * c; [N]."""
        return cls(np.zeros(len(variances)), np.diag(variances), np.diag(np.sqrt(variances)))

    @classmethod
    def gaussian(cls, covariance: Array) -> "InputMoments":
        """x = Omega^(1/2) c."""
        eigenvalues, vectors = np.linalg.eigh(covariance)
        root = (vectors * np.sqrt(eigenvalues.clip(0))) @ vectors.T
        return cls(np.zeros(len(covariance)), covariance, root)

    def through(self, weights: Array, activation: Activation) -> "InputMoments":
        """Those of h(F x) - E h for rows F_i [N', N] of length 1, by Gaussian equivalence (arXiv 2006.14709, sec. 2.2):

            Omega' = b^2 F Omega F^T off the diagonal, Var h on it,    Phi' = b F Phi,    b = E h'(u), u ~ N(0, c),

        where all inputs have one variance c. What is beyond the linear part of h counts as independent noise, to
        leading order in 1/N for rows in general directions.
        """
        variance = float(np.mean(np.diag(self.covariance)))
        slope = activation.mean_derivative(variance)
        covariance = slope**2 * (weights @ self.covariance @ weights.T)
        own = activation.second_moment(variance) - mean_of(activation, variance) ** 2
        np.fill_diagonal(covariance, own)
        return InputMoments(np.zeros(len(weights)), covariance, slope * (weights @ self.cross))


def require_covariance(values: ArrayLike) -> Array:
    """`values` as a covariance matrix [N, N]; raises ValueError where they are none."""
    matrix = np.asarray(values, dtype=np.float64)
    square = matrix.ndim == 2 and matrix.shape[0] == matrix.shape[1] and matrix.size > 0
    if not square or not np.isfinite(matrix).all() or not np.allclose(matrix, matrix.T, rtol=1e-8, atol=1e-12):
        raise ValueError("a covariance must be a symmetric matrix of finite numbers; give [input_dim, input_dim]")
    lowest = float(np.linalg.eigvalsh(matrix)[0])
    if lowest < -1e-9 * float(np.abs(matrix).max()):
        raise ValueError(f"a covariance has no negative eigenvalues, and this one has {lowest:.3g}; give another")
    return 0.5 * (matrix + matrix.T)


def mean_of(activation: Activation, variance: float) -> float:
    """E h(u), u ~ N(0, variance)."""
    if activation.odd:
        return 0.0
    return gaussian_average(lambda z: activation.function(math.sqrt(variance) * z))


def through_layers(layers: Sequence[Array], activation: Activation) -> InputMoments:
    """Those of c, through random layers with the same activation; `layers` [N_l, N_{l-1}], N_0 = D."""
    moments = InputMoments.of_latent(layers[0].shape[1])
    for weights in layers:
        moments = moments.through(weights, activation)
    return moments


def power_law(dim: int, exponent: float) -> Array:
    """Variances proportional to k^-exponent, k = 1..dim, of mean 1."""
    variances = np.arange(1.0, dim + 1) ** -exponent
    return variances / variances.mean()
