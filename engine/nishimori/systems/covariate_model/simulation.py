"""Data sets of the Gaussian covariate model and what a student learns of each, one after the other."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from nishimori.models.addressed import Draws
from nishimori.systems.covariate_model.inputs import Source
from nishimori.systems.covariate_model.learning import learnt
from nishimori.theory.covariate_evolution import Learnt
from nishimori.theory.covariate_model import Labels, LinearLabels
from nishimori_kernels.rng import Stream

TEST_BLOCK = 1000
"""Rows of a test set that are in memory together."""


@dataclass(frozen=True)
class Address:
    """Of an instance's random numbers."""

    seed: int
    point: str
    instance: int

    def normals(self, stream: Stream, count: int, device: torch.device, first: int = 0) -> Tensor:
        """[count], float64, from element `first` on."""
        draws = Draws.of(self.seed, self.point, (self.instance,), device)
        return draws.rows(stream, count, 1, first).flatten()


@dataclass(frozen=True, eq=False)
class DataSet:
    """A `teacher` theta0 [k], and `inputs` x / sqrt(p) [n, p], `latents` z / sqrt(k) [n, k] and `labels` [n]."""

    teacher: Tensor
    inputs: Tensor
    latents: Tensor
    labels: Tensor


def drawn(source: Source, labels: Labels, samples: int, address: Address, device: torch.device) -> DataSet:
    """Element = row * source.numbers + column of TRAIN_INPUTS."""
    teacher = address.normals(Stream.TEACHER, len(source.covariance.psi), device)
    inputs, latents = _scaled_rows(source, Stream.TRAIN_INPUTS, 0, samples, address, device)
    noise = address.normals(Stream.TRAIN_NOISE, samples, device)
    return DataSet(teacher, inputs, latents, _labelled(labels, latents @ teacher, noise))


def student(
    source: Source, labels: Labels, loss: tuple[str, float], data: DataSet, test_samples: int, address: Address
) -> dict[str, float]:
    """Errors and training loss of what is learnt with `loss`, its kind and regularisation; errors exactly, given the
    weights, of Gaussian inputs, else over a test set."""
    weights, training_loss = learnt(loss[0], data.inputs, data.labels, loss[1])
    linear = isinstance(labels, LinearLabels)
    name = "generalization_error" if linear else "classification_error"
    if source.gaussian:
        reached = _order(source, weights, data.teacher, labels, training_loss)
        error = reached.generalization_error if linear else reached.classification_error
    else:
        error = _tested(source, labels, weights, data.teacher, test_samples, address)
    return {name: error, "training_loss": training_loss}


def posterior(source: Source, labels: Labels, data: DataSet) -> dict[str, float]:
    """E (u - <u>)^2 of the mean of the posterior of linear labels, exactly given the data, and the information of the
    labels on the teacher per dimension of x.

    What x does not tell of u counts as noise of the same variance for all teachers, its mean.
    """
    covariance = source.covariance
    noise = labels.noise_variance + covariance.unexplained
    known = torch.linalg.solve(
        *(torch.tensor(one, device=data.inputs.device) for one in (covariance.omega, covariance.phi))
    )
    count, width = known.shape
    features = data.inputs @ known * math.sqrt(count / width)
    precision = torch.eye(width, dtype=torch.float64, device=features.device) + features.mT @ features / noise
    mean = torch.linalg.solve(precision, features.mT @ data.labels / noise)
    information = 0.5 * float(torch.linalg.slogdet(precision)[1]) / count
    weights = known @ mean * math.sqrt(count / width)
    reached = _order(source, weights, data.teacher, labels, 0.0)
    return {
        "bayes_error": reached.generalization_error - labels.noise_variance,
        "mutual_information_per_dim": information,
    }


def _order(source: Source, weights: Tensor, teacher: Tensor, labels: Labels, training_loss: float) -> Learnt:
    """q, m and rho of these weights, exact for Gaussian inputs."""
    covariance, student, theirs = source.covariance, weights.cpu().numpy(), teacher.cpu().numpy()
    count, width = covariance.phi.shape
    norm = float(student @ covariance.omega @ student) / count
    overlap = float(student @ covariance.phi @ theirs) / math.sqrt(count * width)
    return Learnt(math.nan, norm, overlap, float(theirs @ covariance.psi @ theirs) / width, training_loss, labels)


def _tested(source: Source, labels: Labels, weights: Tensor, teacher: Tensor, samples: int, address: Address) -> float:
    noise, device = address.normals(Stream.TEST_NOISE, samples, weights.device), weights.device
    total = 0.0
    for first in range(0, samples, TEST_BLOCK):
        count = min(TEST_BLOCK, samples - first)
        inputs, latents = _scaled_rows(source, Stream.TEST_INPUTS, first, count, address, device)
        truth, outputs = _labelled(labels, latents @ teacher, noise[first : first + count]), inputs @ weights
        wrong = (truth - outputs) ** 2 if isinstance(labels, LinearLabels) else (truth * outputs < 0).double()
        total += float(wrong.sum())
    return total / samples


def _scaled_rows(
    source: Source, stream: Stream, first: int, count: int, address: Address, device: torch.device
) -> tuple[Tensor, Tensor]:
    normals = address.normals(stream, count * source.numbers, device, first * source.numbers)
    inputs, latents = source.rows(normals.view(count, source.numbers))
    return inputs / math.sqrt(inputs.shape[1]), latents / math.sqrt(latents.shape[1])


def _labelled(labels: Labels, outputs: Tensor, noise: Tensor) -> Tensor:
    noisy = outputs + math.sqrt(labels.noise_variance) * noise
    return noisy if isinstance(labels, LinearLabels) else noisy.sign()
