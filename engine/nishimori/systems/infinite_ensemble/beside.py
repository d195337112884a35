"""What is laid beside trained networks: their infinite training, and posteriors, of infinite width and sampled."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nishimori.systems.infinite_ensemble.instances import Instance
from nishimori.systems.simulation import Measured
from nishimori.theory.ensemble_information import (
    gaussian_information,
    path_energy,
    posterior_information,
    weight_divergence,
)

if TYPE_CHECKING:
    from nishimori.systems.infinite_ensemble.sampled import Sampled

Array = NDArray[np.float64]


def of_limits(instances: Sequence[Instance], time: float) -> dict[str, Measured]:
    """What theory alone has for the data sets; energy (the mean over all starts) and divergence are those at `time`."""
    told = [_limits(one, time) for one in instances]
    return {name: Measured(np.array([one[name] for one in told])) for name in told[0]}


def _limits(one: Instance, time: float) -> dict[str, float]:
    wide, judge = one.wide, one.judge
    known, tangent = wide.covariance[: wide.samples, : wide.samples], wide.flow.tangent
    (limit,), tangent_posterior = one.trained([np.inf]), one.tangent_posterior()
    told = {
        "limit_coverage": judge.covered(limit.mean, limit.variance),
        "limit_variance": float(limit.variance.mean()),
        "tangent_posterior_coverage": judge.covered(tangent_posterior.mean, tangent_posterior.variance),
        "tangent_posterior_variance": float(tangent_posterior.variance.mean()),
        "wide_posterior_information": posterior_information(known, judge.noise_variance),
        "wide_path_energy": path_energy(tangent, known, wide.labels, time),
        "weight_divergence": weight_divergence(tangent, wide.labels, time),
    }
    if judge.signal is None:
        return told
    return {**told, "exact_label_information": gaussian_information(judge.signal, judge.noise_variance)}


def wide_coverage(instances: Sequence[Instance], normals: Array, matched: bool) -> Measured:
    """Of posteriors of infinite width, beside that of a function drawn from each by `normals` [instances, samples +
    rows], where those stand for a `matched` teacher: both are 95 % on average, and skewed over instances alike."""
    laws = [(one.judge, one.posterior()) for one in instances]
    found = [judge.covered(law.mean, law.variance) for judge, law in laws]
    drawn = [one.posterior_draw(own) for one, own in zip(instances, normals, strict=True)]
    replicated = [judge.covered(law.mean, law.variance, own) for (judge, law), own in zip(laws, drawn, strict=True)]
    return Measured(np.array(found), np.array(replicated) if matched else None)


def of_posterior(sampled: "Sampled", instances: Sequence[Instance], matched: bool) -> dict[str, Measured]:
    """Of sampled networks beside the posterior of infinite width; coverage as in `wide_coverage`."""
    found, known, covered, law = [], [], [], sampled.law
    for one, mean, variance, draw in zip(instances, law.mean, law.variance, sampled.draw, strict=True):
        wide = one.posterior()
        found.append({**one.judge.told(mean, variance), "variance": float(variance.mean())})
        known.append({**one.judge.told(wide.mean, wide.variance), "variance": float(wide.variance.mean())})
        covered.append(one.judge.covered(mean, variance, draw))
    told = {
        f"posterior_{name}": Measured(np.array([one[name] for one in found]), np.array([one[name] for one in known]))
        for name in found[0]
    }
    return {
        **told,
        "posterior_coverage": Measured(told["posterior_coverage"].values, np.array(covered) if matched else None),
        "posterior_variance_between": Measured(law.between.mean(axis=1)),
        "posterior_r_hat": Measured(sampled.r_hat),
    }
