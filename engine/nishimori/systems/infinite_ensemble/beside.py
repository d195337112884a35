"""What is laid beside trained networks: their infinite training, and posteriors, of infinite width and sampled."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from nishimori.systems.infinite_ensemble.instances import Instance
from nishimori.systems.simulation import Measured
from nishimori.theory.ensemble_information import (
    gaussian_information,
    path_energy,
    posterior_information,
    weight_divergence,
)

if TYPE_CHECKING:
    from nishimori.theory.predictive_variance import TotalVariance


def of_limits(instances: Sequence[Instance], time: float) -> dict[str, Measured]:
    """What theory alone has for the data sets; energy and divergence are those at `time`."""
    told = [_limits(one, time) for one in instances]
    return {name: Measured(np.array([one[name] for one in told])) for name in told[0]}


def _limits(one: Instance, time: float) -> dict[str, float]:
    wide, judge = one.wide, one.judge
    known, tangent = wide.covariance[: wide.samples, : wide.samples], wide.flow.tangent
    (limit,), posterior, tangent_posterior = one.trained([np.inf]), one.posterior(), one.tangent_posterior()
    told = {
        "limit_coverage": judge.covered(limit.mean, limit.variance),
        "limit_variance": float(limit.variance.mean()),
        "tangent_posterior_coverage": judge.covered(tangent_posterior.mean, tangent_posterior.variance),
        "tangent_posterior_variance": float(tangent_posterior.variance.mean()),
        "wide_posterior_coverage": judge.covered(posterior.mean, posterior.variance),
        "wide_posterior_information": posterior_information(known, judge.noise_variance),
        "path_energy": path_energy(tangent, known, wide.labels, time),
        "weight_divergence": weight_divergence(tangent, wide.labels, time),
    }
    if judge.signal is None:
        return told
    return {**told, "exact_label_information": gaussian_information(judge.signal, judge.noise_variance)}


def of_posterior(law: "TotalVariance", instances: Sequence[Instance]) -> dict[str, Measured]:
    """Of sampled networks, [instances, rows], beside the posterior of infinite width; coverage beside what is asked."""
    found, known = [], []
    for one, mean, variance in zip(instances, law.mean, law.variance, strict=True):
        wide = one.posterior()
        found.append({**one.judge.told(mean, variance), "variance": float(variance.mean())})
        known.append({**one.judge.told(wide.mean, wide.variance), "variance": float(wide.variance.mean())})
    told = {
        f"posterior_{name}": Measured(np.array([one[name] for one in found]), np.array([one[name] for one in known]))
        for name in found[0]
    }
    return {
        **told,
        "posterior_coverage": Measured(told["posterior_coverage"].values),
        "posterior_variance_between": Measured(law.between.mean(axis=1)),
    }
