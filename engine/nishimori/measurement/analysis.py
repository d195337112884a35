"""From draws to estimates, diagnostics, exact checks and a verdict."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nishimori.chains.record import Record
from nishimori.chains.start import ChainPlan
from nishimori.measurement.convergence import Convergence, convergence, decay_time, stuck_chains
from nishimori.measurement.error_bars import Estimate, disorder_mean, disorder_ratio
from nishimori.measurement.identities import Check, exact_checks
from nishimori.measurement.observables import MatchedTeacherObservables
from nishimori.measurement.predictions import PredictionMeans
from nishimori.measurement.verdict import Behaviour, Verdict, judge

Values = NDArray[np.float64]

MEANS = ("training_energy", "train_mmse", "gibbs_error", "function_overlap", "replica_function_overlap")
RATIOS = ("overlap", "replica_overlap")


@dataclass(frozen=True, eq=False)
class Analysis:
    """`estimates`, `convergences` by observable; `per_instance` the values the estimates average, [instances];
    `teacher_squared_norm` |v*|^2 / input_dim of the teachers' effective linear weights, by which overlaps are divided,
    [instances]."""

    estimates: dict[str, Estimate]
    convergences: dict[str, Convergence]
    per_instance: dict[str, Values]
    teacher_squared_norm: Values
    checks: list[Check]
    behaviour: Behaviour
    verdict: Verdict


def analyse(
    record: Record,
    plan: ChainPlan,
    observables: MatchedTeacherObservables,
    predictions: PredictionMeans,
    checks_in_experiment: int | None = None,
) -> Analysis:
    """Everything the summary says; `checks_in_experiment` defaults to the checks of this run alone."""
    noise_variance = observables.posterior.problem.channel.noise_variance
    draws = record.draws
    norms = observables.squared_norm.cpu().numpy()
    convergences = {name: convergence(draws[name]) for name in (*MEANS, *RATIOS, "bayes_error") if name in draws}
    per_instance = {name: draws[name].mean(axis=(1, 2)) for name in (*MEANS, *RATIOS) if name in draws}
    estimates = _scalar_estimates(per_instance, convergences, norms)
    pairs = plan.independent_pairs()
    if pairs:
        value, variance = predictions.bayes_error(observables.test_latent, pairs)
        per_instance["bayes_error"] = value.cpu().numpy()
        estimates["bayes_error"] = disorder_mean(per_instance["bayes_error"], variance.cpu().numpy())
    checks = exact_checks(draws, plan, noise_variance)
    behaviour = _behaviour(record, plan)
    verdict = judge(estimates, convergences, checks, behaviour, checks_in_experiment or len(checks))
    if pairs:
        estimates["generalization_error"] = estimates["bayes_error"].shifted(noise_variance)
    return Analysis(estimates, convergences, per_instance, norms, checks, behaviour, verdict)


def _scalar_estimates(
    per_instance: Mapping[str, Values], convergences: Mapping[str, Convergence], norms: Values
) -> dict[str, Estimate]:
    estimates = {}
    for name, values in per_instance.items():
        variance = convergences[name].monte_carlo_variance
        if name in RATIOS:
            estimates[name] = disorder_ratio(values, norms, variance)
        else:
            estimates[name] = disorder_mean(values, variance)
    return estimates


def _behaviour(record: Record, plan: ChainPlan) -> Behaviour:
    """The decay is that of the teacher starts where there are some, towards what the prior starts, or all, measured."""
    warmup = record.schedule.warmup
    measured = slice(warmup, None)
    teacher, prior = plan.where("teacher"), plan.where("prior")
    trace = record.warmup["overlap"][:, teacher or prior].mean(axis=(0, 1))
    plateau = float(record.draws["overlap"][:, prior or teacher].mean())
    return Behaviour(
        float(record.statistics["divergent"][..., measured].mean()),
        stuck_chains(record.statistics["accepted"][..., measured]),
        decay_time(trace, plateau),
        warmup,
    )
