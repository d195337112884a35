"""The exact posterior of a network of one hidden layer and the identity activation.

The output is v.x / sqrt(input_dim) with effective weights v = W^T a / sqrt(d_1). Under the prior, v is N(0, s I)
given s = |a|^2 / d_1 ~ chi2(d_1) / d_1. So all is Gaussian given s, one integral over log s gives moments, and one
inversion of a distribution function gives independent draws.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import gammaln

from nishimori.exactness.quadrature import Array, GridLaw
from nishimori.models.layout import Position
from nishimori.models.problem import Problem
from nishimori.models.randomness import Randomness
from nishimori_kernels.rng import fill_normals
from nishimori_kernels.rng.streams import Stream


@dataclass(frozen=True, eq=False)
class LinearNetworkPosterior:
    """Of the instance at one place of a problem.

    `inputs` holds X = inputs / sqrt(input_dim), [samples, input_dim], and X X^T = vectors diag(values) vectors^T;
    `log_s` is the posterior of log s, `log_evidence` is log p(labels | inputs) in nats.
    """

    inputs: Array
    labels: Array
    noise_variance: float
    width: int
    values: Array
    vectors: Array
    log_s: GridLaw
    log_evidence: float

    @classmethod
    def of(cls, problem: Problem, place: int) -> "LinearNetworkPosterior":
        (width,), noise = problem.network.widths, problem.channel.noise_variance
        inputs = problem.inputs[place].numpy() / math.sqrt(problem.network.input_dim)
        labels = problem.labels[place].numpy()
        values, vectors = np.linalg.eigh(inputs @ inputs.T)
        logs = np.linspace(math.log(1e-6), math.log(1e2), 20001)
        s = np.exp(logs)
        variances = s[:, None] * values + noise
        given_s = -0.5 * (np.log(2 * math.pi * variances) + (vectors.T @ labels) ** 2 / variances).sum(-1)
        # The density of chi2(d_1) / d_1 times the s of ds = s d(log s).
        log_prior = width / 2 * (logs + math.log(width / 2)) - width * s / 2 - gammaln(width / 2)
        joint = given_s + log_prior
        log_evidence = float(np.logaddexp.reduce(joint)) + math.log(logs[1] - logs[0])
        return cls(inputs, labels, noise, width, values, vectors, GridLaw.of(logs, joint), log_evidence)

    def prediction(self, test_inputs: Array) -> tuple[Array, Array]:
        """Mean and variance of F on the rows of `test_inputs` [rows, input_dim]; [rows] each."""
        test = test_inputs / math.sqrt(test_inputs.shape[-1])
        cross = test @ self.inputs.T @ self.vectors
        s = np.exp(self.log_s.points)[:, None]
        variances = s * self.values + self.noise_variance
        mean = (s * (self.vectors.T @ self.labels) / variances) @ cross.T  # [s, rows]
        explained = (s**2 / variances) @ (cross**2).T
        second = s * (test**2).sum(-1) - explained + mean**2
        average = self.log_s.mean(mean)
        return average, self.log_s.mean(second) - average**2

    def squared_weights(self) -> tuple[float, float]:
        """Means of |W|^2 and of |a|^2. Of W, the part along a is v / sqrt(s) and the rest is free."""
        dim = self.inputs.shape[-1]
        s = np.exp(self.log_s.points)[:, None]
        variances = s * self.values + self.noise_variance
        mean_square = s * self.values * (self.vectors.T @ self.labels) ** 2 / variances**2
        along = dim + (mean_square - s * self.values / variances).sum(-1)
        return (self.width - 1) * dim + float(self.log_s.mean(along)), self.width * float(self.log_s.mean(s[:, 0]))

    def effective_weights(self, s: Array, normals: Array) -> Array:
        """v given `s` [chains], [chains, input_dim], from standard normals [chains, input_dim + samples].

        A draw from the prior, moved by what labels drawn with it lack (Matheron's rule).
        """
        dim = self.inputs.shape[-1]
        prior = np.sqrt(s)[:, None] * normals[:, :dim]
        noise = math.sqrt(self.noise_variance) * normals[:, dim:]
        residual = (self.labels - prior @ self.inputs.T - noise) @ self.vectors
        solved = residual / (s[:, None] * self.values + self.noise_variance)
        return prior + s[:, None] * (solved @ self.vectors.T @ self.inputs)


def linear_network_prediction(problem: Problem, place: int) -> tuple[Array, Array]:
    """Posterior mean and variance of F on the test inputs, [test_samples] each, of the instance at this place."""
    return LinearNetworkPosterior.of(problem, place).prediction(problem.rows("test")[place].numpy())


def exact_draws(problem: Problem, randomness: Randomness) -> Position:
    """Independent draws of all weights from the posterior, float64 on the CPU; blocks W [.., d_1, d] and a [.., d_1].

    Given v and s, the readout is uniform on its sphere and W is free but for its part along a.
    """
    position = problem.layout(len(randomness.chains)).empty(torch.float64, torch.device("cpu"))
    hidden, readout = randomness.fill_normals(position, Stream.PRIOR_START, 0).blocks
    size = problem.network.input_dim + problem.samples
    normals = torch.empty((*readout.shape[:2], size), dtype=torch.float64, device="cpu")
    fill_normals(normals, randomness.key, Stream.PRIOR_START, 1, randomness.instances, randomness.chains)
    uniforms = randomness.uniforms(Stream.PRIOR_START, 2)
    readout.div_(readout.norm(dim=-1, keepdim=True))
    for place in range(len(problem.instances)):
        law = LinearNetworkPosterior.of(problem, place)
        s = np.exp(law.log_s.quantile(uniforms[place].numpy()))
        effective = torch.from_numpy(law.effective_weights(s, normals[place].numpy()))
        root = torch.from_numpy(np.sqrt(s)).unsqueeze(-1)
        direction, weights = readout[place], hidden[place]
        along = effective / root - (direction.unsqueeze(1) @ weights).squeeze(1)
        weights.add_(direction.unsqueeze(-1) * along.unsqueeze(1))
        direction.mul_(root * math.sqrt(law.width))
    return position
