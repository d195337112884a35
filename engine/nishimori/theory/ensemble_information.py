"""Information in ensembles of infinitely wide networks, in nats, with corrections to the source.

Z is the output at an input X for an unknown network of the ensemble, N(mu(x), S(x)) where that is wide; Y its label, D
the training data. Nothing here knows whether mu and S are of trained networks or of a posterior (see `ensembles`).

Source: Shwartz-Ziv and Alemi 2019, arXiv 1911.09189. Its eqs. 11 and 20 print the bounds on I(Z;Y) and I(theta;D) the
wrong way round; its eqs. 16-18 call the energy the square of the path length; its eq. 27, the information in the
weights, lacks a factor 1/2 and a cross term. What stands here is derived anew, and tested by brute force.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nishimori.description.quadrature import normal_rule, panel_rule
from nishimori.theory.ensembles import Flow

Array = NDArray[np.float64]
SPACING = 1 / 16
"""Of the rule over Z given an input, in its standard deviations."""
FIRST_PANEL = 0.5
"""Of a path, in units of the fastest mode's time; panels double in length."""


def expected_loss(mean: ArrayLike, variance: ArrayLike, labels: ArrayLike, label_variance: float = 1.0) -> float:
    """E -log q(y | z), q = N(y; z, label_variance), over z ~ N(mean, variance) and the inputs [inputs]."""
    missed = float(np.mean((_real(labels) - _real(mean)) ** 2 + _real(variance)))
    return 0.5 * missed / label_variance + 0.5 * math.log(2 * math.pi * label_variance)


def label_information_bound(entropy: float, squared_error: float, label_variance: float | None = None) -> float:
    """H(Y) + E log q(y | z), which is at most I(Z;Y) (eq. 11, as its text has it), from H(Y) and E (y - z)^2.

    Without `label_variance` q has the best constant variance, E (y - z)^2 itself.
    """
    variance = squared_error if label_variance is None else label_variance
    return entropy - 0.5 * squared_error / variance - 0.5 * math.log(2 * math.pi * variance)


def input_information_bounds(mean: ArrayLike, variance: ArrayLike) -> tuple[float, float]:
    """Bounds between which I(Z;X|D) lies on average over the inputs: from N(mean, variance) of B of them [inputs],

        (1/B) sum_i log p(z|x_i) / ((1/B) sum_j p(z|x_j))   and   ... / ((1/(B-1)) sum_{j != i} p(z|x_j)),

    each averaged over z ~ p(z|x_i) by quadrature. The lower one is at most log B. Source: Poole et al. 2019, arXiv
    1905.06922, the bounds for a known p(z|x). Raises ValueError for fewer than two inputs, or variances that are not
    positive.
    """
    centres, variances = _real(mean)[:, None], _real(variance)[:, None]
    if len(centres) < 2 or not (variances > 0).all():
        raise ValueError("give the means and positive variances of at least two inputs")
    scales, (points, weights) = np.sqrt(variances), normal_rule(SPACING)
    norms, lower, upper = np.log(scales), [], []
    for own in range(len(centres)):
        logs = -0.5 * ((centres[own] + scales[own] * points - centres) / scales) ** 2 - norms  # [inputs, points]
        known = logs[own].copy()
        logs[own] = -math.inf
        others = _log_sum(logs)
        lower.append(weights @ (known - np.logaddexp(others, known)) + math.log(len(centres)))
        upper.append(weights @ (known - others) + math.log(len(centres) - 1))
    return float(np.mean(lower)), float(np.mean(upper))


def data_information_bound(mean: ArrayLike, variance: ArrayLike, prior_variance: ArrayLike) -> float:
    """E KL(N(mean, variance) || N(0, prior_variance)) over the inputs [inputs], which is at least I(Z;D|X)."""
    ratio = _real(variance) / _real(prior_variance)
    return float(np.mean(0.5 * (ratio + _real(mean) ** 2 / _real(prior_variance) - 1 - np.log(ratio))))


def fisher_trace(tangent: ArrayLike) -> float:
    """tr J^T J = tr Theta [samples, samples], which training leaves as it is."""
    return float(np.trace(_real(tangent)))


def path_lengths(tangent: ArrayLike, starts: ArrayLike, labels: ArrayLike, time: float) -> Array:
    """L = int_0^tau |dz/dt| dt [starts], dz/dt = -Theta exp(-t Theta) (z_0 - Y), of `starts` z_0 [starts, samples].

    Quadrature. The mean of L^2 over starts has no closed form; L^2 is at most tau times `path_energies`.
    """
    flow = Flow(_real(tangent))
    eigenvalues, vectors = flow.modes
    speeds = ((_real(starts) - _real(labels)) @ vectors) * eigenvalues  # [starts, samples]
    moments, weights = _path_rule(flow, time)
    return np.sqrt(speeds**2 @ np.exp(-2 * np.outer(eigenvalues, moments))) @ weights


