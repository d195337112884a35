"""NumPyro's NUTS with its own warm-up, chains vectorised."""

import functools
import time
from typing import Any

import jax
import numpy as np
import numpyro
from jax_posterior import load, log_densities, log_density, observables
from numpyro.infer import MCMC, NUTS

VERSION = f"numpyro {numpyro.__version__}, jax {jax.__version__}"
SAMPLERS = ("NUTS",)
TRAJECTORIES = None


class Peer:
    def __init__(self, path: str) -> None:
        self.problem, self.start, self.points = load(path)

    def log_density(self) -> dict[str, Any]:
        return {"values": log_densities(self.problem, self.points)}

    def sample(self, sampler: str, warmup: int, draws: int, out: str) -> dict[str, Any]:
        del sampler
        kernel = NUTS(potential_fn=lambda position: -log_density(self.problem, position))
        layout = {"num_chains": self.start.shape[0], "chain_method": "vectorized", "progress_bar": False}
        mcmc = MCMC(kernel, num_warmup=warmup, num_samples=draws, **layout)
        started = time.perf_counter()
        mcmc.warmup(jax.random.key(0), init_params=self.start, extra_fields=("num_steps",))
        jax.block_until_ready(mcmc.post_warmup_state)
        warmed = mcmc.post_warmup_state
        warmup_seconds = time.perf_counter() - started
        mcmc.run(jax.random.key(1), extra_fields=("num_steps",))  # compiles
        mcmc.post_warmup_state = warmed
        started = time.perf_counter()
        mcmc.run(jax.random.key(2), extra_fields=("num_steps",))
        positions = jax.block_until_ready(mcmc.get_samples(group_by_chain=True))
        seconds = time.perf_counter() - started
        observe = jax.jit(jax.vmap(functools.partial(observables, self.problem)))
        seen = [np.asarray(observe(positions[:, draw]), np.float64) for draw in range(draws)]
        np.save(out, np.stack(seen, -1).transpose(1, 0, 2))
        steps = np.asarray(mcmc.get_extra_fields(group_by_chain=True)["num_steps"])
        return {"warmup_seconds": warmup_seconds, "seconds": seconds, "gradients": int(steps.max(0).sum())}
