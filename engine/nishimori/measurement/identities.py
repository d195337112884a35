"""Exact checks: statements that hold at every size where the sampler is right.

Each check is a difference with mean zero, one value an instance, judged by a Student t with instances - 1 degrees of
freedom; ranks by their own law. Source: Nishimori identities, Proposition 5 of arXiv 2505.03577; virial theorem for N6.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import special

from nishimori.chains.start import ChainPlan
from nishimori.description import Network
from nishimori.measurement.convergence import monte_carlo_variance
from nishimori.measurement.error_bars import standard_error_of
from nishimori.measurement.ranks import rank_deviate
from nishimori.measurement.student import student_to_normal

Values = NDArray[np.float64]

FITS = {
    "training_energy": ("train_energy", "E<(y - F)^2> equals the noise variance (N1)"),
    "training_log_likelihood": ("train_log_likelihood", "E<log p(y | F)> equals that of the teacher (N1)"),
}
"""Observable -> name and statement of N1."""
NORMS = {
    "layer_norm_": "E<|W|^2> of the layer equals its number of weights (N3)",
    "bias_norm_": "E<|b|^2> of the layer equals its number of biases (N3)",
}
"""Prefix of observables -> statement."""
REPLICA = "replica_"
VIRIAL = "<theta . grad U> equals the number of parameters (N6)"
START_OBSERVABLES = ("gibbs_error", "overlap")
STATIONARY_OBSERVABLES = ("function_norm",)
RANKED_OBSERVABLES = ("function_norm", "effective_norm")
"""Each beside the fit to the training labels."""
PAIRED_CHECKS = {"function_overlap": "teacher_replica"}
"""Names of N2 checks that are not called teacher_replica_<observable>."""


@dataclass(frozen=True)
class Check:
    """`value` is the mean difference from zero, `z` its Student t mapped to a normal, `p_value` two-sided. A check that
    is not `exact` holds for large networks alone, and is told without being judged."""

    name: str
    statement: str
    value: float
    standard_error: float
    z: float
    p_value: float
    exact: bool = True


@dataclass(frozen=True, eq=False)
class Evidence:
    """What the checks look at.

    `draws` and `warmup` as recorded, [instances, chains or pairs, draws or steps]; `noise_variance` that of the
    Gaussian channel, None of others; `truth[name]` the same observables at the teacher, [instances]; `coverage` of
    fresh labels, and of those of a draw held out, by predictive intervals whose exact coverage is `nominal`, both
    [instances]; `ranked` says whether recorded values are those of single draws, which can be ranked.
    """

    draws: Mapping[str, Values]
    plan: ChainPlan
    noise_variance: float | None
    warmup: Mapping[str, Values] = field(default_factory=dict)
    truth: Mapping[str, Values] = field(default_factory=dict)
    coverage: tuple[Values, Values] | None = None
    nominal: float = math.nan
    ranked: bool = True

    @property
    def fit(self) -> str:
        """The observable that says how F fits the training labels, one of `FITS`."""
        return next(name for name in FITS if name in self.draws)

    @property
    def expected_fit(self) -> float | Values:
        """Its average over posterior and data sets: the noise variance, or else what it is at the teachers."""
        return self.truth[self.fit] if self.noise_variance is None else self.noise_variance


def check(name: str, statement: str, differences: Values, exact: bool = True) -> Check:
    """Test that `differences` [instances] have mean zero."""
    value, error = float(differences.mean()), standard_error_of(differences)
    z = student_to_normal(value / error if error > 0 else math.nan, len(differences) - 1)
    return Check(name, statement, value, error, z, float(2 * special.ndtr(-abs(z))), exact)


def virial_check(draws: Values) -> Check:
    """The virial theorem on `draws` [instances, chains, draws] of theta . grad U / dim, judged by its Monte Carlo
    error: there is no disorder."""
    value = float(draws.mean()) - 1
    error = math.sqrt(float(monte_carlo_variance(draws).sum())) / len(draws)
    z = value / error if error > 0 else math.nan
    return Check("virial", VIRIAL, value, error, z, float(2 * special.ndtr(-abs(z))))


def exact_checks(evidence: Evidence) -> list[Check]:
    """All checks these draws allow: N1, N3 and N6 always, N2 with independent pairs, N4 with teacher starts, the
    agreement of starts with both, ranks with prior starts; N5, which is asymptotic, is told and not judged."""
    means = {name: values.mean(axis=(1, 2)) for name, values in evidence.draws.items() if values.ndim == 3}
    return [
        *_one_point(evidence, means),
        *_two_point(means),
        *_starts(evidence),
        *_stationary(evidence),
        *_ranks(evidence),
        *_relation(evidence, means),
    ]


def _one_point(evidence: Evidence, means: Mapping[str, Values]) -> Iterator[Check]:
    yield check(*FITS[evidence.fit], means[evidence.fit] - evidence.expected_fit)
    if "virial" in means:
        yield check("virial", VIRIAL, means["virial"] - 1)
    for prefix, statement in NORMS.items():
        for name in sorted(name for name in means if name.startswith(prefix)):
            yield check(name, statement, means[name] - 1)
    if "function_norm" in means and "function_norm" in evidence.truth:
        difference = means["function_norm"] - evidence.truth["function_norm"]
        yield check("function_norm", "E<F^2> equals E F*^2 on test inputs (N3)", difference)
    if evidence.coverage is not None:
        fresh, held_out = evidence.coverage
        statement = (
            f"{evidence.nominal:.0%} predictive intervals cover {fresh.mean():.2%} of fresh labels, as often as the "
            f"{held_out.mean():.2%} of labels of a draw held out (N3)"
        )
        yield check("coverage", statement, fresh - held_out)


def _two_point(means: Mapping[str, Values]) -> Iterator[Check]:
    """N2 of every observable of a replica with the teacher that has a twin between two replicas."""
    for name in sorted(name for name in means if REPLICA + name in means):
        statement = f"{name} with the teacher equals that between two replicas (N2)"
        yield check(PAIRED_CHECKS.get(name, f"teacher_replica_{name}"), statement, means[name] - means[REPLICA + name])


def _starts(evidence: Evidence) -> Iterator[Check]:
    teacher, prior = evidence.plan.where("teacher"), evidence.plan.where("prior")
    for name in (evidence.fit, *START_OBSERVABLES) if teacher and prior else ():
        by_chain = evidence.draws[name].mean(axis=2)
        difference = by_chain[:, teacher].mean(axis=1) - by_chain[:, prior].mean(axis=1)
        yield check(f"starts_{name}", f"{name} agrees between the two starts (N4)", difference)


def _stationary(evidence: Evidence) -> Iterator[Check]:
    teacher = evidence.plan.where("teacher")
    for name in (evidence.fit, *STATIONARY_OBSERVABLES) if teacher else ():
        if name in evidence.warmup and name in evidence.draws:
            early, late = (values[name][:, teacher].mean(axis=(1, 2)) for values in (evidence.warmup, evidence.draws))
            yield check(f"stationary_{name}", f"{name} of teacher starts is flat from step 0 (N4)", early - late)


def _ranks(evidence: Evidence) -> Iterator[Check]:
    prior = evidence.plan.where("prior")
    for name in (evidence.fit, *RANKED_OBSERVABLES) if prior and evidence.ranked else ():
        if name in evidence.draws and name in evidence.truth:
            value, z = rank_deviate(evidence.draws[name][:, prior], evidence.truth[name])
            error = abs(value / z) if z else math.nan
            statement = f"{name} of the teacher ranks uniformly among prior starts (N3)"
            yield Check(f"rank_{name}", statement, value, error, z, float(2 * special.ndtr(-abs(z))))


def _relation(evidence: Evidence, means: Mapping[str, Values]) -> Iterator[Check]:
    """N5, for the Gaussian channel, by the delta method."""
    if evidence.noise_variance is None or not {"train_mmse", "gibbs_error"} <= means.keys():
        return
    train, test = means["train_mmse"], means["gibbs_error"] / 2
    centre = 1 / train.mean() - 1 / evidence.noise_variance - 1 / test.mean()
    slopes = (test - test.mean()) / test.mean() ** 2 - (train - train.mean()) / train.mean() ** 2
    statement = "1 / train_mmse equals 1 / noise variance + 1 / bayes_error (N5, for large networks)"
    yield check("train_test_relation", statement, centre + slopes, exact=False)


def mismatched_checks(draws: Mapping[str, Values]) -> list[Check]:
    """What still holds where the student differs from its teacher: the virial theorem, data set by data set."""
    return [check("virial", VIRIAL, draws["virial"].mean(axis=(1, 2)) - 1)] if "virial" in draws else []


def number_of_checks(
    plan: ChainPlan,
    network: Network,
    ranked: bool = True,
    layer_overlaps: Sequence[str] = (),
    classes: bool = False,
) -> int:
    """How many exact checks `exact_checks` will return for chains so planned, this network and these layer overlaps;
    `classes` says whether labels are -1 and 1."""
    teacher, prior = plan.where("teacher"), plan.where("prior")
    layers = {"weights": len(network.weight_names), "features": network.depth, "kernels": network.depth}
    twins = 2 + sum(layers[kind] for kind in layer_overlaps)  # effective weights and functions
    return (
        3  # fit, virial, function norm
        + (not classes)  # coverage
        + len(network.block_names)
        + bool(plan.independent_pairs()) * twins
        + bool(teacher and prior) * (1 + len(START_OBSERVABLES))
        + bool(teacher) * (1 + len(STATIONARY_OBSERVABLES))
        + bool(prior and ranked) * (1 + len(RANKED_OBSERVABLES))
    )