def path_energies(tangent: ArrayLike, starts: ArrayLike, labels: ArrayLike, time: float) -> Array:
    """int_0^tau |dz/dt|^2 dt [starts] of `starts` z_0 [starts, samples]:

    (z_0 - Y)^T Theta (1 - exp(-2 tau Theta)) (z_0 - Y) / 2, whose mean over N(0, K) is `path_energy`.
    """
    flow = Flow(_real(tangent))
    eigenvalues, vectors = flow.modes
    missed = (_real(starts) - _real(labels)) @ vectors  # [starts, samples]
    return 0.5 * missed**2 @ (eigenvalues * (1 - flow.decays(time) ** 2))


def path_energy(tangent: ArrayLike, covariance: ArrayLike, labels: ArrayLike, time: float) -> float:
    """E int_0^tau |dz/dt|^2 dt over z_0 ~ N(0, K) [samples, samples]:

    (tr K Theta (1 - exp(-2 tau Theta)) + Y^T Theta (1 - exp(-2 tau Theta)) Y) / 2 (eqs. 16-18, there called E L^2).
    """
    flow = Flow(_real(tangent))
    eigenvalues, vectors = flow.modes
    squares = np.einsum("sm,st,tm->m", vectors, _real(covariance), vectors) + (_real(labels) @ vectors) ** 2
    return float(0.5 * np.sum(squares * eigenvalues * (1 - flow.decays(time) ** 2)))


def weight_divergence(tangent: ArrayLike, labels: ArrayLike, time: float) -> float:
    """KL(p(theta_tau | D) || p(theta_0)) of the linear model z = J theta, theta_0 ~ N(0, 1), so that K = Theta = J J^T:

        tau tr Theta - tr(1 - exp(-2 tau Theta)) / 2 + Y^T Theta^{-1} (1 - exp(-tau Theta))^2 Y / 2.

    theta_tau is Gaussian, a contraction of theta_0 by exp(-tau lambda) along every mode: tau tr Theta is the volume it
    loses. Averaged over data it is at least I(theta_tau; D) (eq. 20, the right way round). Corrects eq. 27. Two kernels
    K != Theta do not fix it.
    """
    flow = Flow(_real(tangent))
    eigenvalues, vectors = flow.modes
    positive, gone = np.where(eigenvalues > 0, eigenvalues, 1.0), 1 - flow.decays(time)
    moved = (_real(labels) @ vectors) ** 2 * gone**2 / positive
    volume = time * eigenvalues[eigenvalues > 0].sum()
    return float(volume - 0.5 * np.sum(1 - flow.decays(time) ** 2) + 0.5 * np.sum(moved))


def posterior_information(covariance: ArrayLike, noise_variance: float) -> float:
    """I(Theta; Y | X) = logdet(1 + K / noise_variance) / 2 of the NNGP on the training inputs [samples, samples]."""
    matrix = _real(covariance)
    return float(0.5 * np.linalg.slogdet(np.eye(len(matrix)) + matrix / noise_variance)[1])


def gaussian_information(signal_variance: float, noise_variance: float) -> float:
    """I(X;Y) of y = v.x + noise, v.x Gaussian of `signal_variance`."""
    return 0.5 * math.log1p(signal_variance / noise_variance)


def gaussian_bottleneck(input_information: ArrayLike, signal_variance: float, noise_variance: float) -> Array:
    """The most I(T;Y) of any T that knows I(T;X) = `input_information` of X, for such X and Y (Chechik et al. 2005):

    -log(1 - r (1 - exp(-2 I(T;X)))) / 2, with r = signal / (signal + noise) the squared correlation of Y and v.x.
    """
    correlation = signal_variance / (signal_variance + noise_variance)
    return -0.5 * np.log1p(correlation * np.expm1(-2 * _real(input_information)))


def _real(values: ArrayLike) -> Array:
    return np.asarray(values, dtype=np.float64)


def _path_rule(flow: Flow, time: float) -> tuple[Array, Array]:
    """Moments and weights up to `time`, or to where no mode moves any more."""
    eigenvalues, _ = flow.modes
    moving = eigenvalues[eigenvalues > 0]
    if not len(moving) or time <= 0:
        return np.zeros(0), np.zeros(0)
    end = min(time, 45 / float(moving.min()))
    edges, step = [0.0], FIRST_PANEL / float(moving.max())
    while edges[-1] < end:
        edges.append(min(end, edges[-1] + step))
        step = max(step, edges[-1])
    rules = [panel_rule((low, high), high - low) for low, high in zip(edges, edges[1:], strict=False)]
    moments, weights = zip(*rules, strict=True)
    return np.concatenate(moments), np.concatenate(weights)


def _log_sum(logs: Array) -> Array:
    """Of the exponentials of [inputs, points], over inputs."""
    most = logs.max(axis=0)
    return most + np.log(np.exp(logs - most).sum(axis=0))
