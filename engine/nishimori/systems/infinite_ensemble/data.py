"""Data sets: of a teacher of the networks' own prior, or of a linear one, which makes inputs and labels jointly
Gaussian."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nishimori.description import Network
from nishimori.models.addressed import Draws
from nishimori.models.problem import Problem, matched_teacher
from nishimori_kernels.rng import Stream

if TYPE_CHECKING:
    from nishimori.description import GaussianChannel

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Data:
    """A problem of all instances, the outputs `latent` of its test inputs without noise [instances, rows], and where
    labels are linear the variance `signal` of v.x / sqrt(d) given v [instances]."""

    problem: Problem
    latent: Array
    signal: Array | None


def drawn(
    network: Network,
    channel: "GaussianChannel",
    labels: str,
    sizes: tuple[int, int],
    address: tuple[int, str, Sequence[int]],
) -> Data:
    """From labels = "teacher" or "linear", so many samples and test samples; `address` is seed, point and instances."""
    source = network if labels == "teacher" else Network(network.input_dim)
    (samples, test_samples), (seed, point, instances) = sizes, address
    problem = matched_teacher(source, channel, samples, instances, seed, test_samples, point)
    teacher = problem.known_teacher()
    if labels == "teacher":
        return Data(problem, teacher.test_latent.numpy(), None)
    signal = teacher.weights.blocks[0].square().mean(-1).flatten().numpy()
    given = {"test_inputs": teacher.test_inputs, "instances": problem.instances}
    own = Problem(network, channel, problem.inputs, problem.labels, **given)
    return Data(own, teacher.test_latent.numpy(), signal)


def held_out_normals(inputs: int, address: tuple[int, str, Sequence[int]]) -> Array:
    """[instances, inputs], for a function drawn from a posterior."""
    return Draws.of(*address).rows(Stream.HELD_OUT, 1, inputs).squeeze(1).numpy()
