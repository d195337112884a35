"""What is measured of a student that may differ from its teacher, and what cannot be checked then.

The posterior of a mismatched student is not Bayes-optimal: E (F* - <F>)^2, its posterior_mean_error, is no Bayes error,
and the posterior_variance E <(F - <F>)^2> that the student believes it to be is something else. Both add up to the
gibbs_error; in a matched student they are equal.
"""

from collections.abc import Mapping, MutableMapping

import numpy as np
from numpy.typing import NDArray

from nishimori.measurement.error_bars import Estimate, disorder_mean
from nishimori.measurement.identities import FITS
from nishimori.measurement.observers import is_compared
from nishimori.models.target import Target

Values = NDArray[np.float64]


def add_posterior_mean(
    estimates: MutableMapping[str, Estimate], per_instance: MutableMapping[str, Values], mean_error: str
) -> None:
    """`posterior_mean_error`, the estimate called `mean_error`, and `posterior_variance`, which is gibbs_error less it;
    `train_gibbs_error` where it goes by the name of half of it, train_mmse.

    The Monte Carlo variance of the second is that of two independent terms, an upper bound: both rise together.
    """
    error, gibbs = estimates[mean_error], estimates["gibbs_error"]
    count = len(per_instance[mean_error])
    noise = np.full(count, (error.monte_carlo_variance + gibbs.monte_carlo_variance) * count)
    per_instance["posterior_mean_error"] = per_instance[mean_error]
    per_instance["posterior_variance"] = per_instance["gibbs_error"] - per_instance[mean_error]
    estimates["posterior_mean_error"] = error
    if "train_mmse" in estimates:
        estimates["train_gibbs_error"] = estimates["train_mmse"].scaled(2)
    estimates["posterior_variance"] = disorder_mean(per_instance["posterior_variance"], noise)


def spread_by_disorder(estimates: Mapping[str, Estimate], matched: bool) -> dict[str, Estimate]:
    """Those whose Monte Carlo error is judged by the spread over instances.

    How a mismatched student fits its labels is not: believing in little noise, it fits all data sets alike, and there
    is no spread to be small against. Its R-hat and sample size are judged all the same.
    """
    return {name: estimate for name, estimate in estimates.items() if matched or name not in FITS}


def unchecked(target: Target) -> str:
    """Why the Nishimori identities of `target` were not checked; empty where student and teacher are matched, or there
    is no teacher."""
    if not is_compared(target) or not target.problem.mismatch:
        return ""
    return (
        f"teacher and student differ in {', '.join(target.problem.mismatch)}: the posterior is not Bayes-optimal, so "
        "the identities N1 to N5, ranks and coverage do not hold and were not checked; only the virial (N6) and the "
        "agreement of chains were"
    )
