"""Where what a teacher and a student see comes from: their joint covariance, and rows of both.

Importing this never imports torch: a covariance needs none, rows do.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from nishimori.description.activations import ACTIVATIONS
from nishimori.description.config import NonNegative, Positive
from nishimori.description.errors import BadInput
from nishimori.description.input_moments import InputMoments, mean_of, power_law
from nishimori.theory.covariate_model import JointCovariance
from nishimori_kernels.rng.keys import random_key
from nishimori_kernels.rng.streams import Stream

if TYPE_CHECKING:
    from torch import Tensor

Array = NDArray[np.float64]
Exponent = Annotated[float, msgspec.Meta(ge=0, le=100)]
DEFAULTS: dict[str, dict[str, Any]] = {
    "gaussian": {"exponent": 0.5, "latent_exponent": 0.0, "correlation": 0.9, "directions": "random"},
    "hidden_manifold": {"activation": "sign"},
}
"""Keys of [inputs] that a kind takes, beyond those of all."""
PREFIX = "inputs_"
"""Begins the parameters that are of [inputs]."""


class InputsSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """z of `latent_ratio` numbers per number of x. gaussian: variances of x and z fall as i^-exponent and
    i^-latent_exponent, of mean 1, and their whitened directions are a `correlation` apart from being the same: at
    random, or the i-th of x with the i-th of z where they are "shared". hidden_manifold: x = h(F z / sqrt(k)) - E h,
    h the `activation`, rows of F of length sqrt(k). `seed` draws what is at random here, for all points and data sets
    alike. Defaults: DEFAULTS."""

    kind: Literal["gaussian", "hidden_manifold"] = "gaussian"
    latent_ratio: Positive = 1.0
    seed: NonNegative = 0
    exponent: Exponent | None = None
    latent_exponent: Exponent | None = None
    correlation: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None
    directions: Literal["random", "shared"] | None = None
    activation: Literal["sign", "erf", "erf_sqrt2", "relu", "tanh", "sin"] | None = None


def settings(section: InputsSection) -> dict[str, Any]:
    """Every key with its value. Raises BadInput for one that the kind does not take."""
    given = {key: value for key, value in msgspec.to_builtins(section).items() if value is not None}
    common = {key: given.pop(key) for key in ("kind", "latent_ratio", "seed")}
    taken = DEFAULTS[section.kind]
    for key in given:
        if key not in taken:
            raise BadInput(f"inputs.{key} is not of inputs.kind = {section.kind!r}; take {', '.join(taken)}, or none")
    return common | taken | given


def source(input_dim: int, settings: Mapping[str, Any]) -> "Source":
    """Inputs of p = `input_dim` numbers by `settings`."""
    return _source(input_dim, tuple(sorted(settings.items())))


@lru_cache(maxsize=4)
def _source(input_dim: int, items: tuple[tuple[str, Any], ...]) -> "Source":
    told = dict(items)
    width = max(1, round(told["latent_ratio"] * input_dim))
    if told["kind"] == "hidden_manifold":
        rows = _normals(input_dim, width, told["seed"])
        return HiddenManifold(rows / np.linalg.norm(rows, axis=1, keepdims=True), told["activation"])
    variances = power_law(input_dim, told["exponent"]), power_law(width, told["latent_exponent"])
    if told["directions"] == "shared":
        return GaussianInputs(*variances, told["correlation"], np.eye(input_dim, width))
    tall = np.linalg.qr(_normals(max(input_dim, width), min(input_dim, width), told["seed"]))[0]
    return GaussianInputs(*variances, told["correlation"], tall if input_dim >= width else tall.T)


@dataclass(frozen=True, eq=False)
class GaussianInputs:
    """x = Omega^(1/2) (c O g + (1 - c^2 O O^T)^(1/2) g'), z = Psi^(1/2) g of normal g [k] and g' [p]: diagonal Omega
    and Psi of `variances` [p] and `latent_variances` [k], c = `correlation`, and an `isometry` O [p, k]."""

    variances: Array
    latent_variances: Array
    correlation: float
    isometry: Array
    gaussian: bool = True

    @cached_property
    def covariance(self) -> JointCovariance:
        roots = np.sqrt(self.variances)[:, None], np.sqrt(self.latent_variances)
        phi = self.correlation * roots[0] * self.isometry * roots[1]
        return JointCovariance(np.diag(self.latent_variances), phi, np.diag(self.variances))

    @property
    def numbers(self) -> int:
        return len(self.latent_variances) + len(self.variances)

    def rows(self, normals: "Tensor") -> "tuple[Tensor, Tensor]":
        import torch

        width = len(self.latent_variances)
        isometry, variances, latent_variances = (
            torch.tensor(one, device=normals.device) for one in (self.isometry, self.variances, self.latent_variances)
        )
        shared, own = normals[:, :width], normals[:, width:]
        # O O^T is a projector, or 1
        kept = own - (1 - math.sqrt(1 - self.correlation**2)) * ((own @ isometry) @ isometry.mT)
        inputs = self.correlation * shared @ isometry.mT + kept
        return inputs * variances.sqrt(), shared * latent_variances.sqrt()


@dataclass(frozen=True, eq=False)
class HiddenManifold:
    """x = h(F z) - E h of z ~ N(0, 1_k), with `weights` F [p, k] of rows of length 1 (arXiv 1909.11500). Its Gaussian
    equivalent: Phi = b F, Omega = b^2 F F^T + (Var h - b^2) 1, b = E h' (arXiv 2006.14709, section 2)."""

    weights: Array
    activation: str
    gaussian: bool = False

    @cached_property
    def covariance(self) -> JointCovariance:
        width = self.weights.shape[1]
        moments = InputMoments.of_latent(width).through(self.weights, ACTIVATIONS[self.activation])
        return JointCovariance(np.eye(width), moments.cross, moments.covariance)

    @property
    def numbers(self) -> int:
        return self.weights.shape[1]

    def rows(self, normals: "Tensor") -> "tuple[Tensor, Tensor]":
        import torch

        from nishimori.models.activation_kernel import torch_function

        fields = normals @ torch.tensor(self.weights, device=normals.device).mT
        if self.activation == "sign":
            return fields.sign(), normals
        h = ACTIVATIONS[self.activation]
        return torch_function(h, normals.device)(fields) - mean_of(h, 1.0), normals


Source = GaussianInputs | HiddenManifold
"""`covariance` is that of z and x, or of their Gaussian equivalent where they are not `gaussian`. A row of both takes
`numbers` normal ones: `rows` makes x [rows, p] and z [rows, k] of [rows, numbers]."""


def _normals(rows: int, columns: int, seed: int) -> Array:
    """[rows, columns], the same for all data sets: instance 0 of a key without a point."""
    from nishimori_kernels.rng.reference import normals

    drawn = normals(random_key(seed), Stream.FEATURES, 0, (0,), (0,), rows * columns)
    return drawn.reshape(rows, columns)
