"""The posterior of the same finite networks on the same data: its law of the output at the test inputs."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from nishimori.adaptation.calibration import CalibrationRecord
from nishimori.description.config import to_plain
from nishimori.models.collapsed import CollapsedPosterior
from nishimori.models.layout import Position
from nishimori.samplers.hmc import HMC
from nishimori.sampling import calibration_of, sample
from nishimori.theory.predictive_variance import TotalVariance, total_variance

if TYPE_CHECKING:
    from nishimori.chains.progress import Progress
    from nishimori.models.problem import Problem
    from nishimori.systems.infinite_ensemble.system import PosteriorSection


Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Sampled:
    """The `law` of the output [instances, rows]; `draw`, the outputs of one network of the posterior; and the
    `r_hat` of what the run observed, root mean square over observables [instances]."""

    law: TotalVariance
    draw: Array
    r_hat: Array


def calibrated(problem: "Problem", seed: int, point: str, device: str, progress: "Progress") -> CalibrationRecord:
    return calibration_of(CollapsedPosterior(problem, "fp64", device), HMC(), seed, point, progress)


def sampled_law(
    problem: "Problem",
    schedule: "PosteriorSection",
    seed: int,
    point: str,
    record: CalibrationRecord,
    device: str,
    progress: "Progress",
) -> Sampled:
    """Hidden layers are sampled, and readouts averaged over given them, exactly."""
    target, address = CollapsedPosterior(problem, "fp64", device), {"seed": seed, "point": point}
    asked = {**to_plain(schedule), **address, "start": "prior", "keep": "position"}
    run = sample(target, HMC(), **asked, calibration=record, progress=progress)
    kept = run.draws["position"]  # [instances, chains, draws, all weights]
    laws = []
    for draw in range(schedule.draws):
        values = torch.as_tensor(kept[:, :, draw, : target.num_parameters], device=target.device)
        position: Position = target.layout(schedule.chains).from_edge(values.to(target.dtype))
        laws.append([part.double().cpu().numpy().copy() for part in target.predictions(position, "test")])
    means, variances = (np.concatenate([np.moveaxis(law[part], 1, 0) for law in laws]) for part in (0, 1))
    observed = np.array([one.r_hats for one in run.analysis.convergences.values()])
    r_hat = np.sqrt((observed**2).mean(axis=0))
    last = torch.as_tensor(kept[:, :1, -1], device=target.device).to(target.dtype)
    network = target.posterior.network("test", 1)
    drawn = network.forward(problem.layout(1).from_edge(last).blocks)[:, 0].double().cpu().numpy().copy()
    return Sampled(total_variance(means, variances), drawn, r_hat)
