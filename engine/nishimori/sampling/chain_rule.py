"""The mutual information as a sum over samples of what the next label tells, for any channel.

    I(theta*; D_n) = sum_{k < n} [H(Y_{k+1} | D_k) - H(Y | theta*)],    H(Y_{k+1} | D_k) = -E log <p(Y_{k+1} | theta)>,

<.> the mean over the posterior of the first k samples (Cover and Thomas, Elements of information theory, theorem
2.5.2). That posterior is sampled at few k (see `measurement.nodes`), and fresh labels of the test inputs stand for
Y_{k+1}. The channel enters through its law of labels alone (see `models.label_laws`). For the Gaussian channel, the KL
to the infinitely wide network is a sum of the same kind, of log <p(Y_{k+1} | theta)> minus its own log predictive
density.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nishimori.chains.progress import Progress
from nishimori.measurement.information import Integrand, Sum, Summed
from nishimori.measurement.nodes import sum_rule
from nishimori.measurement.observers import mixing_of
from nishimori.measurement.predictive import PredictiveDensity
from nishimori.models.fresh_labels import first_samples, fresh_labels
from nishimori.models.layout import Position
from nishimori.models.posterior import Posterior
from nishimori.models.problem import Problem
from nishimori.models.randomness import Randomness
from nishimori.models.wide_network import WideNetwork
from nishimori.sampling.teacher_chains import CALIBRATION_CHAINS, Effort, drift_alarm, teacher_chains
from nishimori_kernels.rng.streams import Stream

Values = NDArray[np.float64]


def summed_predictions(
    posterior: Posterior, control: bool, nodes: int, effort: Effort, seed: int, point: str, report: Progress
) -> Summed:
    """Over `nodes` numbers of samples, one after the other."""
    problem = posterior.problem
    chosen, weights = sum_rule(problem.samples, nodes, problem.network.input_dim)
    address = f"{point}/chain rule"
    labels = fresh_labels(problem, Randomness.of(seed, address, problem.instances, (0,)))
    known = _log_likelihood(posterior, labels, problem.known_teacher().test_latent).mean(-1)
    gains, variances, divergences, acceptance, alarms = [], [], [], 0.0, []
    for number, samples in enumerate(int(count) for count in chosen):
        phase = f"{samples} samples ({number + 1} of {nodes})"
        node = _Node(posterior, samples, labels, effort, seed, f"{address}/{samples}")
        seen = node.predictive(report, phase)
        gains.append(known - seen.mean)
        variances.append(seen.variance)
        acceptance += seen.acceptance / len(chosen)
        alarms += seen.alarms
        if control:
            divergences.append(seen.mean - _wide_log_density(problem, samples, labels))
    total = Sum(weights @ np.stack(gains), weights**2 @ np.stack(variances))
    divergence = Sum(weights @ np.stack(divergences), total.variance) if control else None
    integrand = Integrand(chosen.astype(np.float64), np.stack(gains, axis=1))
    return Summed(total, divergence, integrand, acceptance, tuple(alarms))


@dataclass(frozen=True, eq=False)
class _Predictive:
    """Mean over rows of the log predictive density and its Monte Carlo variance, [instances]."""

    mean: Values
    variance: Values
    acceptance: float
    alarms: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Node:
    """The posterior of the first `samples` rows of `posterior`'s problem, and `labels` of the test inputs."""

    posterior: Posterior
    samples: int
    labels: Tensor
    effort: Effort
    seed: int
    point: str

    def predictive(self, report: Progress, phase: str) -> _Predictive:
        draws, acceptance = self.effort.draws, 0.0
        density = PredictiveDensity(draws)
        for draw, latent, accepted in self._latents(report, phase):
            density.update(draw, _log_likelihood(self.posterior, self.labels.unsqueeze(1), latent))
            acceptance += accepted / draws
        alarms = drift_alarm(density.halves(), f"the predictive density after {self.samples} samples")
        return _Predictive(*density.mean_log(), acceptance, alarms)

    def _latents(self, report: Progress, phase: str) -> Iterator[tuple[int, Tensor, float]]:
        """Draw by draw: F on the test inputs, [instances, chains, rows], and the mean acceptance."""
        if self.samples == 0:
            for draw, position in enumerate(self._prior()):
                yield draw, _test_outputs(self.posterior, position), 1.0
            return
        target = Posterior(
            first_samples(self.posterior.problem, self.samples), self.posterior.precision, self.posterior.device.type
        )
        own = Randomness.of(self.seed, self.point, target.instances, range(CALIBRATION_CHAINS))
        chains = teacher_chains(target, mixing_of(target, own), self.effort, self.seed, self.point, report, phase)
        for transition in chains:
            assert transition.draw is not None
            accepted = float(transition.info.acceptance.mean())
            yield transition.draw, _test_outputs(target, transition.state.position), accepted

    def _prior(self) -> Iterator[Position]:
        position = self.posterior.layout(self.effort.chains).empty(self.posterior.dtype, self.posterior.device)
        randomness = Randomness.of(self.seed, self.point, self.posterior.instances, range(self.effort.chains))
        for draw in range(self.effort.draws):
            yield randomness.fill_normals(position, Stream.PRIOR_START, draw)


def _test_outputs(posterior: Posterior, position: Position) -> Tensor:
    return posterior.latent(position, "test").double()


def _log_likelihood(posterior: Posterior, labels: Tensor, latent: Tensor) -> Values:
    """log p(label | latent), elementwise, in nats."""
    labels, latent = (values.to(posterior.device) for values in (labels, latent))
    return posterior.law.log_likelihood(labels, latent).cpu().numpy()


def _wide_log_density(problem: Problem, samples: int, labels: Tensor) -> Values:
    """Mean over test inputs of the wide network's log predictive density after `samples` rows, [instances]."""
    wide = WideNetwork(first_samples(problem, max(samples, 1)))
    mean = wide.predictions() if samples else torch.zeros_like(labels)
    variance = (wide.latent_variance() if samples else wide.prior_variance()) + wide.noise_variance
    log_density = -0.5 * (math.log(2 * math.pi) + variance.log() + (labels - mean).square() / variance)
    return log_density.mean(-1).numpy()
