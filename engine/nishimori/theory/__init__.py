"""Predictions for matched teachers in the proportional limit: control parameters in, observables out.

predict(Network(200, (200, 200)), GaussianChannel(0.1), sample_ratio=2.0).bayes_error
"""

import dataclasses
import math

from numpy.typing import ArrayLike

from nishimori.description import Channel, GaussianChannel, LogisticChannel, Network, OutputChannel, ProbitChannel
from nishimori.theory.coefficients import Coefficients, OutsideTheTheorem, equivalent_linear_model
from nishimori.theory.gaussian import gaussian_prediction
from nishimori.theory.logistic import logistic_prediction
from nishimori.theory.mismatch import MismatchedPrediction, predict_mismatched
from nishimori.theory.nngp import conjectured_linear_model
from nishimori.theory.output import output_prediction
from nishimori.theory.prediction import Prediction
from nishimori.theory.probit import probit_prediction
from nishimori.theory.spectrum import ISOTROPIC, variance_and_spectrum

__all__ = [
    "Coefficients",
    "MismatchedPrediction",
    "OutsideTheTheorem",
    "Prediction",
    "conjectured_linear_model",
    "equivalent_linear_model",
    "predict",
    "predict_mismatched",
]


def predict(
    network: Network,
    channel: Channel,
    sample_ratio: float,
    conjecture: bool = False,
    input_spectrum: ArrayLike | None = None,
) -> Prediction:
    """Limits of the observables at sample_ratio = n/d, as d, the widths and n grow in proportion.

    `network` enters through its activations, depth and variances alone. Corrections at finite size are
    O(1/sqrt(width)) at most for the mutual information per sample (arXiv 2505.03577, Corollary 3).

    `basis` of the prediction says what it rests on. "theorem": a linear model under any channel (arXiv 1708.03395);
    a smooth odd activation under Gaussian noise, with a smooth odd function of the output or none (arXiv 2505.03577,
    whose bounds on the derivatives are not checked). "conjecture": a channel of classes behind hidden layers, an
    activation or output function that jumps, has a kink or is not odd, biases. `conjecture=True` admits activations
    that are not odd; they and biases (`conjectured_linear_model`) go with the Gaussian channel alone.

    `input_spectrum` [d] holds the eigenvalues of the covariance Omega of Gaussian inputs, x ~ N(0, Omega), of which the
    first layer sees x / sqrt(d); without it Omega = 1. What it leads to is a conjecture: arXiv 2505.03577 has inputs
    without correlations. No few directions may dominate: tr Omega^2 / d must stay finite as d grows. `overlap` stays
    that of the weights, E[v.v*] / E|v*|^2.

    Raises OutsideTheTheorem when an activation is not odd, unless `conjecture` admits it, the readout is fixed, or the
    network has biases under another channel; and ValueError when the sample ratio is not finite and positive, the
    channel has no theory, or `input_spectrum` is none.
    """
    if not (math.isfinite(sample_ratio) and sample_ratio > 0):
        raise ValueError(f"sample_ratio must be finite and greater than 0, got {sample_ratio}: give n/d")
    odd = all(phi.odd for phi in network.activations)
    variance, spectrum = (1.0, ISOTROPIC) if input_spectrum is None else variance_and_spectrum(input_spectrum)
    if not odd and not conjecture or odd and not network.bias_variance:
        model = dataclasses.replace(equivalent_linear_model(network, variance), spectrum=spectrum)
        prediction = _predicted(model, channel, float(sample_ratio))
        proved = input_spectrum is None and _is_proved(network, channel)
        return dataclasses.replace(prediction, basis="theorem" if proved else "conjecture")
    if not isinstance(channel, GaussianChannel):
        raise OutsideTheTheorem(
            f"{_shared_by(network)}, and its outputs share a bias that theory knows under Gaussian noise alone: use "
            "GaussianChannel(noise_variance), or odd activations without biases"
        )
    model = dataclasses.replace(conjectured_linear_model(network, variance), spectrum=spectrum)
    prediction = gaussian_prediction(model, channel.noise_variance, float(sample_ratio))
    return dataclasses.replace(
        prediction,
        basis="conjecture",
        bias_variance=model.bias_variance,
        overlap=prediction.overlap * model.alignment,
        function_overlap=prediction.function_overlap + model.bias_variance,
    )


def _predicted(model: Coefficients, channel: Channel, sample_ratio: float) -> Prediction:
    match channel:
        case GaussianChannel():
            return gaussian_prediction(model, channel.noise_variance, sample_ratio)
        case ProbitChannel():
            return probit_prediction(model, channel.noise_variance, sample_ratio)
        case LogisticChannel():
            return logistic_prediction(model, channel.temperature, sample_ratio)
        case OutputChannel():
            return output_prediction(model, channel, sample_ratio)
    raise ValueError(
        f"no theory for the channel {channel!r}: use GaussianChannel(noise_variance), ProbitChannel(noise_variance), "
        "LogisticChannel(temperature) or OutputChannel(function, noise_variance)"
    )


def _shared_by(network: Network) -> str:
    """Why the outputs of a network share a bias."""
    if network.bias_variance:
        return f"the network has biases of variance {network.bias_variance:g}"
    return f"{next(phi.name for phi in network.activations if not phi.odd)!r} is not odd"


def _is_proved(network: Network, channel: Channel) -> bool:
    if network.depth == 0:
        return True
    if isinstance(channel, ProbitChannel | LogisticChannel):
        return False
    output = channel.function if isinstance(channel, OutputChannel) else None
    smooth_output = output is None or (output.odd and output.smooth)
    return all(phi.odd and phi.smooth for phi in network.activations) and smooth_output
