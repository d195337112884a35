"""The Gaussian covariate model: who sees what, how labels are made, and the best that can be learnt of them.

A teacher sees z in R^k, a student x in R^p, jointly Gaussian with E z z^T = Psi, E x z^T = Phi, E x x^T = Omega
(arXiv 2102.08127). Labels are of u = theta0.z / sqrt(k); samples are n = alpha p, and gamma = k / p. What a student
learns by minimising a loss is in `covariate_evolution`.
"""

import dataclasses
import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nishimori.theory.coefficients import Coefficients
from nishimori.theory.gaussian import gaussian_prediction
from nishimori.theory.prediction import Prediction
from nishimori.theory.probit import probit_prediction
from nishimori.theory.spectrum import variance_and_spectrum

Array = NDArray[np.float64]
_ROUND_OFF = 1e-9


@dataclass(frozen=True)
class LinearLabels:
    """y = u + sqrt(noise_variance) xi."""

    noise_variance: float = 0.0

    def __post_init__(self) -> None:
        _require_variance(self.noise_variance)

    def slope(self, teacher_variance: float) -> float:
        """E y u / E u^2."""
        del teacher_variance
        return 1.0

    def second_moment(self, teacher_variance: float) -> float:
        """E y^2."""
        return teacher_variance + self.noise_variance


@dataclass(frozen=True)
class SignLabels:
    """y = sign(u + sqrt(noise_variance) xi), -1 or 1: the noise is inside, as that of a probit channel."""

    noise_variance: float = 0.0

    def __post_init__(self) -> None:
        _require_variance(self.noise_variance)

    def slope(self, teacher_variance: float) -> float:
        """E y u / E u^2."""
        return math.sqrt(2 / (math.pi * (teacher_variance + self.noise_variance)))

    def second_moment(self, teacher_variance: float) -> float:
        """E y^2."""
        del teacher_variance
        return 1.0


Labels = LinearLabels | SignLabels


@dataclass(frozen=True, eq=False)
class Modes:
    """What a student's learning depends on: `eigenvalues` omega [p] of Omega, `alignment` P [p], the squares of
    Phi theta0 along its eigenvectors, rho = `teacher_variance` and gamma = `latent_ratio`."""

    eigenvalues: Array
    alignment: Array
    teacher_variance: float
    latent_ratio: float


@dataclass(frozen=True, eq=False)
class JointCovariance:
    """psi [k, k], phi [p, k], omega [p, p] of z and x.

    Raises ValueError where the shapes do not match, a number is not finite, psi or omega is not symmetric, or the three
    together are no covariance: one direction of x and z would have a negative variance.
    """

    psi: Array
    phi: Array
    omega: Array

    def __post_init__(self) -> None:
        for name in ("psi", "phi", "omega"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=np.float64))
        count, width = len(self.omega), len(self.psi)
        if (self.omega.shape, self.phi.shape, self.psi.shape) != ((count, count), (count, width), (width, width)):
            raise ValueError(
                f"psi {self.psi.shape}, phi {self.phi.shape} and omega {self.omega.shape} do not match: give them as "
                "[k, k], [p, k] and [p, p]"
            )
        joint = np.block([[self.psi, self.phi.T], [self.phi, self.omega]])
        if not np.isfinite(joint).all() or np.abs(joint - joint.T).max() > _ROUND_OFF * np.abs(joint).max():
            raise ValueError("psi and omega must be finite and symmetric: give covariances")
        if np.linalg.eigvalsh(joint)[0] < -_ROUND_OFF * np.abs(joint).max():
            raise ValueError(
                "psi, phi and omega are no joint covariance, for Omega - Phi Psi^-1 Phi^T has a negative eigenvalue: "
                "give E z z^T, E x z^T and E x x^T of the same x and z"
            )

    @property
    def latent_ratio(self) -> float:
        """gamma = k / p."""
        return len(self.psi) / len(self.omega)

    def modes(self, teacher: ArrayLike | None = None) -> Modes:
        """Of a teacher theta0 [k], or on average over theta0 ~ N(0, 1)."""
        eigenvalues, vectors = self._spectrum
        if teacher is None:
            variance = float(np.trace(self.psi)) / len(self.psi)
            return Modes(eigenvalues, self._mean_alignment, variance, self.latent_ratio)
        weights = np.asarray(teacher, dtype=np.float64)
        variance = float(weights @ self.psi @ weights) / len(self.psi)
        return Modes(eigenvalues, (vectors.T @ (self.phi @ weights)) ** 2, variance, self.latent_ratio)

    @cached_property
    def explained(self) -> Array:
        """Eigenvalues [k] of Phi^T Omega^-1 Phi, the covariance of E[z | x]; directions without variance are left out
        of x."""
        eigenvalues, vectors = self._spectrum
        kept = eigenvalues > _ROUND_OFF * eigenvalues[-1]
        whitened = (vectors[:, kept].T @ self.phi) / np.sqrt(eigenvalues[kept])[:, None]
        return np.maximum(np.linalg.eigvalsh(whitened.T @ whitened), 0.0)

    @property
    def unexplained(self) -> float:
        """tr(Psi - Phi^T Omega^-1 Phi) / k, the part of rho that x does not tell: noise to whoever sees x alone."""
        return max(0.0, (float(np.trace(self.psi)) - math.fsum(self.explained)) / len(self.psi))

    @cached_property
    def _mean_alignment(self) -> Array:
        return np.sum((self._spectrum[1].T @ self.phi) ** 2, axis=1)

    @cached_property
    def _spectrum(self) -> tuple[Array, Array]:
        """Of Omega: eigenvalues [p], ascending and not negative, and vectors [p, p]."""
        eigenvalues, vectors = np.linalg.eigh(self.omega)
        return np.maximum(eigenvalues, 0.0), vectors


