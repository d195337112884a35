"""BlackJAX's HMC and MCLMC, chains mapped by jax.vmap, transitions by jax.lax.scan."""

import functools
import time
from collections.abc import Callable
from typing import Any

import blackjax
import blackjax_mclmc as mclmc
import jax
import jax.numpy as jnp
import numpy as np
from jax_posterior import load, log_densities, log_density, observables

VERSION = f"blackjax {blackjax.__version__}, jax {jax.__version__}"
SAMPLERS = ("HMC", "MCLMC (unadjusted)")
TRAJECTORIES = "HMC"
NUM_STEPS = (8, 16, 32)
"""Lengths of trajectory that are tried, since BlackJAX leaves the choice to its user; the best of them counts."""
TRIED_DRAWS = 40


class Peer:
    def __init__(self, path: str) -> None:
        self.problem, self.start, self.points = load(path)
        self.density = functools.partial(log_density, self.problem)
        self.states = jax.vmap(lambda position: blackjax.hmc.init(position, self.density))(self.start)
        self._compiled: dict[int, Callable[..., Any]] = {}
        self._gradient = jax.jit(jax.vmap(jax.grad(self.density)))

    def log_density(self) -> dict[str, Any]:
        return {"values": log_densities(self.problem, self.points)}

    def trajectories(self, step_size: float, num_steps: int, count: int) -> dict[str, float]:
        if num_steps not in self._compiled:
            self._compiled[num_steps] = self._chain_loop(num_steps, observed=False)
        run, mass = self._compiled[num_steps], jnp.ones(self.start.shape[1])
        call = functools.partial(run, jax.random.key(0), self.states, step_size, mass, count)
        jax.block_until_ready(call())
        seconds, (_, (_, acceptance)) = _timed(call)
        return {"seconds": seconds, "acceptance": float(acceptance.mean())}

    def gradients(self, count: int) -> dict[str, float]:
        """Of all chains at their start."""
        call = functools.partial(self._gradients, self.start, count)
        jax.block_until_ready(call())
        seconds, _ = _timed(call)
        return {"seconds": seconds}

    def _gradients(self, positions: jax.Array, count: int) -> jax.Array:
        for _ in range(count):
            gradients = self._gradient(positions)
        return gradients

    def sample(self, sampler: str, warmup: int, draws: int, out: str) -> dict[str, Any]:
        return (self._hmc if sampler == "HMC" else self._mclmc)(warmup, draws, out)

    def _mclmc(self, warmup: int, draws: int, out: str) -> dict[str, Any]:
        """The library's tuning on the first chain, then all chains."""
        tune = mclmc.tuning(self.problem, self.start[0], warmup)
        jax.block_until_ready(tune())
        warmup_seconds, (_, parameters) = _timed(tune)
        settings = mclmc.tuned(parameters)
        run = mclmc.sampling(self.problem, self.start, settings, draws)
        jax.block_until_ready(run())
        seconds, seen = _timed(run)
        np.save(out, np.asarray(seen, np.float64).transpose(2, 1, 0))
        gradients = draws * settings.steps * mclmc.GRADIENTS_A_STEP
        return {"warmup_seconds": warmup_seconds, "seconds": seconds, "gradients": gradients}

    def _hmc(self, warmup: int, draws: int, out: str) -> dict[str, Any]:
        """Window adaptation of step size and diagonal metric on the first chain, then all chains."""
        candidates = [self._adapted(num_steps, warmup) for num_steps in NUM_STEPS]
        best = max(candidates, key=lambda candidate: candidate["rate"])
        call = functools.partial(best["run"], jax.random.key(5), best["states"], *best["settings"], draws)
        jax.block_until_ready(call())
        seconds, (_, (seen, acceptance)) = _timed(call)
        np.save(out, np.asarray(seen, np.float64).transpose(2, 1, 0))
        return {
            "warmup_seconds": sum(candidate["seconds"] for candidate in candidates),
            "seconds": seconds,
            "gradients": draws * best["num_steps"],
            "acceptance": float(acceptance.mean()),
        }

    def _adapted(self, num_steps: int, warmup: int) -> dict[str, Any]:
        adapt = blackjax.window_adaptation(blackjax.hmc, self.density, num_integration_steps=num_steps)
        adapted = jax.jit(lambda key: adapt.run(key, self.start[0], warmup))
        jax.block_until_ready(adapted(jax.random.key(1)))
        seconds, ((_, parameters), _) = _timed(lambda: adapted(jax.random.key(1)))
        run = self._chain_loop(num_steps, observed=True)
        settings = parameters["step_size"], parameters["inverse_mass_matrix"]
        states, _ = jax.block_until_ready(run(jax.random.key(2), self.states, *settings, TRIED_DRAWS))
        tried, (states, (seen, _)) = _timed(lambda: run(jax.random.key(3), states, *settings, TRIED_DRAWS))
        rate = _efficiency(np.asarray(seen, np.float64)) / tried
        return {
            "rate": rate,
            "run": run,
            "settings": settings,
            "states": states,
            "num_steps": num_steps,
            "seconds": seconds,
        }

    def _chain_loop(self, num_steps: int, observed: bool) -> Callable[..., Any]:
        """Compiled: `count` transitions of all chains."""

        @functools.partial(jax.jit, static_argnums=4)
        def run(key, states, step_size, inverse_mass, count):
            step = blackjax.hmc(self.density, step_size, inverse_mass, num_integration_steps=num_steps).step
            observe = jax.vmap(functools.partial(observables, self.problem))

            def transition(states, key):
                states, info = jax.vmap(step)(jax.random.split(key, states.position.shape[0]), states)
                return states, (observe(states.position) if observed else None, info.acceptance_rate)

            return jax.lax.scan(transition, states, jax.random.split(key, count))

        return run


def _timed(call: Callable[[], Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    result = jax.block_until_ready(call())
    return time.perf_counter() - started, result


def _efficiency(seen: np.ndarray) -> float:
    """(1 - rho) / (1 + rho) at lag one, the smaller of the observables; `seen` is [draws, chains, observables]."""
    centred = seen - seen.mean((0, 1))
    rho = (centred[1:] * centred[:-1]).mean((0, 1)) / np.square(centred).mean((0, 1))
    return float(((1 - rho) / (1 + rho)).min())
