"""The posterior in JAX, as one writes it there: float32, one chain, to be mapped over chains."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

ACTIVATIONS = {"tanh": jnp.tanh, "erf_sqrt2": lambda z: jax.scipy.special.erf(z / jnp.sqrt(2.0))}


class Problem(NamedTuple):
    """Of one instance; `shapes` are those of W_1, ..., W_L, a, and a position is all of them, flat, in this order."""

    inputs: jax.Array
    labels: jax.Array
    test_inputs: jax.Array
    test_latent: jax.Array
    noise_variance: float
    shapes: tuple[tuple[int, ...], ...]
    activation: str


def load(path: str) -> tuple[Problem, jax.Array, jax.Array]:
    """The problem, start points [chains, num_parameters] and the points whose log densities are compared."""
    with np.load(path, allow_pickle=False) as file:
        arrays = (jnp.asarray(file[name], jnp.float32) for name in ("inputs", "labels", "test_inputs", "test_latent"))
        widths = [int(width) for width in file["widths"]]
        columns = [int(file["inputs"].shape[1]), *widths]
        shapes = (*zip(widths, columns, strict=False), (columns[-1],))
        problem = Problem(*arrays, float(file["noise_variance"]), shapes, str(file["activation"]))
        start, points = (jnp.asarray(file[name], jnp.float32) for name in ("start", "points"))
        return problem, start, points


def latent(problem: Problem, position: jax.Array, inputs: jax.Array) -> jax.Array:
    """F, [rows]."""
    hidden, first = inputs.T, 0
    for rows, columns in problem.shapes[:-1]:
        weights = position[first : first + rows * columns].reshape(rows, columns)
        hidden = ACTIVATIONS[problem.activation](weights @ hidden / jnp.sqrt(columns))
        first += rows * columns
    readout = position[first:]
    return readout @ hidden / jnp.sqrt(readout.shape[0])


def log_likelihood(problem: Problem, position: jax.Array) -> jax.Array:
    residual = problem.labels - latent(problem, position, problem.inputs)
    return -jnp.sum(residual**2) / (2 * problem.noise_variance)


def log_density(problem: Problem, position: jax.Array) -> jax.Array:
    return log_likelihood(problem, position) - jnp.sum(position**2) / 2


def log_densities(problem: Problem, points: jax.Array) -> list[float]:
    values = jax.vmap(lambda position: log_density(problem, position))(points)
    return np.asarray(values, np.float64).tolist()


def observables(problem: Problem, position: jax.Array) -> jax.Array:
    """function_overlap and log_likelihood."""
    overlap = jnp.mean(latent(problem, position, problem.test_inputs) * problem.test_latent)
    return jnp.stack([overlap, log_likelihood(problem, position)])
