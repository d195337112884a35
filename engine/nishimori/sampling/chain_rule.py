"""The mutual information as a sum over samples of what the next label tells, for any channel.

    I(theta*; D_n) = sum_{k < n} [H(Y_{k+1} | D_k) - H(Y | theta*)],    H(Y_{k+1} | D_k) = -E log <p(Y_{k+1} | theta)>,

<.> the mean over the posterior of the first k samples (Cover and Thomas, Elements of information theory, theorem
2.5.2). That posterior is sampled at few k (see `measurement.nodes`), and fresh labels of the test inputs stand for
Y_{k+1}. The channel enters through its law of labels alone (see `models.label_laws`). For the Gaussian channel, the KL
to the infinitely wide network is a sum of the same kind, of log <p(Y_{k+1} | theta)> minus its own log predictive
density.
"""

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nishimori.chains.checkpoints import Checkpoints
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
from nishimori.samplers.base import State
from nishimori.samplers.checkpoint import Checkpoint, HostArrays
from nishimori.sampling.teacher_chains import CALIBRATION_CHAINS, Effort, drift_alarm, teacher_chains
from nishimori_kernels.rng.streams import Stream

Values = NDArray[np.float64]


def summed_predictions(
    posterior: Posterior, control: bool, nodes: int, effort: Effort, seed: int, point: str, checkpoints: Checkpoints
) -> Summed:
    """Over `nodes` numbers of samples, one after the other. `checkpoints` keep what each of them gave, and its chains
    as in `teacher_chains`."""
    problem = posterior.problem
    chosen, weights = sum_rule(problem.samples, nodes, problem.network.input_dim)
    address = f"{point}/chain rule"
    labels = fresh_labels(problem, Randomness.of(seed, address, problem.instances, (0,)))
    known = _log_likelihood(posterior, labels, problem.known_teacher().test_latent).mean(-1)
    gains, variances, divergences, acceptance, alarms = [], [], [], 0.0, []
    for number, samples in enumerate(int(count) for count in chosen):
        phase = f"{samples} samples ({number + 1} of {nodes})"
        node = _Node(posterior, samples, labels, effort, seed, f"{address}/{samples}")
        seen = checkpoints.once(phase, partial(node.predictive, checkpoints, phase))
        gains.append(known - seen["mean"])
        variances.append(seen["variance"])
        acceptance += float(seen["acceptance"]) / len(chosen)
        alarms += drift_alarm(list(seen["halves"]), f"the predictive density after {samples} samples")
        if control:
            divergences.append(seen["mean"] - _wide_log_density(problem, samples, labels))
    total = Sum(weights @ np.stack(gains), weights**2 @ np.stack(variances))
    divergence = Sum(weights @ np.stack(divergences), total.variance) if control else None
    integrand = Integrand(chosen.astype(np.float64), np.stack(gains, axis=1))
    return Summed(total, divergence, integrand, acceptance, tuple(alarms))


@dataclass(frozen=True, eq=False)
class _Node:
    """The posterior of the first `samples` rows of `posterior`'s problem, and `labels` of the test inputs."""

    posterior: Posterior
    samples: int
    labels: Tensor
    effort: Effort
    seed: int
    point: str

    def predictive(self, checkpoints: Checkpoints, phase: str) -> HostArrays:
        """The mean over rows of the log predictive density, its Monte Carlo variance and that mean of both `halves` of
        the draws, [instances] each, with the mean acceptance."""
        gathered = _Gathered(self.posterior, self.labels, PredictiveDensity(self.effort.draws))
        acceptance = self._gather(gathered, checkpoints, phase)
        mean, variance = gathered.density.mean_log()
        halves = np.array(gathered.density.halves())
        return {"mean": mean, "variance": variance, "halves": halves, "acceptance": np.array(acceptance)}

    def _gather(self, gathered: "_Gathered", checkpoints: Checkpoints, phase: str) -> float:
        if self.samples == 0:
            return self._gather_prior(gathered, checkpoints.loop(phase))
        rows = first_samples(self.posterior.problem, self.samples)
        target = Posterior(rows, self.posterior.precision, self.posterior.device.type)
        own = Randomness.of(self.seed, self.point, target.instances, range(CALIBRATION_CHAINS))
        mixing = mixing_of(target, own)
        return teacher_chains(target, mixing, self.effort, self.seed, self.point, checkpoints, phase, gathered)

    def _gather_prior(self, gathered: "_Gathered", checkpoint: Checkpoint) -> float:
        """Independent draws, which are all accepted."""
        position = self.posterior.layout(self.effort.chains).empty(self.posterior.dtype, self.posterior.device)
        randomness = Randomness.of(self.seed, self.point, self.posterior.instances, range(self.effort.chains))
        begun, draws = checkpoint.begun(), self.effort.draws
        if begun is not None:
            gathered.put_back(begun)
        for draw in range(0 if begun is None else int(begun["draws"]), draws):
            gathered.read(draw, randomness.fill_normals(position, Stream.PRIOR_START, draw))
            now = {"draws": np.array(draw + 1)}
            checkpoint.reached(draw + 1, draws, 1.0, lambda now=now: {**gathered.to_host(), **now})
        return 1.0


@dataclass(eq=False)
class _Gathered:
    """The `density` of `labels`, averaged over draws."""

    posterior: Posterior
    labels: Tensor
    density: PredictiveDensity

    def update(self, draw: int, state: State) -> None:
        self.read(draw, state.position)

    def read(self, draw: int, position: Position) -> None:
        latent = self.posterior.latent(position, "test").double()
        self.density.update(draw, _log_likelihood(self.posterior, self.labels.unsqueeze(1), latent))

    def to_host(self) -> HostArrays:
        return self.density.to_host()

    def put_back(self, values: HostArrays) -> None:
        self.density = PredictiveDensity.from_host(self.density.draws, values)


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
