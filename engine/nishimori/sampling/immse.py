"""The mutual information as an integral of the training MMSE over the signal-to-noise ratio.

At every node of the integral the labels are drawn anew at that noise (see `models.noise_ladder` and
`measurement.nodes`), so that the teacher is an exact posterior draw there. With F of a chain that has forgotten its
start, F* and F are two draws given the data, and

    mmse = E |F - F*|^2 / 2,      E |<F> - m|^2 = E (F - m).(F* - m)

for any predictor m that is a function of the data. With m the mean of the infinitely wide network at that noise, half
the integral of the second is the KL between the two laws of the labels (Verdu 2010, Mismatched estimation and relative
entropy, IEEE Trans. Inf. Theory 56): the divergence of `measurement.information`, for which this is an estimate with
little noise.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nishimori.chains.progress import Progress
from nishimori.measurement.convergence import monte_carlo_variance
from nishimori.measurement.error_bars import standard_error_of
from nishimori.measurement.information import Integrand, Sum, Summed
from nishimori.measurement.nodes import noise_rule
from nishimori.models.noise_ladder import NoiseLadder
from nishimori.models.posterior import Posterior
from nishimori.models.wide_network import WideNetwork, variance_of
from nishimori.samplers.base import State
from nishimori.sampling.teacher_chains import Effort, drift_alarm, teacher_chains

Values = NDArray[np.float64]


def integrated_mmse(
    posterior: Posterior,
    wide: WideNetwork | None,
    nodes: int,
    effort: Effort,
    seed: int,
    point: str,
    report: Progress,
) -> Summed:
    """Over `nodes` signal-to-noise ratios, all of them in one batch."""
    problem = posterior.problem
    unit = torch.ones(1, problem.network.input_dim, dtype=torch.float64, device="cpu")
    signal, noise = float(variance_of(problem.network, unit)), problem.channel.noise_variance
    inverse_temperatures, weights = noise_rule(nodes, signal, noise)
    ladder = NoiseLadder(posterior, inverse_temperatures.tolist())
    observe = _Errors.of(ladder, wide)
    rows, acceptance = [], 0.0
    for transition in teacher_chains(ladder, observe, effort, seed, f"{point}/immse", report, "immse"):
        rows.append(observe(transition.state).cpu().numpy())
        acceptance += float(transition.info.acceptance.mean()) / effort.draws
    # [observables, instances, nodes, chains, draws], summed over the samples
    draws = np.moveaxis(np.stack(rows), 0, -1).reshape(-1, len(problem.instances), nodes, effort.chains, effort.draws)
    squares, products = draws
    by_node = squares.mean((-1, -2)) / problem.samples
    errors = np.array([standard_error_of(column) for column in by_node.T])
    integrand = Integrand(inverse_temperatures / noise, by_node.mean(0), errors)
    series = np.einsum("ikcd,k->id", squares, weights)
    halves = [half.mean(-1) for half in np.array_split(series, 2, axis=-1) if half.size]
    alarms = drift_alarm(halves, "the training MMSE")
    divergence = None if wide is None else _sum(products, weights)
    return Summed(_sum(squares, weights), divergence, integrand, acceptance, alarms)


def _sum(draws: Values, weights: Values) -> Sum:
    """Over the nodes of `draws` [instances, nodes, chains, draws]."""
    series = np.einsum("ikcd,k->icd", draws, weights)
    return Sum(series.mean((1, 2)), monte_carlo_variance(series))


@dataclass(frozen=True, eq=False)
class _Errors:
    """sum_mu (F - F*)^2 / 2 and sum_mu (F - m)(F* - m) of a state, [2, instances, chains], float64."""

    posterior: Posterior
    latent: Tensor
    predictor: Tensor

    @classmethod
    def of(cls, ladder: NoiseLadder, wide: WideNetwork | None) -> "_Errors":
        """Without a wide network m is 0: the second is then as good as another to judge mixing by."""
        latent = ladder.problem.known_teacher().latent
        predictor = torch.zeros_like(latent) if wide is None else _predictions(ladder, wide)
        place = (values.unsqueeze(1).to(ladder.device) for values in (latent, predictor))
        return cls(ladder.posterior, *place)

    def __call__(self, state: State) -> Tensor:
        outputs = self.posterior.latent(state.position).double()
        squares = (outputs - self.latent).square().sum(-1) / 2
        products = ((outputs - self.predictor) * (self.latent - self.predictor)).sum(-1)
        return torch.stack([squares, products])


def _predictions(ladder: NoiseLadder, wide: WideNetwork) -> Tensor:
    """m = K (K + (Delta / b) I)^{-1} y on the training inputs, rung by rung, [instances * rungs, samples]."""
    values, vectors = torch.linalg.eigh(wide.kernel)
    rungs = torch.tensor(ladder.inverse_temperatures, dtype=torch.float64, device="cpu")
    labels = ladder.problem.labels.view(len(values), len(rungs), -1)
    shrunk = values.unsqueeze(1) / (values.unsqueeze(1) + wide.noise_variance / rungs.unsqueeze(1))
    return ((labels @ vectors) * shrunk @ vectors.transpose(1, 2)).flatten(0, 1)
