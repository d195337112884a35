"""Estimates of the chains of one start alone.

Where the posterior has a first-order transition, chains from the teacher and from the prior stay in different branches
for times exponential in the dimension. Averages over both, and products of one with the other such as the Bayes error
of a pair, then describe neither.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from nishimori.chains.start import ChainPlan
from nishimori.measurement.analysis import Analysis, measured
from nishimori.measurement.error_bars import Estimate, disorder_mean, disorder_ratio

Values = NDArray[np.float64]

MEANS = ("training_energy", "training_log_likelihood", "train_mmse", "gibbs_error", "function_overlap")
"""As far as the channel has them."""


def estimates_of_start(
    draws: Mapping[str, Values], plan: ChainPlan, analysis: Analysis, start: str
) -> dict[str, Estimate]:
    """Of every observable of one chain, from `draws` [instances, chains, draws] of the chains with this `start`.

    Raises ValueError where no chain has this start, or there is no teacher.
    """
    places = plan.where(start)
    if not places or not analysis.norms:
        raise ValueError(f'no chain of a matched teacher starts at {start!r} here: sample with start="both"')
    own = plan.at(places)
    norms = {name: values for name, values in analysis.norms.items() if not name.startswith("replica_")}
    found = {}
    for name in (*(name for name in MEANS if name in draws), *norms):
        chosen = draws[name][:, places]
        values, variance = chosen.mean(axis=(1, 2)), measured(chosen, own).monte_carlo_variance
        ratio = name in norms
        found[name] = disorder_ratio(values, norms[name], variance) if ratio else disorder_mean(values, variance)
    return found
