"""The posterior of a student that believes otherwise than its teacher, under Gaussian label noise; a conjecture.

Student and teacher are replaced by their equivalent linear models, eta v.x / sqrt(d) + sqrt(gamma) xi. The posterior of
an infinitely wide student is a Gaussian process, whose averages over the data are those of a Wishart matrix
(arXiv 2302.00375, eq. 24, which writes them as a fixed point). At finite width its kernel is multiplied by a number Q
that the data choose (see `renormalisation`). Neither limit is proved for sampled networks.
"""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

from nishimori.description import Channel, GaussianChannel, Network
from nishimori.theory.coefficients import Coefficients, equivalent_linear_model
from nishimori.theory.mismatched_ridge import MismatchedRidge
from nishimori.theory.renormalisation import renormalisation


@dataclass(frozen=True)
class MismatchedPrediction:
    """Limits of the observables of a mismatched student, by the names of its estimates.

    F is the student's latent output, F* the teacher's, <.> the mean over the student's posterior, Y a label.

    sigma, eta, gamma: of the student, as in `Prediction`; teacher_eta, teacher_gamma: of the teacher.
    renormalisation: Q, by which the data multiply the student's kernel; 1 for an infinitely wide student.
    overlap: E[v.v*] / E|v*|^2 of the effective linear weights; replica_overlap: E[v.v'] / E|v*|^2 of two samples.
    function_overlap: E F F* on a fresh input; replica_function_overlap: E F F' of two samples.
    posterior_mean_error: E (F* - <F>)^2 on a fresh input, label noise excluded; the Bayes error of a matched student.
    posterior_variance: E <(F - <F>)^2>, what the student believes that error to be.
    gibbs_error: E <(F* - F)^2>, the sum of both.
    generalization_error: E (Y - <F>)^2, label noise included.
    training_energy: E <(y - F)^2> on a training input; the noise variance for a matched student.
    train_gibbs_error: E <(F* - F)^2> on a training input.
    basis: "conjecture".
    """

    sigma: tuple[float, ...]
    eta: float
    gamma: float
    teacher_eta: float
    teacher_gamma: float
    renormalisation: float
    overlap: float
    replica_overlap: float
    function_overlap: float
    replica_function_overlap: float
    posterior_mean_error: float
    posterior_variance: float
    gibbs_error: float
    generalization_error: float
    training_energy: float
    train_gibbs_error: float
    basis: str = "conjecture"

    def to_dict(self) -> dict[str, float | str | list[float]]:
        """The fields by name, ready for JSON; `sigma` becomes a list."""
        return {**dataclasses.asdict(self), "sigma": list(self.sigma)}


def predict_mismatched(
    network: Network,
    channel: Channel,
    sample_ratio: float,
    teacher_network: Network | None = None,
    teacher_channel: Channel | None = None,
    width_ratios: Sequence[float] | None = None,
) -> MismatchedPrediction:
    """Limits for the student `network`, `channel` on data of a teacher that is another where it is named.

    sample_ratio = n/d. `width_ratios` are the student's d_l/d, by default those of `network`, () for an infinitely wide
    one; they enter through Q alone, which is 1 then. A matched student has Q = 1 at any width, and the errors of
    `nishimori.theory.predict`.

    Raises OutsideTheTheorem when an activation is not odd, a readout is fixed or there are biases, and ValueError for
    another channel than the Gaussian one and a sample ratio that is not finite and positive.
    """
    if not (math.isfinite(sample_ratio) and sample_ratio > 0):
        raise ValueError(f"sample_ratio must be finite and greater than 0, got {sample_ratio}: give n/d")
    student, noise = equivalent_linear_model(network), _noise_variance(channel)
    teacher = student if teacher_network is None else equivalent_linear_model(teacher_network)
    teacher_noise = noise if teacher_channel is None else _noise_variance(teacher_channel)
    ridge = MismatchedRidge.of(student, noise, teacher, teacher_noise, float(sample_ratio))
    own = [width / network.input_dim for width in network.widths]
    factor = renormalisation(ridge, own if width_ratios is None else width_ratios)
    variances = network.effective_variance, (teacher_network or network).effective_variance
    return _prediction(ridge.renormalised(factor), factor, student, teacher, variances[0] / variances[1])


def _noise_variance(channel: Channel) -> float:
    if not isinstance(channel, GaussianChannel):
        raise ValueError(
            f"mismatched students have a theory for Gaussian label noise alone, not for {channel!r}: "
            "use GaussianChannel(noise_variance), or sample without a theory line"
        )
    return channel.noise_variance


def _prediction(
    ridge: MismatchedRidge, factor: float, student: Coefficients, teacher: Coefficients, stretch: float
) -> MismatchedPrediction:
    """`stretch` is E |v|^2 / E |v*|^2 of effective linear weights under the priors."""
    error, variance = ridge.posterior_mean_error, ridge.posterior_variance
    return MismatchedPrediction(
        sigma=student.sigma,
        eta=student.eta,
        gamma=student.gamma,
        teacher_eta=teacher.eta,
        teacher_gamma=teacher.gamma,
        renormalisation=factor,
        overlap=math.sqrt(stretch) * _ratio(teacher.eta * ridge.learnt, student.eta),
        replica_overlap=stretch * _ratio(ridge.squared_mean, student.eta**2),
        function_overlap=ridge.function_overlap,
        replica_function_overlap=ridge.squared_mean,
        posterior_mean_error=error,
        posterior_variance=variance,
        gibbs_error=error + variance,
        generalization_error=error + ridge.teacher_noise,
        training_energy=ridge.training_energy,
        train_gibbs_error=ridge.train_gibbs_error,
    )


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator else 0.0
