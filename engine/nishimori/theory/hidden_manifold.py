"""Online learning of two-layer networks on structured inputs: equations of the overlap densities (arXiv 2006.14709).

Inputs x = G(c) in R^N of mean 0, latent c ~ N(0, 1_D). Teacher y = sum_m A_m g(B_m.c / sqrt(D)), student
f = sum_k v_k g(w_k.x / sqrt(N)), g(u) = erf(u / sqrt(2)). A step of stochastic gradient descent on a fresh input and a
label with noise of variance sigma^2 is

    w_k += (rate / sqrt(N)) v_k (y - f) g'(lambda_k) x,    v_k += (rate / N) (y - f) g(lambda_k),

and time is steps / N. By Gaussian equivalence the pre-activations (lambda, nu) are jointly normal, and of the inputs
Omega = E x x^T and Phi = E x c^T matter alone. With Omega psi_t = rho_t psi_t, |psi_t|^2 = N, Gamma_kt = w_k.psi_t /
sqrt(N) and G_mt = B_m.Phi^T psi_t / sqrt(N), the densities q_kl = Gamma_k Gamma_l and r_km = Gamma_k G_m close.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nishimori.description.input_moments import InputMoments

Array = NDArray[np.float64]
TOLERANCE = 1e-9
"""Relative, of the solution in time."""


def pair_mean(covariance: Array) -> Array:
    """I2 = E g(a) g(b), [units, units], of pre-activations of this covariance [units, units]."""
    scale = np.sqrt(1 + np.diag(covariance))
    return 2 / math.pi * np.arcsin(np.clip(covariance / np.outer(scale, scale), -1, 1))


def slope_mean(covariance: Array) -> Array:
    """J = E g'(a) g'(b), [units, units]."""
    one = 1 + np.diag(covariance)
    return 2 / math.pi / np.sqrt(np.outer(one, one) - covariance**2)


def curvature_mean(covariance: Array) -> Array:
    """H = E g''(a) g(b), [units a, units b]."""
    one = 1 + np.diag(covariance)
    root = np.sqrt(np.outer(one, one) - covariance**2)
    return -2 / math.pi * covariance / (one[:, None] * root)


def noise_mean(covariance: Array, units: int) -> Array:
    """I4 = E g'(k) g'(l) g(a) g(b), [k, l, a, b], with k and l among the first `units` (Saad and Solla 1995)."""
    c, one = covariance, 1 + np.diag(covariance)
    students = c[:units]
    inner = c[:units, :units]
    fourth = (np.outer(one[:units], one[:units]) - inner**2)[:, :, None, None]
    # indices: k, l, a, b
    ka, la = students[:, None, :, None], students[None, :, :, None]
    kb, lb = students[:, None, None, :], students[None, :, None, :]
    kl, kk, ll = inner[:, :, None, None], one[:units, None, None, None], one[None, :units, None, None]
    cross = fourth * c[None, None] - la * lb * kk - ka * kb * ll + kl * ka * lb + kl * kb * la
    first = fourth * one[None, None, :, None] - la**2 * kk - ka**2 * ll + 2 * kl * ka * la
    second = fourth * one[None, None, None, :] - lb**2 * kk - kb**2 * ll + 2 * kl * kb * lb
    return 4 / math.pi**2 / np.sqrt(fourth) * np.arcsin(np.clip(cross / np.sqrt(first * second), -1, 1))


@dataclass(frozen=True, eq=False)
class Start:
    """Where a student begins: `weights` w [units, N] and `readout` v [units]; and its teacher: `teacher_weights` B
    [teacher units, D] and `teacher_readout` A [teacher units]."""

    weights: Array
    readout: Array
    teacher_weights: Array
    teacher_readout: Array


@dataclass(frozen=True, eq=False)
class Spectrum:
    """rho [N] and psi [N, N], a column each, of the inputs' Omega; computed once for all students."""

    moments: InputMoments

    @cached_property
    def modes(self) -> tuple[Array, Array]:
        eigenvalues, vectors = np.linalg.eigh(self.moments.covariance)
        return eigenvalues, vectors * math.sqrt(len(eigenvalues))


