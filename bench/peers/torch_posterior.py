"""The posterior in torch, as one writes it there: float32, all chains at once or one."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

ACTIVATIONS = {"tanh": torch.tanh, "erf_sqrt2": lambda z: torch.erf(z / 2**0.5)}


@dataclass(frozen=True)
class Problem:
    """Of one instance; `shapes` are those of W_1, ..., W_L, a, and a position is all of them, flat, in this order.

    A position may have chains in front, [chains, num_parameters] or [num_parameters], and every result has them too.
    """

    inputs: Tensor
    labels: Tensor
    test_inputs: Tensor
    test_latent: Tensor
    noise_variance: float
    shapes: tuple[tuple[int, ...], ...]
    activation: str

    def latent(self, position: Tensor, inputs: Tensor) -> Tensor:
        """F, [rows]."""
        sizes = [int(np.prod(shape)) for shape in self.shapes]
        *layers, readout = position.split(sizes, dim=-1)
        hidden = inputs.T
        for flat, shape in zip(layers, self.shapes, strict=False):
            weights = flat.unflatten(-1, shape)
            hidden = ACTIVATIONS[self.activation](weights @ hidden / shape[1] ** 0.5)
        return (readout.unsqueeze(-2) @ hidden).squeeze(-2) / readout.shape[-1] ** 0.5

    def log_likelihood(self, position: Tensor) -> Tensor:
        residual = self.labels - self.latent(position, self.inputs)
        return -residual.square().sum(-1) / (2 * self.noise_variance)

    def log_density(self, position: Tensor) -> Tensor:
        return self.log_likelihood(position) - position.square().sum(-1) / 2

    @torch.no_grad()
    def observables(self, position: Tensor) -> Tensor:
        """function_overlap and log_likelihood, stacked first."""
        overlap = (self.latent(position, self.test_inputs) * self.test_latent).mean(-1)
        return torch.stack([overlap, self.log_likelihood(position)])

    @torch.no_grad()
    def log_densities(self, points: Tensor) -> list[float]:
        return self.log_density(points).double().tolist()


def load(path: str) -> tuple[Problem, Tensor, Tensor]:
    """The problem, start points [chains, num_parameters] and the points whose log densities are compared."""
    with np.load(path, allow_pickle=False) as file:

        def tensor(name: str) -> Tensor:
            return torch.from_numpy(file[name].astype(np.float32))

        arrays = [tensor(name) for name in ("inputs", "labels", "test_inputs", "test_latent")]
        widths = [int(width) for width in file["widths"]]
        columns = [int(file["inputs"].shape[1]), *widths]
        shapes = (*zip(widths, columns, strict=False), (columns[-1],))
        problem = Problem(*arrays, float(file["noise_variance"]), shapes, str(file["activation"]))
        return problem, tensor("start"), tensor("points")
