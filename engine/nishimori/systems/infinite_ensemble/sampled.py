"""The posterior of the same finite networks on the same data: its law of the output at the test inputs."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from nishimori.description.config import to_plain
from nishimori.models.collapsed import CollapsedPosterior
from nishimori.models.layout import Position
from nishimori.sampling import sample
from nishimori.theory.predictive_variance import TotalVariance, total_variance

if TYPE_CHECKING:
    from nishimori.chains.progress import Progress
    from nishimori.models.problem import Problem
    from nishimori.systems.infinite_ensemble.system import PosteriorSection


Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Sampled:
    """The `law` of the output [instances, rows]; `draw`, the outputs of one network of the posterior; and the largest
    `r_hat` of what the run observed."""

    law: TotalVariance
    draw: Array
    r_hat: float


def sampled_law(
    problem: "Problem", schedule: "PosteriorSection", seed: int, point: str, device: str, progress: "Progress"
) -> Sampled:
    """Hidden layers are sampled, and readouts averaged over given them, exactly."""
    target, counts = CollapsedPosterior(problem, "fp64", device), to_plain(schedule)
    run = sample(target, **counts, start="prior", seed=seed, point=point, keep="position", progress=progress)
    kept = run.draws["position"]  # [instances, chains, draws, all weights]
    laws = []
    for draw in range(schedule.draws):
        values = torch.as_tensor(kept[:, :, draw, : target.num_parameters], device=target.device)
        position: Position = target.layout(schedule.chains).from_edge(values.to(target.dtype))
        laws.append([part.double().cpu().numpy().copy() for part in target.predictions(position, "test")])
    means, variances = (np.concatenate([np.moveaxis(law[part], 1, 0) for law in laws]) for part in (0, 1))
    observed = run.diagnostics()["observables"].values()
    last = torch.as_tensor(kept[:, :1, -1], device=target.device).to(target.dtype)
    network = target.posterior.network("test", 1)
    drawn = network.forward(problem.layout(1).from_edge(last).blocks)[:, 0].double().cpu().numpy().copy()
    return Sampled(total_variance(means, variances), drawn, max(one["r_hat"] for one in observed))
