"""Gaussian-process regression with the wrong kernel and noise, averaged over its data, in closed form.

The student believes in F = sqrt(s) v.x / sqrt(d) + sqrt(g) xi and label noise T, the data are those of
F* = sqrt(s*) v*.x / sqrt(d) + sqrt(g*) xi* with label noise T*; v, v* ~ N(0, I), xi, xi* fresh for every input. With
A = X X^T / d, the student's kernel K = s A + g, M = (K + T)^{-1} = (s A + b)^{-1}, b = g + T, and labels of covariance
s* A + c, c = g* + T*, everything follows from one root: m, the posterior variance of a weight, solves

    s m^2 + (b + s (alpha - 1)) m - b = 0                        (Marchenko and Pastur 1967)

With v = b + s m, D = s m^2 + b and tr the trace per sample, differentiation in s and b gives

    tr M = 1/v    tr M A = m/v    tr M M = 1/(v D)    tr M A M = m^2/(v D)    tr M A M A = m^2 (m + alpha b/v)/(v D)

without a division by s. A student with T = T*, g = g*, s = s* is matched, and all values are those of `gaussian`.
"""

import dataclasses
import math
from dataclasses import dataclass
from functools import cached_property

from nishimori.theory.coefficients import Coefficients
from nishimori.theory.gaussian import error_per_weight


@dataclass(frozen=True)
class MismatchedRidge:
    """Variances of the student and of the teacher: `signal` s, `residual` g, `noise` T, those of the teacher likewise;
    `sample_ratio` alpha = n/d."""

    signal: float
    residual: float
    noise: float
    teacher_signal: float
    teacher_residual: float
    teacher_noise: float
    sample_ratio: float

    @classmethod
    def of(
        cls, student: Coefficients, noise: float, teacher: Coefficients, teacher_noise: float, sample_ratio: float
    ) -> "MismatchedRidge":
        theirs = teacher.eta**2, teacher.gamma, teacher_noise
        return cls(student.eta**2, student.gamma, noise, *theirs, sample_ratio)

    def renormalised(self, factor: float) -> "MismatchedRidge":
        """The student with its kernel multiplied by `factor`."""
        return dataclasses.replace(self, signal=factor * self.signal, residual=factor * self.residual)

    @cached_property
    def own(self) -> float:
        """b."""
        return self.residual + self.noise

    @cached_property
    def unlearnt(self) -> float:
        """m, in (0, 1)."""
        return error_per_weight(self.signal, self.own, self.sample_ratio)

    @cached_property
    def predictive_variance(self) -> float:
        """v: what the student believes the variance of a fresh label to be."""
        return self.own + self.signal * self.unlearnt

    @property
    def learnt(self) -> float:
        """1 - m, without cancellation."""
        return self.sample_ratio * self.signal * self.unlearnt / self.predictive_variance

    @property
    def posterior_variance(self) -> float:
        """E <(F - <F>)^2> on a fresh input: g + s m."""
        return self.residual + self.signal * self.unlearnt

    @property
    def posterior_mean_error(self) -> float:
        """E (F* - <F>)^2 on a fresh input: g* + s* m^2 v/D + c alpha s^2 m^2/(v D)."""
        return self.teacher_residual + self.teacher_signal * self._bias + self._variance

    @property
    def function_overlap(self) -> float:
        """E F* <F> on a fresh input."""
        return self.teacher_signal * self.learnt

    @property
    def squared_mean(self) -> float:
        """E <F>^2 on a fresh input."""
        return self.teacher_signal * (1 - 2 * self.unlearnt + self._bias) + self._variance

    @property
    def training_energy(self) -> float:
        """E <(y - F)^2> on a training input: T^2 tr M M C + T - T^2 tr M."""
        labels = (self.teacher_signal * self.unlearnt**2 + self._label_noise) / self._determinant
        return self.noise * (1 + self.noise * (labels - 1 / self.predictive_variance))

    @property
    def train_gibbs_error(self) -> float:
        """E <(F* - F)^2> on a training input."""
        return self.training_energy + self.teacher_noise * (1 - 2 * self.noise / self.predictive_variance)

    @property
    def action_per_sample(self) -> float:
        """E [y^T M y + log det M^{-1}] / n."""
        misfit = (self.teacher_signal * self.unlearnt + self._label_noise) / self.predictive_variance
        fitted = self.sample_ratio * self.signal / self.predictive_variance
        weights = (math.log1p(fitted) - fitted * self.unlearnt) / self.sample_ratio
        return misfit + math.log(self.predictive_variance) + weights

    @property
    def force(self) -> float:
        """-d(action_per_sample)/d(log factor) of a common factor of s and g: E [y^T M K M y - tr M K] per sample."""
        m, v, c = self.unlearnt, self.predictive_variance, self._label_noise
        square = self.signal * self.teacher_signal * (m + self.sample_ratio * self.own / v)
        cross = self.signal * c + self.residual * self.teacher_signal
        explained = ((square + cross) * m**2 + self.residual * c) / self._determinant
        return explained - (self.signal * m + self.residual) / v

    @property
    def _label_noise(self) -> float:
        """c."""
        return self.teacher_residual + self.teacher_noise

    @property
    def _determinant(self) -> float:
        """v D."""
        return self.predictive_variance * (self.signal * self.unlearnt**2 + self.own)

    @property
    def _bias(self) -> float:
        """m^2 v/D, the mean square of 1 - (gain of a weight)."""
        return (self.unlearnt * self.predictive_variance) ** 2 / self._determinant

    @property
    def _variance(self) -> float:
        """c alpha s^2 m^2/(v D), what noise adds to the posterior mean."""
        return self._label_noise * self.sample_ratio * (self.signal * self.unlearnt) ** 2 / self._determinant
