"""The posterior mean of the feature kernels of finite Bayesian networks, to first order in 1/width (Zavatone-Veth,
Canatar, Ruben and Pehlevan, arXiv 2106.00651; the recursion of fluctuations: Yaida, arXiv 1910.00019).

Networks h^(l) = sqrt(w / n_{l-1}) W_l x^(l-1), x^(l) = phi(h^(l)), f = sqrt(w / n_L) a . x^(L), an output a column of
the labels Y [p, n_d], Gaussian noise of variance sigma^2, all weights N(0, 1). Feature kernels K^(l) = x^(l)^T x^(l) /
n_l [p, p] on the p inputs. The readout integrated out, the posterior tilts the prior by the evidence given K^(L), and

    <K^(l)> = E K^(l) + (n_d w / 2) sum_{mu nu} Cov(K^(l), K^(L)_{mu nu}) M_{mu nu} + O(1/n^2),
    M = Gamma^{-1} (Y Y^T / n_d - Gamma) Gamma^{-1},   Gamma = w K_inf^(L) + sigma^2 1,

with E and Cov over the prior at these widths (`prior_kernels` has E K^(l) - K_inf^(l), of the same order). What a
change of the last kernel adds to the log evidence, to first order, is (n_d w / 2) tr M (<K^(L)> - E K^(L)): the
evidence gain, never negative at leading order.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nishimori.description.activations import Activation
from nishimori.theory.fourth_moments import fourth_moments, sampled_fourth_moments
from nishimori.theory.kernel_maps import kernel_map

Array = NDArray[np.float64]
BATCHES = 20
"""Of a Monte Carlo average, for its error."""


@dataclass(frozen=True, eq=False)
class KernelFluctuations:
    """Of the prior: `kernels` K_inf^(l) [p, p], and Cov(K^(l), K^(L)) to order 1/n, [p, p, p, p], by hidden layer."""

    kernels: tuple[Array, ...]
    covariances: tuple[Array, ...]


@dataclass(frozen=True, eq=False)
class Evidence:
    """What the readout integrated out says of the last kernel: `labels` Y [p] or [p, n_d], the noise variance sigma^2
    and the weight variance w of the readout. Raises ValueError for a noise variance that is not positive."""

    labels: Array
    noise_variance: float
    weight_variance: float = 1.0

    def __post_init__(self) -> None:
        if not self.noise_variance > 0:
            raise ValueError(f"noise_variance must be positive, got {self.noise_variance}; give a variance")

    @property
    def outputs(self) -> Array:
        """Y [p, n_d]."""
        return self.labels.reshape(len(self.labels), -1)

    def pull(self, kernel: Array) -> Array:
        """n_d w M / 2 [p, p] at K^(L) = `kernel`, the gradient of the log evidence."""
        total = self.weight_variance * kernel + self.noise_variance * np.eye(len(kernel))
        inverse = np.linalg.inv(total)
        solved = inverse @ self.outputs
        return 0.5 * self.weight_variance * (solved @ solved.T - self.outputs.shape[1] * inverse)

    def log(self, kernel: Array) -> float:
        """log p(Y | K^(L) = `kernel`)."""
        total = self.weight_variance * kernel + self.noise_variance * np.eye(len(kernel))
        fit = float(np.sum(self.outputs * np.linalg.solve(total, self.outputs)))
        determinant = float(np.linalg.slogdet(2 * np.pi * total)[1])
        return -0.5 * (self.outputs.shape[1] * determinant + fit)


def kernel_fluctuations(
    inputs: ArrayLike,
    widths: Sequence[int],
    activation: Activation,
    weight_variance: float = 1.0,
    moments: Callable[[Activation, Array], Array] = fourth_moments,
) -> KernelFluctuations:
    """Of `inputs` [p, d], by the recursion of fluctuations up the layers,

        Cov(K^(l), K^(l)) = (1/n_l) [E phi phi phi phi - K^(l) K^(l)] + D_l Cov(K^(l-1), K^(l-1)) D_l^T,
        Cov(K^(l), K^(m)) = Cov(K^(l), K^(m-1)) D_m^T,   D_m = w dK_inf^(m) / dS.

    `moments` are the fourth moments of an activation at a covariance. Raises ValueError without a hidden layer, and as
    `fourth_moments` does.
    """
    if not len(widths):
        raise ValueError("a network without hidden layers has no feature kernel; give widths")
    rows = np.asarray(inputs, dtype=float)
    covariance = weight_variance * rows @ rows.T / rows.shape[1]
    kernels: list[Array] = []
    found: list[Array] = []
    for width in widths:
        mapped = kernel_map(activation, covariance)
        slopes = weight_variance * mapped.derivative()
        kernel = mapped.kernel
        fresh = (moments(activation, covariance) - np.multiply.outer(kernel, kernel)) / width
        if found:
            fresh = fresh + np.einsum("abij,ijkl,cdkl->abcd", slopes, found[-1], slopes, optimize=True)
        found = [np.einsum("abij,cdij->abcd", one, slopes) for one in found] + [fresh]
        kernels.append(kernel)
        covariance = weight_variance * kernel
    return KernelFluctuations(tuple(kernels), tuple(found))


def kernel_changes(fluctuations: KernelFluctuations, evidence: Evidence) -> tuple[Array, ...]:
    """<K^(l)> - E K^(l) [p, p] to order 1/n, by hidden layer."""
    pull = evidence.pull(fluctuations.kernels[-1])
    return tuple(np.einsum("abcd,cd->ab", covariance, pull) for covariance in fluctuations.covariances)


def evidence_gain(change: Array, kernel: Array, evidence: Evidence) -> float:
    """(n_d w / 2) tr M (<K^(L)> - E K^(L)) in nats, of the `change` of the last kernel and K_inf^(L) = `kernel`."""
    return float(np.sum(evidence.pull(kernel) * change))


def deep_linear_changes(inputs: ArrayLike, widths: Sequence[int], evidence: Evidence) -> tuple[Array, ...]:
    """`kernel_changes` of a deep linear network in closed form,

    <K^(l)> = w^l [G + n_d (sum_{l' <= l} 1/n_l') w^{L+1} G M G],   G = X X^T / d.
    """
    rows = np.asarray(inputs, dtype=float)
    gram, weight = rows @ rows.T / rows.shape[1], evidence.weight_variance
    pull = evidence.pull(weight ** len(widths) * gram)
    inverse_widths = np.cumsum(1 / np.asarray(widths, dtype=float))
    scale = 2 * weight ** len(widths)
    return tuple(
        scale * weight**layer * inverse * gram @ pull @ gram for layer, inverse in enumerate(inverse_widths, start=1)
    )


def sampled_kernel_changes(
    inputs: ArrayLike, widths: Sequence[int], activation: Activation, evidence: Evidence, normals: Array
) -> Array:
    """Independent estimates of `kernel_changes`, [BATCHES, layers, p, p], of which the mean is taken and the scatter is
    the error: fourth moments are Monte Carlo averages over `normals` [draws, p], independent N(0, 1), a batch of them
    an estimate. For activations and inputs that have neither a closed form nor a quadrature."""
    if len(normals) < 2 * BATCHES:
        raise ValueError(f"give at least {2 * BATCHES} draws of normals, got {len(normals)}")
    found = []
    for batch in np.array_split(normals, BATCHES):

        def moments(phi: Activation, covariance: Array, drawn: Array = batch) -> Array:
            return sampled_fourth_moments(phi, covariance, drawn)[0]

        fluctuations = kernel_fluctuations(inputs, widths, activation, evidence.weight_variance, moments)
        found.append(kernel_changes(fluctuations, evidence))
    return np.array(found)


def divergence_from_prior(fluctuations: KernelFluctuations, evidence: Evidence) -> float:
    """KL of the posterior of the hidden layers to their prior, to order 1/n, in nats: half the evidence gain."""
    change = kernel_changes(fluctuations, evidence)[-1]
    return 0.5 * evidence_gain(change, fluctuations.kernels[-1], evidence)
