"""Generators of inputs x = G(c), c ~ N(0, 1): Gaussian ones, random layers, any torch module, and their Gaussian
equivalents."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from nishimori.description.activations import ACTIVATIONS, Activation
from nishimori.description.input_moments import InputMoments, mean_of, require_covariance, through_layers
from nishimori.models.activation_kernel import TensorFunction, torch_function
from nishimori.models.addressed import Draws
from nishimori.models.random_layers import random_layers
from nishimori_kernels.rng.streams import Stream

Array = NDArray[np.float64]
CHUNK = 1 << 22
"""Numbers of a chunk in the pass that estimates moments."""


class InputGenerator(ABC):
    """A law of inputs: G maps `numbers` independent standard normals to `input_dim` inputs of mean 0, jointly Gaussian
    where it is `gaussian`. The first `latent_dim` of them are the latent c that a teacher may act on."""

    input_dim: int
    latent_dim: int
    gaussian: bool = False

    @property
    def numbers(self) -> int:
        return self.latent_dim

    @cached_property
    def moments(self) -> InputMoments:
        """What a Gaussian equivalent keeps of the law."""
        return self._moments()

    @abstractmethod
    def _moments(self) -> InputMoments: ...

    @abstractmethod
    def __call__(self, normals: Tensor) -> Tensor:
        """[..., numbers] to [..., input_dim], float64, on the device of `normals`."""


class IndependentInputs(InputGenerator):
    """x = sqrt(variances) * c; `variances` [input_dim]."""

    gaussian = True

    def __init__(self, variances: ArrayLike) -> None:
        self._deviations = np.sqrt(np.asarray(variances, dtype=np.float64))
        self.input_dim = self.latent_dim = len(self._deviations)

    def _moments(self) -> InputMoments:
        return InputMoments.independent(self._deviations**2)

    def __call__(self, normals: Tensor) -> Tensor:
        return normals * torch.tensor(self._deviations, device=normals.device)


class GaussianInputs(InputGenerator):
    """x ~ N(0, Omega) jointly with c: x = Phi c + (Omega - Phi Phi^T)^(1/2) z. `moments` may be those of another
    generator, whose Gaussian equivalent this is; a covariance alone has Phi = Omega^(1/2), and no z.

    Raises ValueError where there is no such law.
    """

    gaussian = True

    def __init__(self, moments: InputMoments | ArrayLike) -> None:
        if not isinstance(moments, InputMoments):
            moments = InputMoments.gaussian(require_covariance(moments))
        self._kept = InputMoments(np.zeros(moments.input_dim), moments.covariance, moments.cross)
        self.input_dim, self.latent_dim = moments.input_dim, moments.latent_dim
        left = moments.covariance - moments.cross @ moments.cross.T
        eigenvalues, vectors = np.linalg.eigh(left)
        scale = max(float(np.abs(moments.covariance).max()), 1e-300)
        if eigenvalues[0] < -1e-6 * scale * moments.input_dim:
            raise ValueError("no inputs have these moments: Omega - Phi Phi^T has negative eigenvalues; estimate both")
        kept = eigenvalues > 1e-12 * scale
        self._own = torch.tensor(vectors[:, kept] * np.sqrt(eigenvalues[kept]))
        self._cross = torch.tensor(moments.cross)

    @property
    def numbers(self) -> int:
        return self.latent_dim + self._own.shape[1]

    def _moments(self) -> InputMoments:
        return self._kept

    def __call__(self, normals: Tensor) -> Tensor:
        latent, own = normals.split([self.latent_dim, self._own.shape[1]], dim=-1)
        return latent @ self._cross.to(normals.device).T + own @ self._own.to(normals.device).T


class HiddenManifoldInputs(InputGenerator):
    """The hidden manifold (arXiv 1909.11500) and deep random generators: `depth` random layers c -> h(F c) - E h, rows
    of F of length 1, from `latent_dim` numbers; all layers but the first are [input_dim, input_dim].

    F is a function of `seed`. `moments` are those of the Gaussian equivalence theorem, proved for one layer (arXiv
    2006.14709) and supported by simulation for more.
    """

    def __init__(self, input_dim: int, latent_dim: int, activation: Activation, depth: int = 1, seed: int = 0) -> None:
        self.input_dim, self.latent_dim = input_dim, latent_dim
        self.activation = activation
        self._layers = random_layers(latent_dim, input_dim, depth, seed)

    def _moments(self) -> InputMoments:
        return through_layers(self._layers, self.activation)

    @cached_property
    def _means(self) -> list[float]:
        """E h of every layer, whose inputs have the variance of the layer before."""
        variance, means = 1.0, []
        for _ in self._layers:
            means.append(mean_of(self.activation, variance))
            variance = self.activation.second_moment(variance) - means[-1] ** 2
        return means

    def __call__(self, normals: Tensor) -> Tensor:
        phi, hidden = _function(self.activation, normals.device), normals
        for weights, mean in zip(self._layers, self._means, strict=True):
            hidden = phi(hidden @ torch.tensor(weights, device=normals.device).T) - mean
        return hidden


class ModuleInputs(InputGenerator):
    """Any torch module from [rows, latent_dim] to [rows, input_dim]; its mean, which is taken off, and its moments are
    averages over `samples` draws, in one pass.

    The module is used as it is, without gradients, in the dtype of its parameters (float64 where it has none). Raises
    ValueError where its outputs are not finite rows, at first use at the latest.
    """

    def __init__(self, module: torch.nn.Module, latent_dim: int, samples: int = 100_000, seed: int = 0) -> None:
        self.module, self.latent_dim, self.samples, self.seed = module.eval(), latent_dim, samples, seed
        self._dtype = next((parameter.dtype for parameter in module.parameters()), torch.float64)
        self.input_dim = self._raw(torch.zeros(2, latent_dim, dtype=torch.float64)).shape[1]

    def _moments(self) -> InputMoments:
        return estimated_moments(self._raw, self.latent_dim, self.samples, self.seed)

    @cached_property
    def _mean(self) -> Tensor:
        return torch.tensor(self.moments.mean)

    def __call__(self, normals: Tensor) -> Tensor:
        return self._raw(normals) - self._mean.to(normals.device)

    @torch.no_grad()
    def _raw(self, normals: Tensor) -> Tensor:
        rows = normals.reshape(-1, self.latent_dim).to(self._dtype)
        found = self.module.to(normals.device)(rows).to(torch.float64)
        if found.dim() != 2 or len(found) != len(rows) or not bool(torch.isfinite(found).all()):
            raise ValueError(
                f"the module maps {list(rows.shape)} to {list(found.shape)}; it must give finite rows "
                f"[{len(rows)}, input_dim]"
            )
        return found.reshape(*normals.shape[:-1], -1)


def estimated_moments(function: Callable[[Tensor], Tensor], numbers: int, samples: int, seed: int = 0) -> InputMoments:
    """Mean, Omega and Phi of a `function` of `numbers` standard normals, averaged over `samples` draws in one streaming
    pass; entries have errors of order 1/sqrt(samples). Draws depend on (seed, row)."""
    draws = Draws.of(seed, "inputs", (0,))
    rows, total = max(2, CHUNK // numbers), None
    for first in range(0, samples, rows):
        latent = draws.rows(Stream.GENERATOR_LATENTS, min(rows, samples - first), numbers, first)[0]
        found = function(latent)
        parts = found.sum(0), found.T @ found, found.T @ latent
        total = parts if total is None else tuple(old + new for old, new in zip(total, parts, strict=True))
    assert total is not None
    mean, square, cross = (part.numpy() / samples for part in total)
    return InputMoments(mean, square - np.outer(mean, mean), cross)


def _function(activation: Activation, device: torch.device) -> TensorFunction:
    return torch.sign if activation == ACTIVATIONS["sign"] else torch_function(activation, device)
