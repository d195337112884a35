"""What a run records: which states are draws, and predictions averaged over them, rejections counted."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nishimori.chains.progress import silent
from nishimori.description import GaussianChannel, Network
from nishimori.exactness.laws import Outcome, Place
from nishimori.exactness.linear_network_posterior import linear_network_prediction
from nishimori.exactness.moments import compare
from nishimori.models.collapsed import CollapsedPosterior
from nishimori.models.density import DensityTarget
from nishimori.models.problem import Problem, matched_teacher
from nishimori.samplers.pcn import PCN
from nishimori.sampling.predict import predict
from nishimori.sampling.sample import sample


@dataclass(frozen=True)
class ScheduleLaw:
    """PCN on N(0, I) accepts all and multiplies the correlation by sqrt(1 - step_size^2) a transition: correlations say
    how many transitions lie between a draw and the start, and between one draw and the next."""

    name: str = "recording/schedule"
    statement: str = "keeps the state after warm-up and every thin-th transition"
    step_size: float = 0.3
    warmup: int = 3
    thin: int = 2
    chains: int = 4000
    dim: int = 256

    def check(self, place: Place) -> Outcome:
        target = DensityTarget(_log_density, self.dim, True, precision=place.precision, device=place.device)
        run = sample(
            target,
            PCN(self.step_size),
            chains=self.chains,
            warmup=self.warmup,
            draws=6,
            thin=self.thin,
            seed=place.seed,
            keep="position",
            progress=silent,
        )
        start = target.initial_position(self.chains, "prior", place.seed).to_edge()[0].cpu().double()
        draws = torch.from_numpy(run.draws["position"]).double()  # [chains, draws, dim]
        keep = (1 - self.step_size**2) ** 0.5
        first = (start * draws[:, 0]).mean(-1) / keep ** (self.warmup + self.thin)
        between = (draws[:, 1:] * draws[:, :-1]).mean((1, 2)) / keep**self.thin
        return Outcome((compare("start and first draw", first[None]), compare("neighbouring draws", between[None])))


@dataclass(frozen=True)
class PredictionLaw:
    """Predictions of a linear network by chains that reject half of their proposals, as a run averages them
    while it samples, and from kept positions; chains are averaged in groups where the average is over all."""

    name: str = "recording/predictions"
    statement: str = "averages predictions over draws, a rejected proposal counting the state it leaves again"
    step_size: float = 0.8
    chains: int = 640
    warmup: int = 30
    draws: int = 60
    groups: int = 20

    def check(self, place: Place) -> Outcome:
        problem = _problem()
        target = CollapsedPosterior(problem, place.precision, place.device)
        run = sample(
            target,
            PCN(self.step_size),
            chains=self.chains,
            warmup=self.warmup,
            draws=self.draws,
            seed=place.seed,
            keep="position",
            progress=silent,
        )
        exact = [linear_network_prediction(problem, number) for number in range(len(problem.instances))]
        mean, variance = (torch.from_numpy(np.stack(values)).unsqueeze(1) for values in zip(*exact, strict=True))
        kept = np.array_split(run.draws["position"], self.groups, axis=1)
        predictions = [predict(target, part, problem.rows("test")[0]) for part in kept]
        value = torch.stack([torch.from_numpy(prediction.mean) for prediction in predictions], 1)
        spread = torch.stack([torch.from_numpy(prediction.latent_variance) for prediction in predictions], 1)
        second = (spread + (value - mean).square()).sum(-1) / variance.sum(-1)
        return Outcome(
            (
                compare("mean while sampling", _projection(run.predictions.mean().cpu(), mean)),
                compare("mean of kept positions", _projection(value, mean)),
                compare("variance of kept positions", second),
            )
        )


def recording_laws() -> tuple[ScheduleLaw, PredictionLaw]:
    return ScheduleLaw(), PredictionLaw()


def _problem() -> Problem:
    """Data sets that share their test inputs."""
    drawn = matched_teacher(Network(6, (4,), "identity"), GaussianChannel(0.5), 10, 8, test_samples=30)
    return Problem(drawn.network, drawn.channel, drawn.inputs, drawn.labels, test_inputs=drawn.rows("test")[0])


def _projection(values: Tensor, mean: Tensor) -> Tensor:
    return (values * mean).sum(-1) / mean.square().sum(-1)


def _log_density(theta: Tensor) -> Tensor:
    return -theta.double().square().sum(-1) / 2
