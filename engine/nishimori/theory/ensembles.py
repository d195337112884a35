"""Ensembles of infinitely wide networks: trained by gradient flow from random starts, or sampled as Gaussian processes.

Networks of the kernels K (NNGP) and Theta (NTK), see `wide_kernels`, follow the gradient flow of |z - Y|^2 / 2, summed
over the training inputs X, for a time tau. Their outputs stay linear in the start z_0 ~ N(0, K):

    z_tau(x) = z_0(x) - B (z_0(X) - Y),     B = Theta(x, X) E,     E = Theta^{-1} (1 - exp(-tau Theta)),
    mean B Y,     covariance K(x, x') - B K(X, x') - K(x, X) B'^T + B K(X, X) B'^T.

A single draw of the start is a network of the ensemble: this is no posterior, unless K = Theta and tau is infinite, as
where every network has a randomised prior function added (He, Lakshminarayanan and Teh 2020, arXiv 2007.05864).
Sources: Lee et al. 2019, arXiv 1902.06720; Jacot et al. 2018, arXiv 1806.07572.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nishimori.description.activations import Activation
from nishimori.theory.wide_kernels import wide_kernels

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Predictive:
    """`mean` and `variance` of the output at some inputs, without label noise: [inputs] or [times, inputs]."""

    mean: Array
    variance: Array


@dataclass(frozen=True, eq=False)
class Flow:
    """Gradient flow of |z - Y|^2 / 2 under the tangent kernel of the training inputs [samples, samples]."""

    tangent: Array

    @cached_property
    def modes(self) -> tuple[Array, Array]:
        """Eigenvalues [samples], those of rounding alone set to 0, and eigenvectors, a column each."""
        eigenvalues, vectors = np.linalg.eigh(self.tangent)
        floor = len(eigenvalues) * np.finfo(np.float64).eps * max(float(eigenvalues[-1]), 0.0)
        return np.where(eigenvalues > floor, eigenvalues, 0.0), vectors

    def decays(self, time: float) -> Array:
        """exp(-tau lambda) of every mode, [samples]; what is never learnt stays at infinite time."""
        eigenvalues, _ = self.modes
        return np.where(eigenvalues > 0, np.exp(-time * np.where(eigenvalues > 0, eigenvalues, 1.0)), 1.0)

    def learnt(self, time: float) -> Array:
        """E, [samples, samples], with 0 in the place of tau in modes that are never learnt."""
        eigenvalues, vectors = self.modes
        positive = np.where(eigenvalues > 0, eigenvalues, 1.0)
        return (vectors * np.where(eigenvalues > 0, -np.expm1(-time * positive) / positive, 0.0)) @ vectors.T

    def outputs(self, starts: ArrayLike, labels: ArrayLike, time: float) -> Array:
        """z_tau on the training inputs, from `starts` z_0 [..., samples]."""
        _, vectors = self.modes
        targets = np.asarray(labels, dtype=np.float64)
        missed = (np.asarray(starts, dtype=np.float64) - targets) @ vectors
        return targets + (missed * self.decays(time)) @ vectors.T


@dataclass(frozen=True, eq=False)
class WideEnsemble:
    """`covariance` K and `tangent` Theta of inputs, the training inputs first [inputs, inputs]; `labels` [samples].

    Raises ValueError where shapes do not agree.
    """

    covariance: Array
    tangent: Array
    labels: Array

    def __post_init__(self) -> None:
        shape = self.covariance.shape
        if self.tangent.shape != shape or shape != (len(self.covariance),) * 2 or self.labels.ndim != 1:
            raise ValueError(
                f"covariance {shape}, tangent {self.tangent.shape} and labels {self.labels.shape} do not agree; give "
                "kernels of all inputs, the training inputs first, and [samples] labels"
            )
        if not 0 < len(self.labels) <= len(self.covariance):
            raise ValueError(
                f"{len(self.labels)} labels for kernels of {len(self.covariance)} inputs; give one or more"
            )

    @classmethod
    def of(
        cls,
        inputs: ArrayLike,
        labels: ArrayLike,
        test_inputs: ArrayLike,
        activation: Activation,
        depth: int,
        weight_variance: float | Sequence[float] = 1.0,
        bias_variance: float = 0.0,
    ) -> "WideEnsemble":
        """Of networks as `wide_kernels` has them, on inputs [samples, d] and [test_inputs, d]."""
        rows = np.concatenate([np.asarray(inputs, dtype=np.float64), np.asarray(test_inputs, dtype=np.float64)])
        kernels = wide_kernels(rows, activation, depth, weight_variance, bias_variance)
        return cls(kernels.covariance, kernels.tangent, np.asarray(labels, dtype=np.float64))

    @property
    def samples(self) -> int:
        return len(self.labels)

    @cached_property
    def flow(self) -> Flow:
        return Flow(self.tangent[: self.samples, : self.samples])

    def smoother(self, time: float) -> Array:
        """B of every input, the training inputs first, [inputs, samples]."""
        return self.tangent[:, : self.samples] @ self.flow.learnt(time)

    def trained(self, times: Sequence[float]) -> Predictive:
        """Of networks trained for so long, infinity included: [times, inputs], the training inputs first."""
        found = [self._trained(time) for time in times]
        return Predictive(np.array([mean for mean, _ in found]), np.array([variance for _, variance in found]))

    def _trained(self, time: float) -> tuple[Array, Array]:
        if not time >= 0:
            raise ValueError(f"time = {time} must be at least 0")
        smoother, known = self.smoother(time), self.covariance[: self.samples]
        kept = np.diagonal(self.covariance) - 2 * np.einsum("xs,sx->x", smoother, known)
        variance = kept + np.einsum("xs,st,xt->x", smoother, known[:, : self.samples], smoother, optimize=True)
        return smoother @ self.labels, variance

    def sampled(self, noise_variance: float) -> Predictive:
        """Of the posterior of the infinitely wide network under labels with that Gaussian noise (NNGP), [inputs]."""
        return gaussian_process(self.covariance, self.labels, noise_variance)

    def sampled_tangent(self, noise_variance: float = 0.0) -> Predictive:
        """The same with Theta in the place of K (NTK-GP), as of trained networks with randomised prior functions."""
        return gaussian_process(self.tangent, self.labels, noise_variance)


def gaussian_process(kernel: ArrayLike, labels: ArrayLike, noise_variance: float) -> Predictive:
    """Posterior mean K(., X) C^{-1} Y and variance K(x, x) - K(x, X) C^{-1} K(X, x) [inputs], C = K(X, X) + noise.

    `kernel` [inputs, inputs] is of all inputs, the first of them those of the `labels` [samples]. That of a linearised
    network z_0(x) + J(x) (theta - theta_0) is J J^T, with labels Y - z_0(X). Raises ValueError where C is not positive.
    """
    mean, whitened = _conditioned(kernel, labels, noise_variance)
    return Predictive(mean, np.diagonal(np.asarray(kernel)) - (whitened**2).sum(axis=0))


def gaussian_process_draw(kernel: ArrayLike, labels: ArrayLike, noise_variance: float, normals: ArrayLike) -> Array:
    """A function of that posterior at all inputs, [inputs], from as many standard normal numbers."""
    mean, whitened = _conditioned(kernel, labels, noise_variance)
    eigenvalues, vectors = np.linalg.eigh(np.asarray(kernel, dtype=np.float64) - whitened.T @ whitened)
    return mean + vectors @ (np.sqrt(np.clip(eigenvalues, 0.0, None)) * np.asarray(normals, dtype=np.float64))


def _conditioned(kernel: ArrayLike, labels: ArrayLike, noise_variance: float) -> tuple[Array, Array]:
    """The posterior mean [inputs], and R^{-1} K(X, .) [samples, inputs] with C = R R^T."""
    matrix, targets = np.asarray(kernel, dtype=np.float64), np.asarray(labels, dtype=np.float64)
    samples = len(targets)
    if not (math.isfinite(noise_variance) and noise_variance >= 0):
        raise ValueError(f"noise_variance = {noise_variance} must be finite and at least 0")
    try:
        factor = np.linalg.cholesky(matrix[:samples, :samples] + noise_variance * np.eye(samples))
    except np.linalg.LinAlgError:
        raise ValueError(
            f"the kernel of the training inputs with noise of variance {noise_variance:g} is not positive definite; "
            "raise noise_variance, or leave out inputs that lie on one another"
        ) from None
    whitened = np.asarray(np.linalg.solve(factor, matrix[:samples]), dtype=np.float64)
    return whitened.T @ np.linalg.solve(factor, targets), whitened
