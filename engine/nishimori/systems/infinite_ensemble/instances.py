"""An instance of a point: its data set, the infinitely wide networks on it, and what their laws are compared with."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nishimori.description.activations import activation
from nishimori.systems.infinite_ensemble.laws import Judge
from nishimori.theory.ensembles import Predictive, WideEnsemble, gaussian_process_draw

if TYPE_CHECKING:
    from nishimori.description import Network
    from nishimori.systems.infinite_ensemble.data import Data

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Instance:
    """Laws are those at the test inputs."""

    wide: WideEnsemble
    judge: Judge

    @cached_property
    def rate(self) -> float:
        """The largest eigenvalue of the tangent kernel."""
        return float(self.wide.flow.modes[0][-1])

    def trained(self, times: Sequence[float]) -> list[Predictive]:
        """One a time."""
        found = self.wide.trained(times)
        return [self._at_tests(Predictive(*pair)) for pair in zip(found.mean, found.variance, strict=True)]

    def posterior(self) -> Predictive:
        """Of infinite width (NNGP)."""
        return self._at_tests(self.wide.sampled(self.judge.noise_variance))

    def posterior_draw(self, normals: Array) -> Array:
        """Outputs [rows] of one function of that posterior, from normal numbers [samples + rows]."""
        found = gaussian_process_draw(self.wide.covariance, self.wide.labels, self.judge.noise_variance, normals)
        return found[self.wide.samples :]

    def tangent_posterior(self) -> Predictive:
        """With the tangent kernel in its place (NTK-GP)."""
        return self._at_tests(self.wide.sampled_tangent(self.judge.noise_variance))

    def _at_tests(self, law: Predictive) -> Predictive:
        return Predictive(law.mean[self.wide.samples :], law.variance[self.wide.samples :])


def instances_of(data: "Data", network: "Network", noise_variance: float) -> list[Instance]:
    problem, prior = data.problem, (network.depth, network.weight_variance, network.bias_variance)
    phi = network.activations[0] if network.depth else activation("identity")
    found = []
    for number, latent in enumerate(data.latent):
        inputs, labels = problem.inputs[number].numpy(), problem.labels[number].numpy()
        wide = WideEnsemble.of(inputs, labels, problem.rows("test")[number].numpy(), phi, *prior)
        signal = None if data.signal is None else float(data.signal[number])
        judge = Judge(latent, np.diagonal(wide.covariance)[wide.samples :], noise_variance, signal)
        found.append(Instance(wide, judge))
    return found
