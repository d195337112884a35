"""Predictions for matched teachers in the proportional limit: control parameters in, observables out.

predict(Network(200, (200, 200)), GaussianChannel(0.1), sample_ratio=2.0).bayes_error
"""

import math

from nishimori.description import GaussianChannel, Network
from nishimori.theory.coefficients import Coefficients, OutsideTheTheorem, equivalent_linear_model
from nishimori.theory.gaussian import Prediction, gaussian_prediction

__all__ = ["Coefficients", "OutsideTheTheorem", "Prediction", "equivalent_linear_model", "predict"]


def predict(network: Network, channel: GaussianChannel, sample_ratio: float) -> Prediction:
    """Limits of the observables at sample_ratio = n/d, as d, the widths and n grow in proportion.

    `network` enters through its activation and depth alone. Corrections at finite size are
    O(1/sqrt(width)) at most for the mutual information per sample (arXiv 2505.03577, Corollary 3).

    Raises OutsideTheTheorem when the activation is not odd, and ValueError when the sample ratio is not
    finite and positive or the channel has no theory.
    """
    if not (math.isfinite(sample_ratio) and sample_ratio > 0):
        raise ValueError(f"sample_ratio must be finite and greater than 0, got {sample_ratio}: give n/d")
    if not isinstance(channel, GaussianChannel):
        raise ValueError(f"no theory for the channel {channel!r}: use GaussianChannel(noise_variance)")
    return gaussian_prediction(equivalent_linear_model(network), channel.noise_variance, float(sample_ratio))
