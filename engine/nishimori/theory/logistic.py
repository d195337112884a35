"""Logistic regression on the output: the equivalent linear model under p(y | S) = 1 / (1 + exp(-y S / T)).

    p(V) = E_w 1 / (1 + exp(-(a V + b w) / T)),   the probability of the label 1; p(-V) that of -1

for a, b, V of `fixed_point` (Barbier et al. 2019, arXiv 1708.03395). Informations are in nats.
"""

import dataclasses
import math

import numpy as np
from numpy.typing import NDArray
from scipy import special

from nishimori.description.quadrature import gaussian_average, gaussian_density, normal_rule, panel_rule
from nishimori.theory.coefficients import Coefficients
from nishimori.theory.fixed_point import LabelStatistics
from nishimori.theory.general import general_prediction
from nishimori.theory.prediction import Prediction

Array = NDArray[np.float64]

_REACH = 9.0
_SATURATED = 40.0
_LOGISTIC_REACH = 45.0
_TINY = 1e-280


def logistic_prediction(coefficients: Coefficients, temperature: float, sample_ratio: float) -> Prediction:
    """Prediction for labels -1 and 1, T = `temperature` > 0, alpha = n/d = `sample_ratio` > 0.

        Psi = 2 E_V p log p,   fisher = E_V (dp/da_V)^2 / (p (1 - p)),   generalization_error = 1 - E_V (2 p - 1)^2
        classification_error = E_V min(p, 1 - p),   gibbs_classification_error = generalization_error / 2

    The arguments are not checked here; `nishimori.theory.predict` checks them.
    """
    signal, gamma = coefficients.signal, coefficients.gamma

    def statistics(error: float, fineness: float = 1.0) -> LabelStatistics:
        return label_statistics(temperature, signal, gamma, error, fineness)

    scale = math.sqrt(signal + gamma) / temperature
    channel = 2.0 * gaussian_average(lambda z: special.expit(scale * z) * special.log_expit(scale * z))
    prediction, point = general_prediction(
        coefficients, statistics, lambda error: statistics(error, 2.0), sample_ratio, 1.0, channel
    )
    weights, _, unlikely, _ = _law_of_the_label(temperature, signal, gamma, point.error_per_weight, 1.0)
    return dataclasses.replace(
        prediction,
        classification_error=float(weights @ unlikely),
        gibbs_classification_error=0.5 * prediction.generalization_error,
    )


def label_statistics(
    temperature: float, signal: float, gamma: float, error_per_weight: float, fineness: float = 1.0
) -> LabelStatistics:
    """Statistics of the labels at m = `error_per_weight`; `signal` = eta^2, `fineness` divides every spacing."""
    weights, likely, unlikely, slope = _law_of_the_label(temperature, signal, gamma, error_per_weight, fineness)
    spread = likely * unlikely
    ratio = np.divide(slope**2, spread, out=np.zeros_like(slope), where=spread > _TINY)
    return LabelStatistics(
        negative_entropy=float(weights @ (special.xlogy(likely, likely) + special.xlogy(unlikely, unlikely))),
        fisher=float(weights @ ratio),
        explained=float(weights @ (likely - unlikely) ** 2),
    )


def _law_of_the_label(
    temperature: float, signal: float, gamma: float, error_per_weight: float, fineness: float
) -> tuple[Array, Array, Array, Array]:
    """Weights of V > 0, which count V < 0 too, and there p, 1 - p and dp/da_V, [points] each.

    In V the law varies over lengths of (b + T) / a about 0, and no more beyond 40 of them.
    """
    mean_scale = math.sqrt(signal * (1.0 - error_per_weight))
    deviation = math.sqrt(gamma + signal * error_per_weight)
    width = max(deviation, temperature) / max(mean_scale, 1e-300)
    edge = min(_REACH, _SATURATED * width)
    points, weights = panel_rule((0.0, edge), min(1.0, 2.0 * width) / fineness)
    if edge < _REACH:
        beyond, more = panel_rule((edge, _REACH), 1.0 / fineness)
        points, weights = np.concatenate([points, beyond]), np.concatenate([weights, more])
    weights = 2.0 * weights * gaussian_density(points)
    law = _by_the_logistic if temperature < deviation else _by_the_normal
    return weights, *law(mean_scale * points[:, None], deviation, temperature, fineness)


def _by_the_normal(means: Array, deviation: float, temperature: float, fineness: float) -> tuple[Array, Array, Array]:
    """p, 1 - p and dp/dmean by a sum over w: for T >= b, where its poles are pi from the real line or further."""
    normals, weights = normal_rule(0.25 / fineness)
    margins = (means + deviation * normals) / temperature
    likely, unlikely = special.expit(margins), special.expit(-margins)
    return likely @ weights, unlikely @ weights, (likely * unlikely) @ weights / temperature


def _by_the_logistic(means: Array, deviation: float, temperature: float, fineness: float) -> tuple[Array, Array, Array]:
    """The same as E_l Phi((mean + T l) / b) over l of the logistic law: for T < b, where that is smooth in l."""
    number = math.ceil(2 * _LOGISTIC_REACH * fineness)
    logistics = _LOGISTIC_REACH * np.arange(-number, number + 1) / number
    weights = special.expit(logistics) * special.expit(-logistics) * _LOGISTIC_REACH / number
    margins = (means + temperature * logistics) / deviation
    slopes = gaussian_density(margins) / deviation
    return special.ndtr(margins) @ weights, special.ndtr(-margins) @ weights, slopes @ weights
