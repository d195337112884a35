"""Nonlinear readouts: the equivalent linear model under y = f(S) + sqrt(Delta) z, by quadrature over labels."""

import math

import numpy as np
from scipy import special

from nishimori.description import OutputChannel
from nishimori.description.quadrature import gaussian_density, normal_rule, panel_rule
from nishimori.theory.coefficients import Coefficients
from nishimori.theory.fixed_point import LabelStatistics
from nishimori.theory.general import general_prediction
from nishimori.theory.prediction import Prediction

_REACH = 9.0
_LARGEST_TABLE = 2**23


def output_prediction(coefficients: Coefficients, channel: OutputChannel, sample_ratio: float) -> Prediction:
    """Prediction for y = f(F) + sqrt(Delta) z, alpha = n/d = `sample_ratio` > 0 (formulas in `fixed_point`).

    Raises ValueError when noise or posterior is too narrow for the quadrature. The arguments are otherwise not
    checked here; `nishimori.theory.predict` checks them.
    """
    signal, gamma = coefficients.signal, coefficients.gamma

    def statistics(error: float, fineness: float = 1.0) -> LabelStatistics:
        return label_statistics(channel, signal, gamma, error, fineness)

    deviation = math.sqrt(signal + gamma)
    points, weights = panel_rule((-_REACH * deviation, _REACH * deviation), 0.5 * deviation, channel.function.kinks)
    weights = weights * gaussian_density(points / deviation) / deviation
    second_moment = float(weights @ channel.function.function(points) ** 2) + channel.noise_variance
    prediction, _ = general_prediction(
        coefficients,
        statistics,
        lambda error: statistics(error, 2.0),
        sample_ratio,
        second_moment,
        -0.5 * math.log(2 * math.pi * math.e * channel.noise_variance),
    )
    return prediction


def label_statistics(
    channel: OutputChannel, signal: float, gamma: float, error_per_weight: float, fineness: float = 1.0
) -> LabelStatistics:
    """Statistics of the labels at m = `error_per_weight`; `signal` = eta^2, `fineness` divides every spacing.

    The inner average is a sum over latent outputs s, split at the kinks of f; what it leaves is analytic in y and V,
    where equidistant points converge exponentially:

        p(y | V) = sum_s P_out(y | s) N(s; a V, b^2) ds
    """
    mean_scale, deviation = math.sqrt(signal * (1.0 - error_per_weight)), math.sqrt(gamma + signal * error_per_weight)
    noise = math.sqrt(channel.noise_variance)
    reach = _REACH * math.sqrt(gamma + signal)
    probes = np.linspace(-reach, reach, 2001)
    values = channel.function.function(probes)
    steepest = max(float(np.abs(channel.function.derivative(probes)).max()), 1e-6)
    width = min(1.0, 2.0 * deviation, 2.0 * noise / steepest) / fineness
    means_spacing = min(0.3, 0.5 * math.hypot(deviation, noise / steepest) / max(mean_scale, 1e-12)) / fineness
    spacing = noise / (4.0 * fineness)
    low, high = float(values.min()) - _REACH * noise, float(values.max()) + _REACH * noise
    if 16 * (2 * reach / width) * (high - low) / spacing > _LARGEST_TABLE * fineness**2:
        raise ValueError(
            f"noise_variance {channel.noise_variance:g} is too small, or the posterior too narrow, for the "
            "quadrature of a nonlinear readout: give a larger noise_variance or a smaller sample_ratio"
        )
    latent, latent_weights = panel_rule((-reach, reach), width, channel.function.kinks)
    normals, normal_weights = normal_rule(means_spacing)
    labels = np.arange(low, high + spacing, spacing)
    likelihood = (
        gaussian_density((labels[:, None] - channel.function.function(latent)) / noise) / noise
    )  # [labels, latent]
    offsets = latent[:, None] - mean_scale * normals  # [latent, normals]
    law = latent_weights[:, None] * gaussian_density(offsets / deviation) / deviation
    density = likelihood @ law  # [labels, normals]
    slope = likelihood @ (law * offsets / deviation**2)
    ratio = np.divide(slope**2, density, out=np.zeros_like(density), where=density > 1e-280)
    weights = spacing * normal_weights
    return LabelStatistics(
        negative_entropy=float(special.xlogy(density, density).sum(0) @ weights),
        fisher=float(ratio.sum(0) @ weights),
        explained=float((spacing * (labels @ density)) ** 2 @ normal_weights),
    )
