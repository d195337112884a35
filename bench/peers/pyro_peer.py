"""Pyro's NUTS with its own warm-up, one chain after the other, as the library runs them in one process."""

import time
from typing import Any

import numpy as np
import pyro
import torch
from pyro.infer import HMC, MCMC, NUTS
from torch import Tensor
from torch_posterior import load

VERSION = f"pyro {pyro.__version__}, torch {torch.__version__}"
SAMPLERS = ("NUTS",)
TRAJECTORIES = "HMC"


class Peer:
    def __init__(self, path: str) -> None:
        self.problem, self.start, self.points = load(path)
        self.evaluations = 0
        self._chains: dict[tuple[float, int], list[tuple[HMC, dict[str, Tensor]]]] = {}

    def _potential(self, parameters: dict[str, Tensor]) -> Tensor:
        self.evaluations += 1
        return -self.problem.log_density(parameters["weights"])

    def log_density(self) -> dict[str, Any]:
        return {"values": self.problem.log_densities(self.points)}

    def trajectories(self, step_size: float, num_steps: int, count: int) -> dict[str, float]:
        chains = self._chains.setdefault((step_size, num_steps), [])
        if not chains:
            chains += [self._fixed_hmc(position, step_size, num_steps) for position in self.start]
        started = time.perf_counter()
        for number, (kernel, parameters) in enumerate(chains):
            for _ in range(count):
                parameters = kernel.sample(parameters)
            chains[number] = kernel, parameters
        return {"seconds": time.perf_counter() - started}

    def _fixed_hmc(self, position: Tensor, step_size: float, num_steps: int) -> tuple[HMC, dict[str, Tensor]]:
        """Half a step more than asked for: Pyro rounds the ratio of length and step down."""
        kernel = HMC(
            potential_fn=self._potential,
            step_size=step_size,
            trajectory_length=(num_steps + 0.5) * step_size,
            adapt_step_size=False,
            adapt_mass_matrix=False,
        )
        parameters = {"weights": position.clone()}
        kernel.initial_params = parameters
        kernel.setup(0)
        return kernel, kernel.sample(parameters)

    def sample(self, sampler: str, warmup: int, draws: int, out: str) -> dict[str, Any]:
        del sampler
        torch.manual_seed(0)
        chains = [self._chain(position, warmup, draws) for position in self.start]
        np.save(out, np.stack([seen for seen, _ in chains], axis=1))
        totals = {name: sum(facts[name] for _, facts in chains) for name in chains[0][1]}
        return totals | {"gradients": totals["gradients"] / len(chains)}

    def _chain(self, position: Tensor, warmup: int, draws: int) -> tuple[np.ndarray, dict[str, float]]:
        """Observables [2, draws], and what they took."""
        marks = [(time.perf_counter(), self.evaluations)]

        def mark_end_of_warmup(_kernel: NUTS, _parameters: dict[str, Tensor], stage: str, number: int) -> None:
            if (stage, number) == ("Warmup", warmup - 1):
                marks.append((time.perf_counter(), self.evaluations))

        kernel = NUTS(potential_fn=self._potential)
        run = MCMC(
            kernel,
            draws,
            warmup,
            {"weights": position.clone()},
            hook_fn=mark_end_of_warmup,
            disable_progbar=True,
        )
        run.run()
        seen = self.problem.observables(run.get_samples()["weights"])
        marks.append((time.perf_counter(), self.evaluations))
        (start, _), (middle, before), (end, after) = marks
        return seen.double().numpy(), {
            "warmup_seconds": middle - start,
            "seconds": end - middle,
            "gradients": after - before,
        }