def bayes_optimal(covariance: JointCovariance, labels: Labels, sample_ratio: float) -> Prediction:
    """What a student that knows the covariance, the noise and theta0 ~ N(0, 1) makes of n = sample_ratio * p samples.

    Given x, u is E[z | x].theta0 / sqrt(k) and an independent normal number of variance r = `unexplained`: a linear
    model of k weights with inputs of covariance Phi^T Omega^-1 Phi and noise r besides that of the labels. For x = z,
    y = x.w / sqrt(p) + sqrt(Delta) xi,

        V = mean omega / (1 + V^ omega),   V^ = alpha / (Delta + V)
        I(w; Y | X) / p = mean log(1 + V^ omega) / 2 + (alpha / 2) [log((Delta + V) / Delta) - V / (Delta + V)]

    `bayes_error` is that of u, r included; `mutual_information` is per sample, `mutual_information_per_dim` per
    dimension of x. `gibbs_error`, `train_mmse` and `overlap` are of E[z | x].theta0 / sqrt(k) and of theta0.

    Linear models with given weights are covered by a theorem (Barbier et al. 2019, arXiv 1708.03395) for independent
    inputs; with correlated ones, exact here for linear labels, the formulas are the replica-symmetric ones.

    Raises ValueError where x does not depend on z, and for linear labels without any noise.
    """
    explained, rest = covariance.explained, covariance.unexplained
    if not explained.max() > 0:
        raise ValueError("x does not depend on z, so there is nothing to learn: give a phi that is not 0")
    noise = labels.noise_variance + rest
    if isinstance(labels, LinearLabels) and not noise > _ROUND_OFF**2:
        raise ValueError("the information of linear labels without noise is infinite: give a noise_variance above 0")
    variance, spectrum = variance_and_spectrum(explained)
    model = Coefficients((variance,), (), 1.0, 0.0, input_variance=variance, spectrum=spectrum)
    predicted = gaussian_prediction if isinstance(labels, LinearLabels) else probit_prediction
    found = predicted(model, noise, sample_ratio / covariance.latent_ratio)
    return dataclasses.replace(
        found,
        bayes_error=found.bayes_error + rest,
        mutual_information_per_dim=sample_ratio * found.mutual_information,
    )


def _require_variance(variance: float) -> None:
    if not (math.isfinite(variance) and variance >= 0):
        raise ValueError(f"noise_variance = {variance} must be finite and at least 0: give a variance")
