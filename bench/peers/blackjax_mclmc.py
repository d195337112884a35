"""BlackJAX's microcanonical Langevin dynamics with its own tuning; no Metropolis test, so that the step size biases."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import blackjax
import jax
import jax.numpy as jnp
from jax_posterior import Problem, log_density, observables

TUNING_STEPS = 50
"""For every transition that warm-up has: the library takes a third of them."""
GRADIENTS_A_STEP = 2
"""Of the isokinetic McLachlan integrator."""


class Tuned(NamedTuple):
    """`steps` make a draw: about one momentum decoherence length."""

    length: jax.Array
    step_size: jax.Array
    inverse_mass: jax.Array
    steps: int


def tuning(problem: Problem, start: jax.Array, warmup: int) -> Callable[[], tuple[Any, Any]]:
    """Compiled: state and parameters after the library's tuning from `start` [num_parameters]."""
    density = functools.partial(log_density, problem)
    kernel = blackjax.mclmc.build_kernel()

    @jax.jit
    def run(key):
        first, second = jax.random.split(key)
        state = blackjax.mclmc.init(start, density, first)
        state, parameters, _ = blackjax.mclmc_find_L_and_step_size(
            kernel, TUNING_STEPS * warmup, state, second, logdensity_fn=density
        )
        return state, parameters

    return lambda: run(jax.random.key(7))


def tuned(parameters: Any) -> Tuned:
    steps = max(1, round(float(parameters.L / parameters.step_size)))
    return Tuned(parameters.L, parameters.step_size, parameters.inverse_mass_matrix, steps)


def sampling(problem: Problem, start: jax.Array, settings: Tuned, draws: int) -> Callable[[], jax.Array]:
    """Compiled: observables [draws, chains, 2] of chains from `start` [chains, num_parameters]."""
    density, chains = functools.partial(log_density, problem), start.shape[0]
    observe = jax.vmap(functools.partial(observables, problem))
    parameters = settings.inverse_mass, settings.length, settings.step_size

    @jax.jit
    def run(key, start, inverse_mass, length, step_size):
        step = blackjax.mclmc(density, length, step_size, inverse_mass_matrix=inverse_mass).step

        def one(_, carried):
            key, states = carried
            key, own = jax.random.split(key)
            return key, jax.vmap(step)(jax.random.split(own, chains), states)[0]

        def draw(states, key):
            _, states = jax.lax.fori_loop(0, settings.steps, one, (key, states))
            return states, observe(states.position)

        first, second = jax.random.split(key)
        keys = jax.random.split(first, chains)
        states = jax.vmap(lambda position, key: blackjax.mclmc.init(position, density, key))(start, keys)
        return jax.lax.scan(draw, states, jax.random.split(second, draws))[1]

    return lambda: run(jax.random.key(8), jnp.asarray(start), *parameters)
