"""Errors of predicted labels, for channels other than y = F + noise.

With g = E[y | F] and g* = E[y | F*] on fresh inputs, the label noise of the test set is averaged over, not drawn:

    generalization_error = E (y - <g>)^2 = E Var[y | F*] + E (g* - <g>)^2
    classification_error = P(y is not the sign of <g>) = E (1 - sign(<g>) g*) / 2

where labels are classes for the second. Source: arXiv 2505.03577, eq. 8; arXiv 2302.00375, eq. 15.
"""

from collections.abc import Sequence

from torch import Tensor

from nishimori.measurement.observables import MatchedTeacherObservables
from nishimori.measurement.overlaps import mean_product
from nishimori.measurement.predictions import PredictionMeans

Pairs = Sequence[tuple[int, int]]


def label_errors(
    observables: MatchedTeacherObservables, predictions: PredictionMeans, pairs: Pairs
) -> dict[str, tuple[Tensor, Tensor]]:
    """Value and Monte Carlo variance, [instances], by name; nothing for the Gaussian channel.

    The first needs `pairs` of independent chains and is unbiased. The second is of the majority of all draws of all
    chains, by the jackknife: the majority of finitely many draws errs more often than that of the posterior, in first
    order of the variance of <g>, and that order is taken away.
    """
    means = predictions.labels
    if means is None:
        return {}
    truth, errors = observables.test_label_means, {}
    if pairs:
        value, variance = means.bayes_error(truth, pairs)
        noise = observables.teacher_law.variance(observables.test_latent).mean(-1).squeeze(1)
        errors["generalization_error"] = (value + noise, variance)
    if observables.law.classes:
        errors["classification_error"] = means.jackknife(lambda mean: _error_of_the_vote(mean, truth), corrected=True)
    return errors


def _error_of_the_vote(mean: Tensor, truth: Tensor) -> Tensor:
    vote = mean.mean(1).sign()
    return (1 - mean_product(vote, truth.squeeze(1))) / 2
