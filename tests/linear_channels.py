"""The linear network of two inputs under any channel: posterior, predictions and evidence by a sum over a grid."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import nishimori as nm

Array = NDArray[np.float64]

REACH, POINTS = 6.5, 261


@dataclass(frozen=True)
class GridPosterior:
    """Of one instance: `weights` [points, 2] and their posterior `probabilities` [points]; `log_evidence` is log p of
    the labels given the inputs, in nats. The trapezoidal sum errs by less than 1e-10 where the posterior is wider than
    the spacing, 0.05."""

    weights: Array
    probabilities: Array
    log_evidence: float

    @classmethod
    def of(cls, problem: nm.Problem, place: int) -> "GridPosterior":
        axis = np.linspace(-REACH, REACH, POINTS)
        weights = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
        latent = weights @ problem.inputs[place].numpy().T / np.sqrt(2)
        log_prior = -(weights**2).sum(-1) / 2 - np.log(2 * np.pi) + 2 * np.log(axis[1] - axis[0])
        log_joint = problem.channel.log_likelihood(problem.labels[place].numpy(), latent).sum(-1) + log_prior
        largest = log_joint.max()
        total = np.exp(log_joint - largest).sum()
        return cls(weights, np.exp(log_joint - largest) / total, float(np.log(total) + largest))

    def mean(self, values: Array) -> Array:
        """Of `values` [points, ...]."""
        return np.tensordot(self.probabilities, values, 1)

    def latent(self, inputs: Array) -> Array:
        """F at inputs [rows, 2], [points, rows]."""
        return self.weights @ inputs.T / np.sqrt(2)
