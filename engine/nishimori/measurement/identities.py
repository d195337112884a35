"""Exact checks: statements that hold at every size where the sampler is right.

Each check is a difference with mean zero, one value an instance, judged by a Student t with instances - 1 degrees of
freedom. Source: Nishimori identities, Proposition 5 of arXiv 2505.03577; virial theorem for the last.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from nishimori.chains.start import ChainPlan
from nishimori.description import Network
from nishimori.measurement.convergence import convergence
from nishimori.measurement.error_bars import standard_error_of
from nishimori.measurement.student import student_to_normal

Values = NDArray[np.float64]

FITS = {
    "training_energy": ("train_energy", "E<(y - F)^2> equals the noise variance (N1)"),
    "training_log_likelihood": ("train_log_likelihood", "E<log p(y | F)> equals that of the teacher (N1)"),
}
"""Observable -> name and statement of N1."""
LAYER_NORM = "layer_norm_"
VIRIAL = "<theta . grad U> equals the number of parameters (N6)"
START_OBSERVABLES = ("gibbs_error", "overlap")
"""Those that agree between starts, beside the fit to the training labels."""


@dataclass(frozen=True)
class Check:
    """`value` is the mean difference from zero, `z` its Student t mapped to a normal, `p_value` two-sided."""

    name: str
    statement: str
    value: float
    standard_error: float
    z: float
    p_value: float


def check(name: str, statement: str, differences: Values) -> Check:
    """Test that `differences` [instances] have mean zero."""
    value, error = float(differences.mean()), standard_error_of(differences)
    z = student_to_normal(value / error if error > 0 else math.nan, len(differences) - 1)
    return Check(name, statement, value, error, z, float(2 * special.ndtr(-abs(z))))


def virial_check(draws: Values) -> Check:
    """The virial theorem on `draws` [instances, chains, draws] of theta . grad U / dim, judged by its Monte Carlo
    error: there is no disorder."""
    result = convergence(draws)
    value = float(draws.mean()) - 1
    error = math.sqrt(float(result.monte_carlo_variance.sum())) / len(draws)
    z = value / error if error > 0 else math.nan
    return Check("virial", VIRIAL, value, error, z, float(2 * special.ndtr(-abs(z))))


def exact_checks(draws: Mapping[str, Values], plan: ChainPlan, expected_fit: float | Values) -> list[Check]:
    """All checks these draws allow: N1, N3 and N6 always, N2 with independent pairs, the agreement of starts with
    both.

    `expected_fit` is what N1 expects: of `training_energy` the noise variance, of `training_log_likelihood` that of the
    teachers, [instances].
    """
    means = {name: values.mean(axis=(1, 2)) for name, values in draws.items() if values.ndim == 3}
    fit = next(name for name in FITS if name in draws)
    checks = [check(*FITS[fit], means[fit] - expected_fit)]
    if "virial" in means:
        checks.append(check("virial", VIRIAL, means["virial"] - 1))
    for name in sorted(name for name in draws if name.startswith(LAYER_NORM)):
        checks.append(check(name, "E<|W|^2> of the layer equals its number of weights (N3)", means[name] - 1))
    if "replica_function_overlap" in draws:
        difference = means["function_overlap"] - means["replica_function_overlap"]
        checks.append(check("teacher_replica", "E<F F*> equals E<F_A F_B> on test inputs (N2)", difference))
    teacher, prior = plan.where("teacher"), plan.where("prior")
    if teacher and prior:
        for name in (fit, *START_OBSERVABLES):
            by_chain = draws[name].mean(axis=2)
            difference = by_chain[:, teacher].mean(axis=1) - by_chain[:, prior].mean(axis=1)
            checks.append(check(f"starts_{name}", f"{name} agrees between the two starts (N4)", difference))
    return checks


def number_of_checks(plan: ChainPlan, network: Network) -> int:
    """How many checks `exact_checks` will return for chains so planned and this network."""
    both = bool(plan.where("teacher") and plan.where("prior"))
    return 2 + len(network.block_names) + bool(plan.independent_pairs()) + both * (1 + len(START_OBSERVABLES))
