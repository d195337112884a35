"""From draws to estimates, diagnostics, exact checks and a verdict."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from nishimori.chains.record import Record
from nishimori.chains.start import ChainPlan
from nishimori.measurement.convergence import (
    ChainTooShort,
    Convergence,
    Superchains,
    convergence,
    decay_time,
    stuck_chains,
)
from nishimori.measurement.error_bars import Estimate, disorder_mean, disorder_ratio, posterior_mean
from nishimori.measurement.finite import not_finite_chains
from nishimori.measurement.identities import Check, Evidence, exact_checks, mismatched_checks, virial_check
from nishimori.measurement.intervals import PredictiveIntervals
from nishimori.measurement.labels import label_errors
from nishimori.measurement.mismatched import add_posterior_mean, spread_by_disorder
from nishimori.measurement.observables import MatchedTeacherObservables
from nishimori.measurement.observers import Observer, is_led
from nishimori.measurement.predictions import PredictionMeans
from nishimori.measurement.verdict import Behaviour, Verdict, judge
from nishimori.models.collapsed import CollapsedPosterior
from nishimori.models.density import DensityTarget

Values = NDArray[np.float64]

MEANS = (
    "training_energy",
    "training_log_likelihood",
    "train_mmse",
    "train_gibbs_error",
    "gibbs_error",
    "gibbs_classification_error",
    "function_overlap",
    "replica_function_overlap",
)
UNJUDGED = ("virial", "position")
MOST_COMPONENTS = 200
"""A vector with more components than this is kept, and neither averaged nor judged: see the warning of R-hats by the
million."""


@dataclass(frozen=True, eq=False)
class Analysis:
    """`estimates`, `convergences` by observable; `per_instance` the values the estimates average, [instances];
    `teacher_squared_norm` |v*|^2 / input_dim of the teachers' effective linear weights, by which overlaps are divided,
    [instances], empty where there is no teacher; `norms` what each overlap is divided by, [instances]."""

    estimates: dict[str, Estimate]
    convergences: dict[str, Convergence]
    per_instance: dict[str, Values]
    teacher_squared_norm: Values
    checks: list[Check]
    behaviour: Behaviour
    verdict: Verdict
    norms: dict[str, Values] = field(default_factory=dict)


def analyse(
    record: Record,
    plan: ChainPlan,
    observer: Observer,
    predictions: PredictionMeans,
    intervals: PredictiveIntervals | None = None,
    alarms: Sequence[str] = (),
    checks_in_experiment: int | None = None,
) -> Analysis:
    """Everything the summary says; `checks_in_experiment` defaults to the checks of this run alone."""
    if isinstance(observer.observe, MatchedTeacherObservables):
        observables = observer.observe
        return _matched(record, plan, observer, observables, predictions, intervals, alarms, checks_in_experiment)
    return _without_teacher(record, plan, observer, alarms)


def _matched(
    record: Record,
    plan: ChainPlan,
    observer: Observer,
    observables: MatchedTeacherObservables,
    predictions: PredictionMeans,
    intervals: PredictiveIntervals | None,
    alarms: Sequence[str],
    checks_in_experiment: int | None,
) -> Analysis:
    draws = {**record.draws, **_components(record.draws, observer.own.functions)}
    own = [name for name in draws if name.partition("[")[0] in observer.own.functions and draws[name].ndim == 3]
    means = [name for name in (*MEANS, "rao_blackwell_gibbs_error", *own) if name in draws]
    norms = _norms(observer, observables)
    ratios = [name for name in norms if name in draws]
    judged = [*means, *ratios, *(name for name in (observables.mean_error,) if name in draws)]
    convergences = {name: measured(draws[name], plan) for name in judged}
    per_instance = {name: draws[name].mean(axis=(1, 2)) for name in (*means, *ratios)}
    estimates = _scalar_estimates(per_instance, convergences, norms)
    if observer.layers:
        for name, values in observer.layers.at_prior(observer.randomness).items():
            estimates[name] = disorder_ratio(values, norms[name.removeprefix("prior_")], np.zeros(len(values)))
    pairs = plan.independent_pairs()
    if pairs:
        value, variance = predictions.bayes_error(observables.test_latent, pairs)
        per_instance[observables.mean_error] = value.cpu().numpy()
        estimates[observables.mean_error] = disorder_mean(per_instance[observables.mean_error], variance.cpu().numpy())
    for name, (value, variance) in label_errors(observables, predictions, pairs).items():
        per_instance[name] = value.cpu().numpy()
        estimates[name] = disorder_mean(per_instance[name], variance.cpu().numpy())
    if observables.matched:
        checks = exact_checks(evidence_of(record, plan, observer, observables, intervals))
    else:
        checks = mismatched_checks(record.draws)
    # Chains that were led by an annealed likelihood did not get there at a rate of their own.
    decay = 0.0 if is_led(observer.target, plan) else _decay_time(record, plan)
    behaviour = _behaviour(record, plan, observer, decay, alarms)
    exact = max(1, sum(check.exact for check in checks))
    verdict = judge(
        spread_by_disorder(estimates, observables.matched),
        convergences,
        checks,
        behaviour,
        checks_in_experiment or exact,
    )
    if pairs and observables.gaussian:
        noise = observables.teacher_channel.noise_variance
        estimates["generalization_error"] = estimates[observables.mean_error].shifted(noise)
    if pairs and observables.named_apart:
        add_posterior_mean(estimates, per_instance, observables.mean_error)
    return Analysis(estimates, convergences, per_instance, norms["overlap"], checks, behaviour, verdict, norms)


def _norms(observer: Observer, observables: MatchedTeacherObservables) -> dict[str, Values]:
    """By overlap, what its disorder mean is divided by, [instances]."""
    norms = {"overlap": observables.squared_norm.cpu().numpy(), **(observer.layers.norms if observer.layers else {})}
    return {**norms, **{f"replica_{name}": values for name, values in norms.items()}}


def measured(draws: Values, plan: ChainPlan) -> Convergence:
    """Diagnostics of `draws` [instances, chains or pairs, draws]; NaN, which the verdict refuses, where chains are too
    short for them."""
    superchains = superchains_of(plan) if draws.shape[1] == len(plan.chains) else ()
    try:
        return convergence(draws, superchains)
    except ChainTooShort as refusal:
        assert isinstance(refusal.value, Convergence)
        return refusal.value


def superchains_of(plan: ChainPlan) -> Superchains:
    """The chains of the two starts; where all start at the prior, two halves of them, as far as they are four or
    more."""
    teacher, prior = plan.where("teacher"), plan.where("prior")
    if teacher or len(prior) < 4:
        size = min(len(teacher), len(prior))
        return (teacher[:size], prior[:size]) if size > 1 else ()
    half = len(prior) // 2
    return prior[:half], prior[half : 2 * half]


def evidence_of(
    record: Record,
    plan: ChainPlan,
    observer: Observer,
    observables: MatchedTeacherObservables,
    intervals: PredictiveIntervals | None,
) -> Evidence:
    """What the exact checks of a matched student look at."""
    averaged = isinstance(observer.target, CollapsedPosterior) and observer.target.readouts > 1
    return Evidence(
        record.draws,
        plan,
        observables.posterior.problem.channel.noise_variance if observables.gaussian else None,
        record.warmup,
        observables.at_teacher(),
        intervals.coverage(observables.test_label_means) if intervals else None,
        intervals.nominal if intervals else math.nan,
        ranked=not averaged,
    )


def _without_teacher(record: Record, plan: ChainPlan, observer: Observer, alarms: Sequence[str]) -> Analysis:
    """Estimates over the posterior of the instances given; the only exact check is the virial.

    The kept position of a density is judged component by component; parameters of a network, which mean little one by
    one, are not.
    """
    own = observer.own.functions
    vectors = ("position", *own) if isinstance(observer.target, DensityTarget) else own
    draws = {**record.draws, **_components(record.draws, vectors)}
    names = [name for name, values in draws.items() if values.ndim == 3 and name not in UNJUDGED]
    convergences = {name: measured(draws[name], plan) for name in names}
    per_instance = {name: draws[name].mean(axis=(1, 2)) for name in names}
    estimates = {name: posterior_mean(per_instance[name], convergences[name].monte_carlo_variance) for name in names}
    checks = [virial_check(draws["virial"])] if "virial" in draws else []
    behaviour = _behaviour(record, plan, observer, 0.0, alarms)
    verdict = judge({}, convergences, checks, behaviour, max(1, len(checks)))
    return Analysis(estimates, convergences, per_instance, np.zeros(0), checks, behaviour, verdict)


def _components(draws: Mapping[str, Values], names: Sequence[str] | Mapping[str, object]) -> dict[str, Values]:
    """The components of vector observables as name[0], name[1], ..."""
    return {
        f"{name}[{number}]": draws[name][..., number].astype(np.float64)
        for name in names
        if name in draws and draws[name].ndim == 4 and draws[name].shape[-1] <= MOST_COMPONENTS
        for number in range(draws[name].shape[-1])
    }


def _scalar_estimates(
    per_instance: Mapping[str, Values], convergences: Mapping[str, Convergence], norms: Mapping[str, Values]
) -> dict[str, Estimate]:
    estimates = {}
    for name, values in per_instance.items():
        variance = convergences[name].monte_carlo_variance
        if name in norms:
            estimates[name] = disorder_ratio(values, norms[name], variance)
        else:
            estimates[name] = disorder_mean(values, variance)
    return estimates


def _decay_time(record: Record, plan: ChainPlan) -> float:
    """That of the teacher starts where there are some, towards what the prior starts, or all, measured."""
    teacher, prior = plan.where("teacher"), plan.where("prior")
    trace = record.warmup["overlap"][:, teacher or prior].mean(axis=(0, 1))
    plateau = float(record.draws["overlap"][:, prior or teacher].mean())
    return decay_time(trace, plateau)


def _behaviour(record: Record, plan: ChainPlan, observer: Observer, decay: float, alarms: Sequence[str]) -> Behaviour:
    measured = slice(record.schedule.warmup, None)
    return Behaviour(
        float(record.statistics["divergent"][..., measured].mean()),
        stuck_chains(record.statistics["accepted"][..., measured]),
        decay,
        record.schedule.warmup,
        tuple(alarms),
        not_finite_chains(record, plan, observer.target.instances, observer.own.functions),
    )
