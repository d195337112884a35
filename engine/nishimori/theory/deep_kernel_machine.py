"""Deep kernel machines: the kernels of the layers as what maximises an objective (Yang, Robeyns, Milsom, Schoots and
Aitchison, arXiv 2108.13097).

    L(G_1, ..., G_L) = log p(Y | G_L) - sum_l n_l KL(N(0, G_l) || N(0, K(G_{l-1}))),
    log p(Y | G) = sum over outputs of log N(y; 0, w G + sigma^2 1),   K(G) = E phi(h) phi(h)^T, h ~ N(0, w G)

and K(G_0) = K_inf^(1). Exact for deep Gaussian processes whose layers n_l and outputs n_d grow together; read at finite
n_l it is a theory of Bayesian networks where n ~ p. Linear networks have its first order in 1/n; others do not, as
their features are not Gaussian: Cov(K, K) of the prior is a fourth moment of phi there, a Wishart one here.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nishimori.description.activations import Activation
from nishimori.theory.kernel_corrections import Evidence
from nishimori.theory.kernel_maps import KernelMap, kernel_map

Array = NDArray[np.float64]
TOLERANCE = 1e-8
"""Of the gradient, over the widths."""


@dataclass(frozen=True, eq=False)
class DeepKernelMachine:
    """On the Gram matrix `gram` X X^T / d [p, p]; `widths` n_1, ..., n_L, of any size."""

    gram: Array
    widths: tuple[float, ...]
    activation: Activation
    evidence: Evidence

    @classmethod
    def of(
        cls, inputs: ArrayLike, widths: Sequence[float], activation: Activation, evidence: Evidence
    ) -> "DeepKernelMachine":
        """Of `inputs` [p, d]. Raises ValueError without a hidden layer, or with a width that is not positive."""
        rows = np.asarray(inputs, dtype=float)
        if not len(widths) or not all(width > 0 for width in widths):
            raise ValueError(f"widths = {tuple(widths)} must be positive, one a hidden layer")
        return cls(rows @ rows.T / rows.shape[1], tuple(widths), activation, evidence)

    def wide_kernels(self) -> tuple[Array, ...]:
        """K_inf^(l) by hidden layer, where the divergences are 0."""
        kernels, below = [], self.gram
        for _ in self.widths:
            below = self._map(below).kernel
            kernels.append(below)
        return tuple(kernels)

    def objective(self, kernels: Sequence[Array]) -> tuple[float, list[Array]]:
        """L and its gradients dL/dG_l [p, p], of `kernels` G_1, ..., G_L."""
        value, below = self.evidence.log(kernels[-1]), self.gram
        gradients = [np.zeros_like(kernel) for kernel in kernels]
        gradients[-1] += self.evidence.pull(kernels[-1])
        for layer, (kernel, width) in enumerate(zip(kernels, self.widths, strict=True)):
            mapped = self._map(below)
            inverse = np.linalg.inv(mapped.kernel)
            ratio = inverse @ kernel
            value -= 0.5 * width * (np.trace(ratio) - np.linalg.slogdet(ratio)[1] - len(kernel))
            gradients[layer] -= 0.5 * width * (inverse - np.linalg.inv(kernel))
            if layer:
                pull = -0.5 * width * (inverse - ratio @ inverse)
                gradients[layer - 1] += self.evidence.weight_variance * mapped.pulled_back(pull)
            below = kernel
        return float(value), gradients

    def maximised(self) -> tuple[Array, ...]:
        """G_1, ..., G_L at a maximum of L, reached from infinite width by L-BFGS over Cholesky factors and, to
        round-off, by Powell's hybrid method on the gradient. Raises ValueError where a kernel of infinite width is
        singular, or no stationary point is found."""
        from scipy import optimize

        factors = _Factors.of(self.wide_kernels())
        scale = max(self.widths)

        def descent(position: Array) -> tuple[float, Array]:
            value, gradients = self.objective(factors.kernels(position))
            return -value / scale, -factors.pulled_back(position, gradients) / scale

        rough = optimize.minimize(descent, factors.start, jac=True, method="L-BFGS-B", options={"maxiter": 2000})
        found = optimize.root(lambda position: descent(position)[1], rough.x, tol=1e-13).x
        value, gradient = descent(found)
        if not np.abs(gradient).max() < TOLERANCE or value > rough.fun + TOLERANCE:
            raise ValueError(f"the deep kernel machine of widths {self.widths} has no maximum that was found")
        return factors.kernels(found)

    def _map(self, kernel: Array) -> KernelMap:
        return kernel_map(self.activation, self.evidence.weight_variance * kernel)


@dataclass(frozen=True, eq=False)
class _Factors:
    """G_l = R_l T_l T_l^T R_l^T with R_l the Cholesky factor at infinite width; a position holds the lower triangles of
    all T_l, with logarithms on the diagonal."""

    roots: tuple[Array, ...]

    @classmethod
    def of(cls, kernels: Sequence[Array]) -> "_Factors":
        try:
            return cls(tuple(np.asarray(np.linalg.cholesky(kernel), dtype=np.float64) for kernel in kernels))
        except np.linalg.LinAlgError:
            raise ValueError(
                "a kernel of infinite width is singular, which leaves a deep kernel machine undefined: give fewer "
                "samples than input dimensions to linear networks, and no input twice"
            ) from None

    @property
    def start(self) -> Array:
        size = len(self.roots[0])
        return np.zeros(len(self.roots) * size * (size + 1) // 2)

    def kernels(self, position: Array) -> tuple[Array, ...]:
        factors = [root @ lower for root, lower in zip(self.roots, self._lower(position), strict=True)]
        return tuple(factor @ factor.T for factor in factors)

    def pulled_back(self, position: Array, gradients: Sequence[Array]) -> Array:
        pieces = []
        for root, lower, gradient in zip(self.roots, self._lower(position), gradients, strict=True):
            of_lower = 2 * root.T @ gradient @ root @ lower
            of_lower[np.diag_indices_from(lower)] *= np.diagonal(lower)
            pieces.append(of_lower[np.tril_indices_from(lower)])
        return np.concatenate(pieces)

    def _lower(self, position: Array) -> list[Array]:
        size, found = len(self.roots[0]), []
        for piece in np.split(position, len(self.roots)):
            lower = np.zeros((size, size))
            lower[np.tril_indices(size)] = piece
            lower[np.diag_indices(size)] = np.exp(np.diagonal(lower))
            found.append(lower)
        return found
