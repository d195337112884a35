"""The replica-symmetric fixed point of a generalised linear model with Gaussian weights, for any channel.

    S = eta v.x / sqrt(d) + sqrt(gamma) xi,   Y ~ P_out(. | S),   alpha = n/d,   m = 1 - q

    a = eta sqrt(1 - m),   b^2 = gamma + eta^2 m,   p(y | V) = E_w P_out(y | a V + b w)
    Psi = E_V int dy p log p,   fisher = E_V int dy (dp/da_V)^2 / p,   a_V = a V
    qhat = alpha eta^2 fisher,   m = E_omega omega / (1 + qhat omega)
    f = (qhat m - E_omega log(1 + qhat omega))/2 + alpha Psi

over the eigenvalues omega, of mean 1, of the covariance of the inputs; without correlations m = 1 / (1 + qhat). Where
inputs have variance r, eta^2 is r times that of the coefficients. (Barbier et al. 2019, arXiv 1708.03395, Theorem 1,
with its sup-inf at a stationary point; with correlated inputs a replica-symmetric conjecture.) E log Z / d tends to the
largest f over the solutions.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from nishimori.theory.roots import root
from nishimori.theory.spectrum import Spectrum

_SCAN_RATIO = 0.5
_ROUND_OFF = 1e-14


@dataclass(frozen=True)
class LabelStatistics:
    """What the labels of the linear model say at a given error per weight; V is N(0, 1), informations in nats.

    negative_entropy: Psi = E_V int dy p log p.
    fisher: E_V int dy (dp/da_V)^2 / p, information of a label on the mean of its latent output.
    explained: E_V (int dy y p)^2, the part of E Y^2 that the posterior mean predicts.
    """

    negative_entropy: float
    fisher: float
    explained: float


Statistics = Callable[[float], LabelStatistics]
"""From the error per weight m in (0, 1] to the statistics of the labels."""


@dataclass(frozen=True)
class FixedPoint:
    """overlap: that of the weights. signal_overlap: q, the known part of the signal's variance; the same without
    correlations. error_per_weight: m = 1 - q. potential: f, the limit of E log Z / d. statistics: those at m."""

    overlap: float
    signal_overlap: float
    error_per_weight: float
    potential: float
    statistics: LabelStatistics


def solve(statistics: Statistics, signal: float, sample_ratio: float, spectrum: Spectrum) -> FixedPoint:
    """The solution of m = spectrum.error(qhat(m)) with the largest potential; `signal` = eta^2, `sample_ratio` = alpha.

    Solutions are bracketed on a scan of m from 1 downwards by halves, then found to round-off.
    """

    def excess(error: float) -> float:
        return error / spectrum.error(sample_ratio * signal * statistics(error).fisher) - 1.0

    errors, values = [1.0], [excess(1.0)]
    while len(errors) < 3 or values[-1] > -0.75:
        errors.append(errors[-1] * _SCAN_RATIO)
        values.append(excess(errors[-1]))
    solutions = [1.0] if values[0] <= _ROUND_OFF else []
    for (larger, above), (smaller, below) in pairwise(zip(errors, values, strict=True)):
        if below < 0 < above:
            solutions.append(root(excess, smaller, larger))
    return max(
        (_at(error, statistics, signal, sample_ratio, spectrum) for error in solutions),
        key=lambda point: point.potential,
    )


def residual(point: FixedPoint, finer: Statistics, signal: float, sample_ratio: float, spectrum: Spectrum) -> float:
    """|m - spectrum.error(qhat)| with qhat by the quadrature `finer`: the error of root and quadrature together."""
    error = point.error_per_weight
    return abs(error - spectrum.error(sample_ratio * signal * finer(error).fisher))


def _at(error: float, statistics: Statistics, signal: float, sample_ratio: float, spectrum: Spectrum) -> FixedPoint:
    labels = statistics(error)
    # Not 1 - m: with few samples the overlap keeps its digits.
    qhat = sample_ratio * signal * labels.fisher
    potential = 0.5 * (qhat * error - spectrum.log_volume(qhat)) + sample_ratio * labels.negative_entropy
    return FixedPoint(spectrum.overlap(qhat), spectrum.signal_overlap(qhat), error, potential, labels)
