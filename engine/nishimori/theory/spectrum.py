"""Averages over the eigenvalues of the covariance of the inputs.

Inputs x ~ N(0, Omega) enter the linear model by the spectrum of Omega / r, r = tr Omega / d, which has mean 1; omega
below is one of its eigenvalues and E_omega their mean. Isotropic inputs have omega = 1.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

ISOTROPIC = (1.0,)


@dataclass(frozen=True, eq=False)
class Spectrum:
    """eigenvalues: [d], non-negative and of mean 1. The posterior variance of a weight along an eigenvector is
    1 / (1 + qhat omega)."""

    eigenvalues: NDArray[np.float64]

    @classmethod
    def of(cls, eigenvalues: Sequence[float]) -> "Spectrum":
        return cls(np.asarray(eigenvalues, dtype=np.float64))

    def error(self, qhat: float) -> float:
        """m = E_omega omega / (1 + qhat omega), the part of the signal's variance that is not known."""
        return float(np.mean(self.eigenvalues / (1.0 + qhat * self.eigenvalues)))

    def overlap(self, qhat: float) -> float:
        """E_omega qhat omega / (1 + qhat omega), that of the weights with the teacher's."""
        return float(np.mean(qhat * self.eigenvalues / (1.0 + qhat * self.eigenvalues)))

    def signal_overlap(self, qhat: float) -> float:
        """q = E_omega qhat omega^2 / (1 + qhat omega) = 1 - m, that of the signals; it keeps its digits where q is
        small."""
        return float(np.mean(qhat * self.eigenvalues**2 / (1.0 + qhat * self.eigenvalues)))

    def log_volume(self, qhat: float) -> float:
        """E_omega log(1 + qhat omega)."""
        return float(np.mean(np.log1p(qhat * self.eigenvalues)))


def variance_and_spectrum(eigenvalues: ArrayLike) -> tuple[float, tuple[float, ...]]:
    """r and the eigenvalues of Omega / r, from those of Omega [d].

    Raises ValueError unless they are one row of finite numbers, none negative and not all 0.
    """
    values = np.asarray(eigenvalues, dtype=np.float64)
    if values.ndim != 1 or not values.size or not np.isfinite(values).all() or values.min() < 0 or not values.any():
        raise ValueError(
            "input_spectrum must hold the eigenvalues of the inputs' covariance, one row of finite numbers of which "
            "none is negative and one at least is positive: pass numpy.linalg.eigvalsh(covariance)"
        )
    variance = math.fsum(values) / values.size
    return variance, tuple((values / variance).tolist())
