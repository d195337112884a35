"""The equivalent linear model under a channel other than y = F + noise, by the replica-symmetric fixed point."""

from nishimori.theory.coefficients import Coefficients
from nishimori.theory.fixed_point import FixedPoint, Statistics, residual, solve
from nishimori.theory.prediction import Prediction
from nishimori.theory.spectrum import Spectrum


def general_prediction(
    coefficients: Coefficients,
    statistics: Statistics,
    finer: Statistics,
    sample_ratio: float,
    label_second_moment: float,
    channel_negative_entropy: float,
) -> tuple[Prediction, FixedPoint]:
    """What every channel shares; the fixed point comes with it.

    `statistics` and `finer` are the statistics of the labels by two quadratures, one and the same where it is adaptive,
    `label_second_moment` is E Y^2 and `channel_negative_entropy` E log P_out(Y | S). With eps = gamma + eta^2 m the
    bayes_error,

        train_mmse = eps - eps^2 fisher
        E log Z / n = f / alpha,   I(theta*; D)/n = E log P_out(Y | S) - f / alpha
        generalization_error = E Y^2 - E_V (int y p(y | V) dy)^2

    The first is the variance of a training output under N(a_V, eps) given its own label (Tweedie); under Gaussian
    noise it is Delta eps/(Delta + eps).
    """
    signal = coefficients.signal
    spectrum = Spectrum.of(coefficients.spectrum)
    point = solve(statistics, signal, sample_ratio, spectrum)
    bayes_error = coefficients.gamma + signal * point.error_per_weight
    log_evidence = point.potential / sample_ratio
    information = channel_negative_entropy - log_evidence
    prediction = Prediction(
        sigma=coefficients.sigma,
        eta=coefficients.eta,
        gamma=coefficients.gamma,
        overlap=point.overlap,
        function_overlap=signal * point.signal_overlap,
        bayes_error=bayes_error,
        generalization_error=label_second_moment - point.statistics.explained,
        gibbs_error=2.0 * bayes_error,
        train_mmse=bayes_error * (1.0 - bayes_error * point.statistics.fisher),
        mutual_information=information,
        mutual_information_per_dim=sample_ratio * information,
        log_evidence=log_evidence,
        residual=residual(point, finer, signal, sample_ratio, spectrum),
    )
    return prediction, point
