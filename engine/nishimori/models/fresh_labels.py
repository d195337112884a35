"""Labels of the test inputs, and the data as they were after the first samples."""

import math

import torch
from torch import Tensor

from nishimori.description.channels import Channel, OutputChannel, ProbitChannel
from nishimori.models.problem import Problem, Teacher
from nishimori.models.randomness import Randomness
from nishimori_kernels.rng import fill_normals
from nishimori_kernels.rng.streams import Stream


def labels_of_latent(channel: Channel, latent: Tensor, normals: Tensor) -> Tensor:
    """Labels of `latent` outputs, in its shape, from as many standard normals; for every channel (see `channels`)."""
    noise = math.sqrt(channel.noise_variance) * normals
    if isinstance(channel, ProbitChannel):
        return torch.where(latent + noise < 0, -1.0, 1.0).to(latent.dtype)
    if isinstance(channel, OutputChannel):
        return torch.from_numpy(channel.function.function(latent.numpy())) + noise
    return latent + noise


def fresh_labels(problem: Problem, randomness: Randomness) -> Tensor:
    """Labels of the test inputs drawn by the teacher, [instances, test_samples], float64, on the CPU."""
    latent = problem.known_teacher().test_latent
    normals = torch.empty(len(latent), 1, latent.shape[1], dtype=torch.float64, device="cpu")
    fill_normals(normals, randomness.key, Stream.TEST_NOISE, 0, problem.instances, (0,))
    return labels_of_latent(problem.channel, latent, normals.squeeze(1))


def first_samples(problem: Problem, samples: int) -> Problem:
    """The same teachers and test inputs with the first `samples` rows of the training set; one at the least."""
    teacher = problem.known_teacher()
    return Problem(
        problem.network,
        problem.channel,
        problem.inputs[:, :samples],
        problem.labels[:, :samples],
        test_inputs=teacher.test_inputs,
        teacher=Teacher(teacher.weights, teacher.latent[:, :samples], teacher.test_inputs, teacher.test_latent),
        instances=problem.instances,
    )
