"""The mutual information as an integral of the training MMSE over the signal-to-noise ratio.

At every node of the integral the labels are drawn anew at that noise (see `models.noise_ladder` and
`measurement.nodes`), so that the teacher is an exact posterior draw there. With F of a chain that has forgotten its
start, F* and F are two draws given the data, and mmse = E |F - F*|^2 / 2.

For any predictor m that is a function of the data, E |<F> - m|^2 = E (<F>_A - m).(<F>_B - m) over two chains that are
independent given the data, one started at the teacher and one from the prior. With m the mean of the infinitely wide
network at that noise, half the integral is the KL between the two laws of the labels (Verdu 2010, Mismatched estimation
and relative entropy, IEEE Trans. Inf. Theory 56): the divergence of `measurement.information`. It is small where the
network is nearly Gaussian, and so is the spread of this estimate of it, which no label noise enters.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nishimori.chains.checkpoints import Checkpoints
from nishimori.chains.start import ChainPlan
from nishimori.measurement.convergence import monte_carlo_variance
from nishimori.measurement.information import Integrand, Sum, Summed
from nishimori.measurement.nodes import noise_rule
from nishimori.measurement.predictions import PredictionMeans
from nishimori.models.noise_ladder import NoiseLadder
from nishimori.models.posterior import Posterior
from nishimori.models.wide_network import WideNetwork, variance_of
from nishimori.samplers.base import State
from nishimori.samplers.checkpoint import HostArrays
from nishimori.sampling.teacher_chains import Effort, drift_alarm, starts_alarm, teacher_chains
from nishimori_kernels.rows import row_sum

Values = NDArray[np.float64]

ERROR = "the training MMSE"


def integrated_mmse(
    posterior: Posterior,
    wide: WideNetwork | None,
    nodes: int,
    effort: Effort,
    seed: int,
    point: str,
    checkpoints: Checkpoints,
) -> Summed:
    """Over `nodes` signal-to-noise ratios, all of them in one batch; with a `wide` network the divergence too, by
    chains of both starts. `checkpoints` as in `teacher_chains`."""
    problem, count = posterior.problem, len(posterior.instances)
    unit = torch.ones(1, problem.network.input_dim, dtype=torch.float64, device="cpu")
    signal, noise = float(variance_of(problem.network, unit)), problem.channel.noise_variance
    inverse_temperatures, weights = noise_rule(nodes, signal, noise)
    ladder = NoiseLadder(posterior, inverse_temperatures.tolist())
    observe, start = _Errors.of(ladder), "teacher" if wide is None else "both"
    plan, means = ChainPlan.of(effort.chains, start), None if wide is None else PredictionMeans(effort.draws)
    gathered = _Gathered(observe, means)
    acceptance = teacher_chains(ladder, observe, effort, seed, f"{point}/immse", checkpoints, "immse", gathered, start)
    # [instances, nodes, chains, draws], summed over the samples
    squares = np.moveaxis(np.stack(gathered.squares), 0, -1).reshape(count, nodes, len(plan.chains), effort.draws)
    own = squares[:, :, plan.where("teacher")]
    integrand = Integrand(inverse_temperatures / noise, own.mean((-1, -2)) / problem.samples)
    series = np.einsum("ikcd,k->id", own, weights)
    alarms = drift_alarm([half.mean(-1) for half in np.array_split(series, 2, axis=-1) if half.size], ERROR)
    divergence = None
    if wide is not None and gathered.means is not None:
        afar = np.einsum("ikcd,k->id", squares[:, :, plan.where("prior")], weights)
        alarms += starts_alarm(series.mean(-1), afar.mean(-1), ERROR)
        divergence = _divergence(gathered.means, _predictions(ladder, wide), plan, weights)
    return Summed(_sum(own, weights), divergence, integrand, acceptance, alarms)


def _sum(draws: Values, weights: Values) -> Sum:
    """Over the nodes of `draws` [instances, nodes, chains, draws]."""
    series = np.einsum("ikcd,k->icd", draws, weights)
    return Sum(series.mean((1, 2)), monte_carlo_variance(series))


def _divergence(means: PredictionMeans, predictor: Tensor, plan: ChainPlan, weights: Values) -> Sum:
    """sum_k w_k |<F> - m|^2 at node k, over pairs of one start each; `predictor` [instances * nodes, samples]."""
    place = predictor.unsqueeze(1).to(means.mean().device)
    found = means.bayes_error(place, plan.independent_pairs())
    value, variance = (
        predictor.shape[1] ** power * part.cpu().numpy().reshape(-1, len(weights))
        for power, part in zip((1, 2), found, strict=True)
    )
    return Sum(value @ weights, variance @ weights**2)


@dataclass(frozen=True, eq=False)
class _Errors:
    """sum_mu (F - F*)^2 / 2 and sum_mu F F* of a state, [2, instances, chains], float64: by them calibration judges."""

    posterior: Posterior
    latent: Tensor

    @classmethod
    def of(cls, ladder: NoiseLadder) -> "_Errors":
        return cls(ladder.posterior, ladder.problem.known_teacher().latent.unsqueeze(1).to(ladder.device))

    def latent_of(self, state: State) -> Tensor:
        """F on the training inputs, [instances, chains, samples], float64."""
        return self.posterior.latent(state.position).double()

    def squares(self, latent: Tensor) -> Tensor:
        return row_sum((latent - self.latent).square()) / 2

    def __call__(self, state: State) -> Tensor:
        latent = self.latent_of(state)
        return torch.stack([self.squares(latent), row_sum(latent * self.latent)])


@dataclass(eq=False)
class _Gathered:
    """Draw by draw sum_mu (F - F*)^2 / 2, [instances, chains], and on request the `means` of F."""

    errors: _Errors
    means: PredictionMeans | None
    squares: list[Values] = field(default_factory=list)

    def update(self, draw: int, state: State) -> None:
        latent = self.errors.latent_of(state)
        self.squares.append(self.errors.squares(latent).cpu().numpy())
        if self.means is not None:
            self.means.update(draw, latent)

    def to_host(self) -> HostArrays:
        means = self.means.to_host() if self.means else {}
        return {**means, "squares": np.stack(self.squares)} if self.squares else {}

    def put_back(self, values: HostArrays) -> None:
        self.squares = list(values.get("squares", ()))
        if self.means is not None and self.squares:
            self.means = PredictionMeans.from_host(self.means.draws, values, self.errors.latent.device)


def _predictions(ladder: NoiseLadder, wide: WideNetwork) -> Tensor:
    """m = K (K + (Delta / b) I)^{-1} y on the training inputs, rung by rung, [instances * rungs, samples]."""
    values, vectors = torch.linalg.eigh(wide.kernel)
    rungs = torch.tensor(ladder.inverse_temperatures, dtype=torch.float64, device="cpu")
    labels = ladder.problem.labels.view(len(values), len(rungs), -1)
    shrunk = values.unsqueeze(1) / (values.unsqueeze(1) + wide.noise_variance / rungs.unsqueeze(1))
    return ((labels @ vectors) * shrunk @ vectors.transpose(1, 2)).flatten(0, 1)
