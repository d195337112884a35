"""Labels of the test inputs, and the data as they were after the first samples."""

import torch
from torch import Tensor

from nishimori.models.label_laws import label_law
from nishimori.models.problem import CPU, Problem, Teacher
from nishimori.models.randomness import Randomness
from nishimori_kernels.rng import fill_normals
from nishimori_kernels.rng.streams import Stream


def fresh_labels(problem: Problem, randomness: Randomness) -> Tensor:
    """Labels of the test inputs drawn by the teacher, [instances, test_samples], float64, on the CPU."""
    latent = problem.known_teacher().test_latent
    normals = torch.empty(len(latent), 1, latent.shape[1], dtype=torch.float64, device="cpu")
    fill_normals(normals, randomness.key, Stream.TEST_NOISE, 0, problem.instances, (0,))
    return label_law(problem.channel, CPU).draw(latent, normals.squeeze(1))


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
