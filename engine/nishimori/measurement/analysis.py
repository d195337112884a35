"""From draws to estimates, diagnostics, exact checks and a verdict."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nishimori.chains.record import Record
from nishimori.chains.start import ChainPlan
from nishimori.measurement.convergence import Convergence, convergence, decay_time, stuck_chains
from nishimori.measurement.error_bars import Estimate, disorder_mean, disorder_ratio, posterior_mean
from nishimori.measurement.identities import Check, exact_checks, virial_check
from nishimori.measurement.labels import expected_fit, label_errors
from nishimori.measurement.observables import MatchedTeacherObservables
from nishimori.measurement.observers import Observer
from nishimori.measurement.predictions import PredictionMeans
from nishimori.measurement.verdict import Behaviour, Verdict, judge
from nishimori.models.density import DensityTarget

Values = NDArray[np.float64]

MEANS = (
    "training_energy",
    "training_log_likelihood",
    "train_mmse",
    "gibbs_error",
    "gibbs_classification_error",
    "function_overlap",
    "replica_function_overlap",
)
RATIOS = ("overlap", "replica_overlap")
UNJUDGED = ("virial", "position")
MOST_COMPONENTS = 200
"""A vector with more components than this is kept, and neither averaged nor judged: see the warning of R-hats by the
million."""


@dataclass(frozen=True, eq=False)
class Analysis:
    """`estimates`, `convergences` by observable; `per_instance` the values the estimates average, [instances];
    `teacher_squared_norm` |v*|^2 / input_dim of the teachers' effective linear weights, by which overlaps are divided,
    [instances], empty where there is no teacher."""

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
    observer: Observer,
    predictions: PredictionMeans,
    alarms: Sequence[str] = (),
    checks_in_experiment: int | None = None,
) -> Analysis:
    """Everything the summary says; `checks_in_experiment` defaults to the checks of this run alone."""
    if isinstance(observer.observe, MatchedTeacherObservables):
        return _matched(record, plan, observer, observer.observe, predictions, alarms, checks_in_experiment)
    return _without_teacher(record, observer, alarms)


def _matched(
    record: Record,
    plan: ChainPlan,
    observer: Observer,
    observables: MatchedTeacherObservables,
    predictions: PredictionMeans,
    alarms: Sequence[str],
    checks_in_experiment: int | None,
) -> Analysis:
    draws = {**record.draws, **_components(record.draws, observer.own.functions)}
    own = [name for name in draws if name.partition("[")[0] in observer.own.functions and draws[name].ndim == 3]
    means = [name for name in (*MEANS, "rao_blackwell_gibbs_error", *own) if name in draws]
    ratios = [name for name in RATIOS if name in draws]
    norms = observables.squared_norm.cpu().numpy()
    judged = [*means, *ratios, *(name for name in ("bayes_error",) if name in draws)]
    convergences = {name: convergence(draws[name]) for name in judged}
    per_instance = {name: draws[name].mean(axis=(1, 2)) for name in (*means, *ratios)}
    estimates = _scalar_estimates(per_instance, convergences, norms)
    pairs = plan.independent_pairs()
    if pairs:
        value, variance = predictions.bayes_error(observables.test_latent, pairs)
        per_instance["bayes_error"] = value.cpu().numpy()
        estimates["bayes_error"] = disorder_mean(per_instance["bayes_error"], variance.cpu().numpy())
    for name, (value, variance) in label_errors(observables, predictions, pairs).items():
        per_instance[name] = value.cpu().numpy()
        estimates[name] = disorder_mean(per_instance[name], variance.cpu().numpy())
    checks = exact_checks(record.draws, plan, expected_fit(observables))
    behaviour = _behaviour(record, _decay_time(record, plan), alarms)
    verdict = judge(estimates, convergences, checks, behaviour, checks_in_experiment or len(checks))
    if pairs and observables.gaussian:
        noise_variance = observables.posterior.problem.channel.noise_variance
        estimates["generalization_error"] = estimates["bayes_error"].shifted(noise_variance)
    return Analysis(estimates, convergences, per_instance, norms, checks, behaviour, verdict)


def _without_teacher(record: Record, observer: Observer, alarms: Sequence[str]) -> Analysis:
    """Estimates over the posterior of the instances given; the only exact check is the virial.

    The kept position of a density is judged component by component; parameters of a network, which mean little one by
    one, are not.
    """
    own = observer.own.functions
    vectors = ("position", *own) if isinstance(observer.target, DensityTarget) else own
    draws = {**record.draws, **_components(record.draws, vectors)}
    names = [name for name, values in draws.items() if values.ndim == 3 and name not in UNJUDGED]
    convergences = {name: convergence(draws[name]) for name in names}
    per_instance = {name: draws[name].mean(axis=(1, 2)) for name in names}
    estimates = {name: posterior_mean(per_instance[name], convergences[name].monte_carlo_variance) for name in names}
    checks = [virial_check(draws["virial"])] if "virial" in draws else []
    behaviour = _behaviour(record, 0.0, alarms)
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


def _decay_time(record: Record, plan: ChainPlan) -> float:
    """That of the teacher starts where there are some, towards what the prior starts, or all, measured."""
    teacher, prior = plan.where("teacher"), plan.where("prior")
    trace = record.warmup["overlap"][:, teacher or prior].mean(axis=(0, 1))
    plateau = float(record.draws["overlap"][:, prior or teacher].mean())
    return decay_time(trace, plateau)


def _behaviour(record: Record, decay: float, alarms: Sequence[str]) -> Behaviour:
    measured = slice(record.schedule.warmup, None)
    return Behaviour(
        float(record.statistics["divergent"][..., measured].mean()),
        stuck_chains(record.statistics["accepted"][..., measured]),
        decay,
        record.schedule.warmup,
        tuple(alarms),
    )
