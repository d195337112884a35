"""Data sets of the Gaussian covariate model and what a student learns of each, one after the other."""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from nishimori.models.addressed import Draws
from nishimori.models.inputs import InputGenerator
from nishimori.systems.covariate_model.covariates import Covariates
from nishimori.systems.covariate_model.learning import learnt
from nishimori.theory.convex_losses import Loss
from nishimori.theory.covariate_evolution import Learnt
from nishimori.theory.covariate_model import JointCovariance, Labels, LinearLabels
from nishimori_kernels.rng import Stream

TEST_BLOCK = 1000
"""Rows of a test set that are in memory together."""


@dataclass(frozen=True, eq=False)
class DataSet:
    """Of one instance of `draws`: `samples` rows that the `generator` makes."""

    covariates: Covariates
    generator: InputGenerator
    labelling: Labels
    samples: int
    draws: Draws

    @cached_property
    def teacher(self) -> Tensor:
        """theta0 [k]."""
        return self.draws.rows(Stream.TEACHER, len(self.covariates.covariance.psi), 1).flatten()

    @cached_property
    def inputs(self) -> Tensor:
        """x / sqrt(p) [n, p]."""
        return self._training[0]

    @cached_property
    def labels(self) -> Tensor:
        """[n]."""
        noise = self.draws.rows(Stream.TRAIN_NOISE, self.samples, 1).flatten()
        return self._labelled(self._training[1], noise)

    def tested(self, weights: Tensor, rows: int) -> float:
        """Error of these weights over `rows` fresh ones: squared, or of the class."""
        noise, total = self.draws.rows(Stream.TEST_NOISE, rows, 1).flatten(), 0.0
        for first in range(0, rows, TEST_BLOCK):
            count = min(TEST_BLOCK, rows - first)
            inputs, seen = self._rows(Stream.TEST_INPUTS, first, count)
            truth, outputs = self._labelled(seen, noise[first : first + count]), inputs @ weights
            linear = isinstance(self.labelling, LinearLabels)
            wrong = (truth - outputs) ** 2 if linear else (truth * outputs < 0).double()
            total += float(wrong.sum())
        return total / rows

    def order(self, weights: Tensor, training_loss: float = math.nan) -> Learnt:
        """q, m and rho of these weights, from which the errors of Gaussian inputs follow exactly."""
        covariance, student, theirs = self.covariates.covariance, weights.cpu().numpy(), self.teacher.cpu().numpy()
        count, width = covariance.phi.shape
        norm = float(student @ covariance.omega @ student) / count
        overlap = float(student @ covariance.phi @ theirs) / math.sqrt(count * width)
        variance = float(theirs @ covariance.psi @ theirs) / width
        return Learnt(math.nan, norm, overlap, variance, training_loss, self.labelling)

    @cached_property
    def _training(self) -> tuple[Tensor, Tensor]:
        return self._rows(Stream.TRAIN_INPUTS, 0, self.samples)

    def _rows(self, stream: Stream, first: int, count: int) -> tuple[Tensor, Tensor]:
        """x / sqrt(p) [count, p], and z / sqrt(k) [count, k] of the teacher."""
        normals = self.draws.rows(stream, count, self.generator.numbers, first).squeeze(0)
        inputs, deviations = self.generator(normals), self.covariates.deviations
        seen = inputs
        if deviations is not None:
            seen = normals[:, : self.generator.latent_dim] * torch.tensor(deviations, device=normals.device)
        return inputs / math.sqrt(inputs.shape[1]), seen / math.sqrt(seen.shape[1])

    def _labelled(self, seen: Tensor, noise: Tensor) -> Tensor:
        noisy = seen @ self.teacher + math.sqrt(self.labelling.noise_variance) * noise
        return noisy if isinstance(self.labelling, LinearLabels) else noisy.sign()


def student(data: DataSet, loss: Loss, regularisation: float, test_samples: int) -> dict[str, float]:
    """Error and training loss of what is learnt; the error exactly, given the weights, of Gaussian inputs, else over a
    test set."""
    weights, training_loss = learnt(loss, data.inputs, data.labels, regularisation)
    linear = isinstance(data.labelling, LinearLabels)
    name = "generalization_error" if linear else "classification_error"
    if data.covariates.gaussian:
        error = getattr(data.order(weights, training_loss), name)
    else:
        error = data.tested(weights, test_samples)
    return {name: error, "training_loss": training_loss}


def posterior(data: DataSet) -> dict[str, float]:
    """E (u - <u>)^2 of the mean of the posterior of linear labels of Gaussian inputs, exactly given the data, and the
    information of the labels on the teacher per dimension of x.

    What x does not tell of u counts as noise of the same variance for all teachers, its mean.
    """
    covariance: JointCovariance = data.covariates.covariance
    noise = data.labelling.noise_variance + covariance.unexplained
    known = torch.linalg.solve(
        *(torch.tensor(one, device=data.inputs.device) for one in (covariance.omega, covariance.phi))
    )
    count, width = known.shape
    features = data.inputs @ known * math.sqrt(count / width)
    precision = torch.eye(width, dtype=torch.float64, device=features.device) + features.mT @ features / noise
    mean = torch.linalg.solve(precision, features.mT @ data.labels / noise)
    information = 0.5 * float(torch.linalg.slogdet(precision)[1]) / count
    weights = known @ mean * math.sqrt(count / width)
    error = data.order(weights).generalization_error - data.labelling.noise_variance
    return {"bayes_error": error, "mutual_information_per_dim": information}
