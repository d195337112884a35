"""The BAOA integrator of posteriors on all data and all chains at once: underdamped Langevin without a Metropolis test.

The library leaves the step size to its user. Here it is half the largest of STEP_SIZES at which the virial theorem,
E[theta . dU/dtheta] = num_parameters, holds within LARGEST_BIAS: longer steps are quick but off by more than the error
of a few hundred draws.
"""

import time
from importlib.metadata import version
from typing import Any

import numpy as np
import posteriors
import torch
from torch import Tensor
from torch_posterior import load

VERSION = f"posteriors {version('posteriors')}, torch {torch.__version__}"
SAMPLERS = ("BAOA (unadjusted)",)
TRAJECTORIES = "BAOA (unadjusted)"
STEP_SIZES = (0.2, 0.1, 0.05, 0.025, 0.0125, 0.00625)
LARGEST_BIAS = 0.01
FRICTION = 1.0
STEPS_A_DRAW = 10


class Peer:
    def __init__(self, path: str) -> None:
        self.problem, self.start, self.points = load(path)

    def log_density(self) -> dict[str, Any]:
        return {"values": self.problem.log_densities(self.points)}

    def trajectories(self, step_size: float, num_steps: int, count: int) -> dict[str, float]:
        transform, state = self._started(step_size)
        state, _ = transform.update(state, None)
        started = time.perf_counter()
        for _ in range(count * num_steps):
            state, _ = transform.update(state, None)
        return {"seconds": time.perf_counter() - started}

    def sample(self, sampler: str, warmup: int, draws: int, out: str) -> dict[str, Any]:
        del sampler
        torch.manual_seed(0)
        started = time.perf_counter()
        transform, state = self._tuned(warmup)
        ready = time.perf_counter()
        seen = []
        for _ in range(draws):
            for _ in range(STEPS_A_DRAW):
                state, _ = transform.update(state, None)
            seen.append(self.problem.observables(state.params))
        seconds = time.perf_counter() - ready
        np.save(out, torch.stack(seen, -1).double().numpy())
        return {"warmup_seconds": ready - started, "seconds": seconds, "gradients": draws * STEPS_A_DRAW}

    def _log_posterior(self, position: Tensor, batch: None) -> tuple[Tensor, Tensor]:
        """Summed over chains, whose gradients do not mix."""
        del batch
        return self.problem.log_density(position).sum(), torch.zeros(())

    def _started(self, step_size: float) -> tuple[Any, Any]:
        transform = posteriors.sgmcmc.baoa.build(self._log_posterior, lr=step_size, alpha=FRICTION)
        return transform, transform.init(self.start.clone())

    def _tuned(self, warmup: int) -> tuple[Any, Any]:
        for step_size in STEP_SIZES:
            transform, state = self._started(step_size)
            virials = []
            for step in range(warmup * STEPS_A_DRAW):
                state, _ = transform.update(state, None)
                if 2 * step > warmup * STEPS_A_DRAW and step % STEPS_A_DRAW == 0:
                    virials.append(self._virial(state.params))
            if abs(float(np.mean(virials)) - 1) < LARGEST_BIAS:
                return self._started(step_size / 2)
        raise SystemExit("no step size of those tried keeps the virial theorem; give more --warmup")

    def _virial(self, position: Tensor) -> float:
        """theta . dU/dtheta / num_parameters, mean over chains."""
        force = torch.func.grad(lambda at: self.problem.log_density(at).sum())(position)
        return -float((position * force).mean())
