"""What the law of an output over an ensemble or a posterior is asked for, an instance at a time."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nishimori.theory.ensemble_information import (
    data_information_bound,
    expected_loss,
    gaussian_bottleneck,
    input_information_bounds,
    label_information_bound,
)
from nishimori.theory.predictive_variance import coverage

Array = NDArray[np.float64]
FOLDS = 8
"""Of members that are left out together: the jackknife takes the bias of the order of 1 / members away."""


@dataclass(frozen=True, eq=False)
class Judge:
    """What laws N(mean, variance) of the output at the test inputs [rows] are compared with: the true outputs `latent`
    and the prior variances [rows], the noise of labels, and the variance of the signal where inputs and labels are
    jointly Gaussian."""

    latent: Array
    prior_variance: Array
    noise_variance: float
    signal: float | None

    def covered(self, mean: Array, variance: Array, latent: Array | None = None) -> float:
        """How often the 95 % intervals hold a label of the true outputs, or of others [rows]."""
        true = self.latent if latent is None else latent
        return float(coverage(mean, variance, true, self.noise_variance).mean())

    def told(self, mean: Array, variance: Array) -> dict[str, float]:
        """By observable."""
        lower, upper = input_information_bounds(mean, variance)
        told = {
            "expected_loss": expected_loss(mean, variance + self.noise_variance, self.latent, self.noise_variance),
            "input_information_lower": lower,
            "input_information_upper": upper,
            "data_information": data_information_bound(mean, variance, self.prior_variance),
            "coverage": self.covered(mean, variance),
        }
        if self.signal is None:
            return told
        entropy = 0.5 * math.log(2 * math.pi * math.e * (self.signal + self.noise_variance))
        error = float(np.mean((self.latent - mean) ** 2 + variance)) + self.noise_variance
        most = float(gaussian_bottleneck(upper, self.signal, self.noise_variance))
        return {**told, "label_information": label_information_bound(entropy, error), "bottleneck": most}

    def of_ensemble(self, outputs: Array) -> dict[str, float]:
        """The same of the mean and variance over members, without their bias; outputs [members, rows]."""

        def of(members: Array) -> dict[str, float]:
            return self.told(members.mean(axis=0), members.var(axis=0, ddof=1))

        return jackknifed(of, outputs)


def jackknifed(statistics: Callable[[Array], dict[str, float]], outputs: Array) -> dict[str, float]:
    """Statistics of outputs [members, ...] less their bias of first order (Quenouille 1956), by folds of members."""
    folds = min(FOLDS, len(outputs))
    fold = np.arange(len(outputs)) % folds
    whole = statistics(outputs)
    left_out = [statistics(outputs[fold != one]) for one in range(folds)]
    return {name: folds * whole[name] - (folds - 1) * float(np.mean([one[name] for one in left_out])) for name in whole}