@dataclass(frozen=True, eq=False)
class OnlineDescent:
    """The equations for one student and teacher, at `learning_rate` and labels with noise of `noise_variance`."""

    spectrum: Spectrum
    start: Start
    learning_rate: float
    noise_variance: float = 0.0

    @property
    def units(self) -> int:
        return len(self.start.readout)

    @cached_property
    def _teacher(self) -> tuple[Array, Array]:
        """G [N, teacher units] over sqrt(D / N), and T [teacher units, teacher units]."""
        teacher, moments = self.start.teacher_weights, self.spectrum.moments
        density = (self.spectrum.modes[1].T @ moments.cross @ teacher.T) / math.sqrt(moments.latent_dim)
        return density, teacher @ teacher.T / moments.latent_dim

    def errors(self, times: ArrayLike) -> Array:
        """eps = E (f - y)^2 / 2 without label noise [times], from time 0 on; by scipy's DOP853 to 1e-9 relative."""
        from scipy.integrate import solve_ivp

        asked = np.asarray(times, dtype=float)
        end = (0.0, float(asked.max()))
        solved = solve_ivp(
            self._velocity, end, self._initial(), "DOP853", t_eval=np.unique(asked), rtol=TOLERANCE, atol=TOLERANCE
        )
        found = {time: self._error(state) for time, state in zip(solved.t, solved.y.T, strict=True)}
        return np.array([found[time] for time in asked])

    def _initial(self) -> Array:
        density = self.spectrum.modes[1].T @ self.start.weights.T / math.sqrt(self.spectrum.moments.input_dim)
        among = density[:, :, None] * density[:, None, :]
        across = density[:, :, None] * self._teacher[0][:, None, :]
        return np.concatenate([among.ravel(), across.ravel(), self.start.readout])

    def _parts(self, state: Array) -> tuple[Array, Array, Array]:
        """q [N, units, units], r sqrt(N / D) [N, units, teacher units] and v [units]."""
        count, units, others = self.spectrum.moments.input_dim, self.units, len(self.start.teacher_readout)
        among, across, readout = np.split(state, [count * units**2, count * units * (units + others)])
        return among.reshape(count, units, units), across.reshape(count, units, others), readout

    def _covariance(self, among: Array, across: Array) -> Array:
        """Of (lambda, nu)."""
        inner = np.tensordot(self.spectrum.modes[0], among, axes=1) / len(among)
        outer = across.mean(axis=0)
        return np.block([[inner, outer], [outer.T, self._teacher[1]]])

    def _error(self, state: Array) -> float:
        among, across, readout = self._parts(state)
        signed = np.concatenate([readout, -self.start.teacher_readout])
        return 0.5 * float(signed @ pair_mean(self._covariance(among, across)) @ signed)

    def _velocity(self, time: float, state: Array) -> Array:
        del time
        among, across, readout = self._parts(state)
        covariance, units = self._covariance(among, across), self.units
        signed = np.concatenate([readout, -self.start.teacher_readout])
        slopes = slope_mean(covariance)[:units] * signed
        pull = np.diag(curvature_mean(covariance)[:units] @ signed) + slopes[:, :units]
        towards, teacher = slopes[:, units:], self._teacher[0]
        rho = self.spectrum.modes[0][:, None, None]
        rate = self.learning_rate * readout[:, None]
        moved = -rate * (rho * (pull @ across) + (teacher @ towards.T)[:, :, None] * teacher[:, None, :])
        drift = -rate * (rho * (pull @ among) + towards @ across.transpose(0, 2, 1))
        noise = np.einsum("klab,a,b->kl", noise_mean(covariance, units), signed, signed)
        noise = np.outer(readout, readout) * (noise + self.noise_variance * slope_mean(covariance)[:units, :units])
        grown = drift + drift.transpose(0, 2, 1) + self.learning_rate**2 * rho * noise
        learnt = -self.learning_rate * (pair_mean(covariance)[:units] @ signed)
        return np.concatenate([grown.ravel(), moved.ravel(), learnt])
