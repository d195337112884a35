"""Classification: the equivalent linear model under y = sign(S + sqrt(Delta) z), the noise inside.

The formulas of Cui, Krzakala and Zdeborova 2023 (arXiv 2302.00375, eq. 15), with the evidence of Barbier et al. 2019
(arXiv 1708.03395, Theorem 1). Informations are in nats.
"""

import dataclasses
import math

import numpy as np
from numpy.typing import NDArray
from scipy import special

from nishimori.description.quadrature import gaussian_average
from nishimori.theory.coefficients import Coefficients
from nishimori.theory.fixed_point import LabelStatistics
from nishimori.theory.general import general_prediction
from nishimori.theory.prediction import Prediction

Array = NDArray[np.float64]


def probit_prediction(coefficients: Coefficients, noise_variance: float, sample_ratio: float) -> Prediction:
    """Prediction for labels -1 and 1, Delta = `noise_variance` >= 0, alpha = n/d = `sample_ratio` > 0.

    With t = V sqrt(eta^2 q / (Delta + gamma + eta^2 (1 - q))) and c = eta^2 q / (eta^2 + gamma + Delta),

        Psi = 2 E_V Phi(t) log Phi(t)
        fisher = 2 E_V N(t)^2 / Phi(t) / (Delta + gamma + eta^2 (1 - q))
        classification_error = acos(sqrt(c)) / pi,   gibbs_classification_error = acos(c) / pi
        generalization_error = 1 - (2/pi) asin(c)

    The arguments are not checked here; `nishimori.theory.predict` checks them.
    """
    signal, noise = coefficients.signal, coefficients.gamma + noise_variance

    def statistics(error: float) -> LabelStatistics:
        return label_statistics(signal, noise, error)

    variance = signal + coefficients.gamma
    channel = 0.0
    if noise_variance > 0:
        channel = 2.0 * gaussian_average(lambda z: _negative_entropy(math.sqrt(variance / noise_variance) * z))
    prediction, point = general_prediction(coefficients, statistics, statistics, sample_ratio, 1.0, channel)
    error_per_weight = signal * point.error_per_weight + noise
    return dataclasses.replace(
        prediction,
        # acos(sqrt c) and acos(c) as arctangents: no digits are lost where the errors are small.
        classification_error=math.atan2(math.sqrt(error_per_weight), math.sqrt(prediction.function_overlap)) / math.pi,
        gibbs_classification_error=math.atan2(
            math.sqrt(error_per_weight * (error_per_weight + 2 * prediction.function_overlap)),
            prediction.function_overlap,
        )
        / math.pi,
    )


def label_statistics(signal: float, noise: float, error_per_weight: float) -> LabelStatistics:
    """Statistics of the labels at m = `error_per_weight`; `signal` = eta^2, `noise` = gamma + Delta."""
    variance = noise + signal * error_per_weight
    known = signal * (1.0 - error_per_weight)
    scale = math.sqrt(known / variance)
    return LabelStatistics(
        negative_entropy=2.0 * gaussian_average(lambda z: _negative_entropy(scale * z)),
        fisher=2.0 * gaussian_average(lambda z: _squared_density_ratio(scale * z)) / variance,
        explained=2.0 / math.pi * math.asin(known / (known + variance)),
    )


def _negative_entropy(t: Array) -> Array:
    logarithm = special.log_ndtr(t)
    return np.exp(logarithm) * logarithm


def _squared_density_ratio(t: Array) -> Array:
    """N(t)^2 / Phi(t)."""
    return np.exp(-(t**2) - math.log(2 * math.pi) - special.log_ndtr(t))
