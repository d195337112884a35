"""The posterior of the same finite networks on the same data: its law of the output at the test inputs."""

from typing import TYPE_CHECKING

import numpy as np
import torch

from nishimori.models.collapsed import CollapsedPosterior
from nishimori.models.layout import Position
from nishimori.sampling import sample
from nishimori.theory.predictive_variance import TotalVariance, total_variance

if TYPE_CHECKING:
    from nishimori.chains.progress import Progress
    from nishimori.models.problem import Problem
    from nishimori.systems.infinite_ensemble.system import PosteriorSection


def sampled_law(
    problem: "Problem", schedule: "PosteriorSection", seed: int, point: str, device: str, progress: "Progress"
) -> tuple[TotalVariance, float]:
    """[instances, rows]: hidden layers are sampled, and readouts averaged over given them, exactly. And the largest
    R-hat of what the run observed."""
    target = CollapsedPosterior(problem, "fp64", device)
    run = sample(
        target,
        chains=schedule.chains,
        warmup=schedule.warmup,
        draws=schedule.draws,
        start="prior",
        seed=seed,
        point=point,
        keep="position",
        progress=progress,
    )
    kept = run.draws["position"]  # [instances, chains, draws, all weights]
    laws = []
    for draw in range(schedule.draws):
        values = torch.as_tensor(kept[:, :, draw, : target.num_parameters], device=target.device)
        position: Position = target.layout(schedule.chains).from_edge(values.to(target.dtype))
        laws.append([part.double().cpu().numpy().copy() for part in target.predictions(position, "test")])
    means, variances = (np.concatenate([np.moveaxis(law[part], 1, 0) for law in laws]) for part in (0, 1))
    observed = run.diagnostics()["observables"].values()
    return total_variance(means, variances), max(one["r_hat"] for one in observed)
