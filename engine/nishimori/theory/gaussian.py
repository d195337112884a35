"""The equivalent linear model under Gaussian label noise, in closed form.

The posterior of the linear model is Gaussian and its disorder average is the resolvent of a Wishart matrix at
one point (Marchenko and Pastur 1967). The same formulas are the Gaussian case of the replica-symmetric
potential proved by Barbier et al. 2019 (arXiv 1708.03395, Theorem 1). Informations are in nats.
"""

import math

from nishimori.theory.coefficients import Coefficients
from nishimori.theory.fixed_point import LabelStatistics
from nishimori.theory.general import general_prediction
from nishimori.theory.prediction import Prediction
from nishimori.theory.spectrum import ISOTROPIC


def gaussian_prediction(coefficients: Coefficients, noise_variance: float, sample_ratio: float) -> Prediction:
    """Prediction for y = F + sqrt(Delta) z, Delta = `noise_variance` > 0, alpha = n/d = `sample_ratio` > 0.

    With T = Delta + gamma, the mean squared error m = 1 - q per weight solves

        eta^2 m^2 + (T + eta^2 (alpha - 1)) m - T = 0
        qhat = alpha eta^2 / (T + eta^2 m),   q = qhat / (1 + qhat)

    and, with eps = gamma + eta^2 m the bayes_error,

        train_mmse = Delta eps / (Delta + eps)
        I(theta*; D)/n = log(1 + eps/Delta)/2 + [log(1 + qhat) - qhat m] / (2 alpha)
        E log Z / n = -log(2 pi e Delta)/2 - I/n

    No division by eta and no difference of near equals: the limits alpha -> 0, alpha -> infinity and eta -> 0
    are reached to round-off. The arguments are not checked here; `nishimori.theory.predict` checks them.

    With correlated inputs m is that of `fixed_point`, with fisher = 1/(T + eta^2 m).
    """
    if coefficients.spectrum != ISOTROPIC:
        return _of_correlated_inputs(coefficients, noise_variance, sample_ratio)
    signal, gamma = coefficients.signal, coefficients.gamma
    unlearnt = error_per_weight(signal, noise_variance + gamma, sample_ratio)
    qhat = sample_ratio * signal / (noise_variance + gamma + signal * unlearnt)
    overlap = qhat / (1.0 + qhat)
    bayes_error = gamma + signal * unlearnt
    weights_term = (math.log1p(qhat) - qhat * unlearnt) / sample_ratio
    information = 0.5 * (math.log1p(bayes_error / noise_variance) + weights_term)
    return Prediction(
        sigma=coefficients.sigma,
        eta=coefficients.eta,
        gamma=gamma,
        overlap=overlap,
        function_overlap=signal * overlap,
        bayes_error=bayes_error,
        generalization_error=bayes_error + noise_variance,
        gibbs_error=2.0 * bayes_error,
        train_mmse=noise_variance * (bayes_error / (noise_variance + bayes_error)),
        mutual_information=information,
        mutual_information_per_dim=sample_ratio * information,
        log_evidence=-0.5 * math.log(2 * math.pi * math.e * noise_variance) - information,
    )


def _of_correlated_inputs(coefficients: Coefficients, noise_variance: float, sample_ratio: float) -> Prediction:
    def statistics(error: float) -> LabelStatistics:
        variance = noise_variance + coefficients.gamma + coefficients.signal * error
        entropy = 0.5 * math.log(2 * math.pi * math.e * variance)
        return LabelStatistics(-entropy, 1.0 / variance, coefficients.signal * (1.0 - error))

    second_moment = noise_variance + coefficients.gamma + coefficients.signal
    channel = -0.5 * math.log(2 * math.pi * math.e * noise_variance)
    return general_prediction(coefficients, statistics, statistics, sample_ratio, second_moment, channel)[0]


def error_per_weight(signal: float, noise: float, sample_ratio: float) -> float:
    """Positive root m of signal m^2 + (noise + signal (sample_ratio - 1)) m - noise = 0, to round-off."""
    linear = noise + signal * (sample_ratio - 1.0)
    root = math.hypot(linear, 2.0 * math.sqrt(signal) * math.sqrt(noise))
    return 2.0 * noise / (linear + root) if linear >= 0 else (root - linear) / (2.0 * signal)
