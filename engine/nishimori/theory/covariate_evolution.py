"""Convex learning from all samples at once in the Gaussian covariate model (Loureiro et al. 2021, arXiv 2102.08127).

Of the samples of `covariate_model`, the student learns

    w = argmin sum_mu l(y_mu, x_mu.w / sqrt(p)) + (lambda / 2) |w|^2.

As p, k and n grow in proportion everything follows from V, q and m: q = w.Omega w / p is the variance of the output on
a fresh input, m = w.Phi theta0 / sqrt(p k) its covariance with u, rho = theta0.Psi theta0 / k. They are the fixed point
of the state evolution of that paper, here over the eigenvalues omega of Omega and P of `Modes`, p numbers each:

    V = mean omega / (lambda + V^ omega),   m = (m^ / sqrt(gamma)) mean P / (lambda + V^ omega)
    q = mean (q^ omega + m^^2 P) omega / (lambda + V^ omega)^2

    residuals:  s^2 = rho + Delta + q - 2 m,   t ~ N(0, s^2),   F = force of V l at t (see `convex_losses`)
                V^ = alpha E t F / s^2,   q^ = alpha E F^2,   m^ = V^ / sqrt(gamma)
    margins:    t ~ N(0, q),   v = rho + Delta - m^2 / q,   Z = N_cdf(m t / (q sqrt(v))),   Z' = dZ / d(m t / q)
                m^ = -(2 alpha / sqrt(gamma)) E Z' F,   q^ = 2 alpha E Z F^2
                V^ = (2 alpha E Z t F + m sqrt(gamma) m^) / q

The paper's V^ = -alpha E d_omega f is written without a derivative of F, by Stein's lemma.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from nishimori.description.quadrature import gaussian_density, panel_rule
from nishimori.theory.convex_losses import SQUARE, SQUARE_OF_MARGIN, Loss
from nishimori.theory.covariate_model import Labels, LinearLabels, Modes
from nishimori.theory.roots import root

Array = NDArray[np.float64]
Hats = tuple[float, float, float]
"""V^, q^ and m^."""
Order = tuple[float, float, float]
"""V, q and m."""
_ROUND_OFF = 1e-14
REACH, PANEL, LARGEST = 9.0, 0.5, 2.0
"""Of averages, and of panels: in standard deviations, and in t, on which losses vary over lengths of 1."""
RESOLVED = 1e-7
TOLERANCE, ROUNDS, DAMPING = 1e-10, 2000, 0.2


@dataclass(frozen=True)
class Learnt:
    """What a student has learnt: `response` V, `self_overlap` q, `teacher_overlap` m, rho = `teacher_variance`, and
    `training_loss`, the mean of l over the samples, without the penalty of the weights."""

    response: float
    self_overlap: float
    teacher_overlap: float
    teacher_variance: float
    training_loss: float
    labels: Labels

    @property
    def generalization_error(self) -> float:
        """E (y - z)^2 of an output z on a fresh input with a fresh label, noise included."""
        slope, square = (of(self.teacher_variance) for of in (self.labels.slope, self.labels.second_moment))
        return square + self.self_overlap - 2 * slope * self.teacher_overlap

    @property
    def classification_error(self) -> float:
        """P(sign z != sign(u + noise)) on a fresh input, of the label with its noise."""
        return self._wrong(self.teacher_variance + self.labels.noise_variance)

    @property
    def noiseless_classification_error(self) -> float:
        """P(sign z != sign u) = arccos(m / sqrt(rho q)) / pi."""
        return self._wrong(self.teacher_variance)

    def _wrong(self, variance: float) -> float:
        cosine = self.teacher_overlap / math.sqrt(variance * self.self_overlap)
        return math.acos(max(-1.0, min(1.0, cosine))) / math.pi


def state_evolution(modes: Modes, labels: Labels, loss: Loss, regularisation: float, sample_ratio: float) -> Learnt:
    """The fixed point at lambda = `regularisation` and alpha = `sample_ratio` = n / p; of the square loss in closed
    form, up to one root.

    Raises ValueError where these are not positive, for a loss of residuals with labels of classes or of margins with
    linear labels, where the iteration does not settle, and where panels of less than half the width change a step of it
    by more than RESOLVED.
    """
    _require_match(labels, loss, regularisation, sample_ratio)
    if loss in (SQUARE, SQUARE_OF_MARGIN):
        return ridge(modes, labels, regularisation, sample_ratio)
    channel = residual_hats if isinstance(labels, LinearLabels) else margin_hats

    def step(order: Order) -> Order:
        return overlaps(modes, regularisation, channel(order, modes, labels, loss, sample_ratio)[0])

    order = settled(step, _start(modes, regularisation))
    hats, training_loss = channel(order, modes, labels, loss, sample_ratio)
    finer, _ = channel(order, modes, labels, loss, sample_ratio, 0.4)
    if np.abs(np.subtract(hats, finer)).max() > RESOLVED * np.abs(finer).max():
        raise ValueError(
            f"loss {loss.name!r} is not resolved by the quadrature: name the places where its derivative jumps in "
            "kinks, and scale it so that it varies over lengths of 1"
        )
    return Learnt(*order, modes.teacher_variance, training_loss, labels)


def ridge(modes: Modes, labels: Labels, regularisation: float, sample_ratio: float) -> Learnt:
    """The square loss, of any labels: with c = E y u / rho,

        V^ = alpha / (1 + V),   m^ = c V^ / sqrt(gamma),   q^ = alpha (E y^2 + q - 2 c m) / (1 + V)^2

    where V is one root, m follows from it, and q from both, linearly.
    """
    rho = modes.teacher_variance
    slope, square = labels.slope(rho), labels.second_moment(rho)

    def excess(response: float) -> float:
        return response - overlaps(modes, regularisation, (sample_ratio / (1 + response), 0.0, 0.0))[0]

    response = root(excess, 0.0, 1.01 * float(np.mean(modes.eigenvalues)) / regularisation)
    growth = sample_ratio / (1 + response)
    drift = slope * growth / math.sqrt(modes.latent_ratio)
    _, bias, overlap = overlaps(modes, regularisation, (growth, 0.0, drift))
    gain = growth / (1 + response) * overlaps(modes, regularisation, (growth, 1.0, 0.0))[1]
    norm = (bias + gain * (square - 2 * slope * overlap)) / (1 - gain)
    training_loss = 0.5 * (square + norm - 2 * slope * overlap) / (1 + response) ** 2
    return Learnt(response, norm, overlap, rho, training_loss, labels)


def overlaps(modes: Modes, regularisation: float, hats: Hats) -> Order:
    """V, q and m of V^, q^ and m^."""
    growth, noise, drift = hats
    kept = 1 / (regularisation + growth * modes.eigenvalues)
    weighted = modes.eigenvalues * kept
    response = float(np.mean(weighted))
    overlap = drift / math.sqrt(modes.latent_ratio) * float(np.mean(modes.alignment * kept))
    norm = float(np.mean((noise * modes.eigenvalues + drift**2 * modes.alignment) * weighted * kept))
    return response, norm, overlap


def residual_hats(
    order: Order, modes: Modes, labels: Labels, loss: Loss, sample_ratio: float, fineness: float = 1.0
) -> tuple[Hats, float]:
    """V^, q^ and m^ of a loss of residuals, and the training loss; `fineness` multiplies the widths of panels."""
    response, norm, overlap = order
    deviation = math.sqrt(modes.teacher_variance + labels.noise_variance + norm - 2 * overlap)
    places, weights = _normal_panels(deviation, fineness, loss.corners(response))
    prox = loss.prox(places, response)
    force = (places - prox) / response
    growth = sample_ratio * float(weights @ (places * force)) / deviation**2
    noise = sample_ratio * float(weights @ force**2)
    return (growth, noise, growth / math.sqrt(modes.latent_ratio)), float(weights @ loss.value(prox))


def margin_hats(
    order: Order, modes: Modes, labels: Labels, loss: Loss, sample_ratio: float, fineness: float = 1.0
) -> tuple[Hats, float]:
    """As `residual_hats`, of a loss of margins."""
    response, norm, overlap = order
    variance = modes.teacher_variance + labels.noise_variance
    spread = math.sqrt(max(variance - overlap**2 / norm, _ROUND_OFF * variance))
    known = overlap / (norm * spread)
    places, weights = _normal_panels(math.sqrt(norm), fineness, loss.corners(response), 1 / max(known, 1e-300))
    prox = loss.prox(places, response)
    force = (places - prox) / response
    right, density = weights * special.ndtr(known * places), weights * gaussian_density(known * places) / spread
    root_of_ratio = math.sqrt(modes.latent_ratio)
    drift = -2 * sample_ratio / root_of_ratio * float(density @ force)
    noise = 2 * sample_ratio * float(right @ force**2)
    growth = (2 * sample_ratio * float(right @ (places * force)) + overlap * root_of_ratio * drift) / norm
    return (growth, noise, drift), 2 * float(right @ loss.value(prox))


def settled(step: Callable[[Order], Order], start: Order) -> Order:
    """The fixed point of `step` from `start` on, by steps of which DAMPING is kept, to TOLERANCE relative.

    Raises ValueError where ROUNDS steps do not lead there, or one leaves the numbers.
    """
    found = np.array(start)
    for _ in range(ROUNDS):
        following = np.array(step((float(found[0]), float(found[1]), float(found[2]))))
        if not np.isfinite(following).all():
            break
        if np.all(np.abs(following - found) <= TOLERANCE * np.abs(following)):
            return float(following[0]), float(following[1]), float(following[2])
        found = DAMPING * found + (1 - DAMPING) * following
    raise ValueError(
        "the state evolution did not settle: give a larger regularisation, or a sample ratio farther from where the "
        "samples can just be fitted"
    )


def _require_match(labels: Labels, loss: Loss, regularisation: float, sample_ratio: float) -> None:
    if not (0 < regularisation < math.inf and 0 < sample_ratio < math.inf):
        raise ValueError("regularisation and sample_ratio must be finite and positive")
    wanted = "residual" if isinstance(labels, LinearLabels) else "margin"
    if loss.argument != wanted:
        raise ValueError(f"these labels need a loss of the {wanted}, and {loss.name!r} is of the {loss.argument}")


def _start(modes: Modes, regularisation: float) -> Order:
    """A student that has learnt little."""
    response, norm, overlap = overlaps(modes, regularisation, (1.0, 1.0, 0.1))
    return response, norm, min(overlap, 0.5 * math.sqrt(norm * modes.teacher_variance))


def _normal_panels(
    deviation: float, fineness: float, corners: tuple[float, ...], step: float = math.inf
) -> tuple[Array, Array]:
    """Points and weights of an average over N(0, deviation^2) in panels that end at `corners`, narrow enough for a step
    at 0 that is `step` wide."""
    reach, width = REACH * deviation, fineness * min(PANEL * deviation, LARGEST)
    near = min(reach, REACH * step)
    rules = [panel_rule((-near, near), min(width, 2 * fineness * step), corners)]
    if near < reach:
        rules += [panel_rule(bounds, width, corners) for bounds in ((-reach, -near), (near, reach))]
    places, widths = (np.concatenate(parts) for parts in zip(*rules, strict=True))
    return places, widths * gaussian_density(places / deviation) / deviation
