"""The exact checks as statistical tests: standard normal where the sampler is right, an alarm where it is not."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
import pytest
from scipy import stats
from spoilt import Spoilt, WrongPrior

import nishimori as nm
from nishimori.chains.progress import silent
from nishimori.description import Channel
from nishimori.description.channels import CLASSES
from nishimori.measurement.analysis import evidence_of
from nishimori.measurement.identities import Check, Evidence, exact_checks, number_of_checks
from nishimori.measurement.ranks import rank_deviate, thinning
from nishimori.measurement.verdict import Behaviour, judge
from nishimori.samplers.base import Sampler

CALM = Behaviour(0.0, [], 1.0, 100)


@dataclass(frozen=True)
class Study:
    """Matched teachers, many of them, and what the student makes of them. `channel` is one of a noise variance,
    `believed` the student's over the true one."""

    network: nm.Network
    samples: int
    instances: int
    noise_variance: float = 0.3
    believed: float = 1.0
    channel: Callable[[float], Channel] = nm.GaussianChannel
    sampler: Sampler = nm.HMC("leapfrog", 0.3, 5)
    chains: int = 1
    warmup: int = 50
    draws: int = 60
    seed: int = 1

    def evidence(self, monkeypatch: pytest.MonkeyPatch) -> Evidence:
        """Without the diagnostics of every observable, which cost more than such small chains."""
        monkeypatch.setattr(import_module("nishimori.sampling.sample"), "analyse", _evidence_alone)
        channel, believed = self.channel(self.noise_variance), self.channel(self.noise_variance * self.believed)
        problem = nm.matched_teacher(self.network, channel, self.samples, self.instances, self.seed, test_samples=10)
        object.__setattr__(problem, "channel", believed)
        settings: dict[str, Any] = {
            "chains": self.chains,
            "warmup": self.warmup,
            "draws": self.draws,
            "seed": self.seed,
        }
        record = nm.CalibrationRecord(problem.instances, (self.sampler.step_size or 0.0,) * self.instances, 5)
        target = nm.Posterior(problem, device="cpu")
        run = nm.sample(target, self.sampler, **settings, calibration=record, progress=silent)
        return run.analysis  # type: ignore[return-value]


def _evidence_alone(record, plan, observer, predictions, intervals, alarms, checks_in_experiment):
    del predictions, alarms, checks_in_experiment
    return evidence_of(record, plan, observer, observer.observe, intervals)


def part(evidence: Evidence, instances: slice) -> Evidence:
    draws, warmup, truth = (
        {name: values[instances] for name, values in group.items()}
        for group in (evidence.draws, evidence.warmup, evidence.truth)
    )
    covered = evidence.coverage
    coverage = None if covered is None else (covered[0][instances], covered[1][instances])
    return replace(evidence, draws=draws, warmup=warmup, truth=truth, coverage=coverage)


def deviates(evidence: Evidence, instances: int, groups: int) -> dict[str, list[float]]:
    """Of every exact check over groups of instances, as if each group were an experiment."""
    found: dict[str, list[float]] = {}
    for group in range(groups):
        for check in exact_checks(part(evidence, slice(group * instances, (group + 1) * instances))):
            if check.exact:
                found.setdefault(check.name, []).append(check.z)
    return found


def look_normal(found: dict[str, list[float]]) -> None:
    """Kolmogorov-Smirnov against N(0, 1), the level shared among the checks."""
    level = 0.01 / len(found)
    p_values = {name: float(stats.kstest(values, "norm").pvalue) for name, values in found.items()}
    print({name: f"{np.mean(z):+.2f} {np.std(z):.2f} p={p_values[name]:.2g}" for name, z in found.items()})
    assert min(p_values.values()) > level, p_values


def alarms(evidence: Evidence) -> list[Check]:
    checks = exact_checks(evidence)
    exact = [check for check in checks if check.exact]
    verdict = judge({}, {}, checks, CALM, len(exact))
    failed = {criterion.subject for criterion in verdict.criteria if not criterion.passed}
    return [check for check in exact if check.name in failed]


SMALL = Study(nm.Network(4, (3,), "tanh"), samples=8, instances=24 * 50)
CHANNELS = {
    "gaussian": (nm.GaussianChannel, 16),
    "probit": (nm.ProbitChannel, 15),
    "relu": (partial(nm.OutputChannel, "relu"), 16),
}


@pytest.mark.parametrize(("channel", "checks"), CHANNELS.values(), ids=CHANNELS)
def test_deviates_are_standard_normal(
    channel: Callable[[float], Channel], checks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    evidence = replace(SMALL, channel=channel).evidence(monkeypatch)
    found = deviates(evidence, instances=24, groups=50)
    classes = isinstance(channel(1.0), CLASSES)
    assert len(found) == number_of_checks(evidence.plan, SMALL.network, classes=classes) == checks
    look_normal(found)
    assert alarms(evidence) == []


@pytest.mark.validate
@pytest.mark.parametrize("depth", [0, 1, 2])
def test_deviates_are_standard_normal_over_many_experiments(depth: int, monkeypatch: pytest.MonkeyPatch) -> None:
    network = nm.Network(5, (4, 4)[:depth], "erf")
    study = replace(SMALL, network=network, samples=10, instances=24 * 300, chains=2, warmup=80, draws=120)
    look_normal(deviates(study.evidence(monkeypatch), instances=24, groups=300))


MANY_ROWS = Study(nm.Network(2, (), "tanh"), samples=128, instances=1200, draws=20, sampler=nm.HMC("leapfrog", 0.06, 5))
MANY_WEIGHTS = Study(nm.Network(10, (10,), "tanh"), samples=10, instances=200)
PLANTED = {
    "noise variance 3 % too large": (replace(MANY_ROWS, believed=1.03), "train_energy"),
    "noise variance 3 % too small": (replace(MANY_ROWS, believed=0.97), "train_energy"),
    "prior scale 1 % too large": (
        replace(MANY_WEIGHTS, sampler=Spoilt(MANY_WEIGHTS.sampler, target=partial(WrongPrior, variance=1.01**2))),
        "layer_norm_1",
    ),
    "prior scale 1 % too small": (
        replace(MANY_WEIGHTS, sampler=Spoilt(MANY_WEIGHTS.sampler, target=partial(WrongPrior, variance=0.99**2))),
        "layer_norm_1",
    ),
    "probit noise variance 60 % too large": (
        replace(MANY_ROWS, channel=nm.ProbitChannel, believed=1.6, instances=400),
        "train_log_likelihood",
    ),
    "relu noise variance 10 % too small": (
        replace(MANY_ROWS, channel=partial(nm.OutputChannel, "relu"), believed=0.9),
        "rank_function_norm",
    ),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_error_fails_the_verdict(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    study, telling = PLANTED[name]
    found = alarms(study.evidence(monkeypatch))
    print(name, [(check.name, round(check.z, 1)) for check in found])
    assert telling in {check.name for check in found}


@pytest.mark.parametrize("study", [MANY_ROWS, MANY_WEIGHTS], ids=["many rows", "many weights"])
def test_without_the_error_the_same_problem_passes(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    assert alarms(study.evidence(monkeypatch)) == []


@pytest.mark.validate
def test_false_alarms_are_as_rare_as_designed() -> None:
    """200 right runs with all criteria: one in a thousand may fail its exact checks, and quality limits are far away.
    Three or more failures have probability 1.1e-3 at that rate."""
    network, channel = nm.Network(6, (5,), "tanh"), nm.GaussianChannel(0.3)
    failures: list[str] = []
    failed = 0
    for seed in range(200):
        problem = nm.matched_teacher(network, channel, 12, 32, seed, test_samples=30)
        record = nm.CalibrationRecord(problem.instances, (0.25,) * 32, 6)
        settings: dict[str, Any] = {"chains": 2, "warmup": 60, "draws": 200, "seed": seed}
        run = nm.sample(nm.Posterior(problem, device="cpu"), **settings, calibration=record, progress=silent)
        failed += not run.verdict.passed
        failures += run.verdict.failures
    print(failed, failures)
    assert failed <= 2, failures


def test_ranks_of_the_right_law_and_of_wrong_ones() -> None:
    generator = np.random.default_rng(5)
    draws, truth = generator.standard_normal((200, 60, 2, 20)), generator.standard_normal((200, 60))
    right = [rank_deviate(one, fact)[1] for one, fact in zip(draws, truth, strict=True)]
    assert stats.kstest(right, "norm").pvalue > 1e-3
    assert rank_deviate(draws[0], 3 * truth[0])[1] > 4
    assert rank_deviate(draws[0], 0.3 * truth[0])[1] < -3


def test_correlated_draws_are_thinned_before_they_are_ranked() -> None:
    """An AR(1) process at 0.8 has autocorrelation time 9; unthinned, its ranks would be bunched."""
    generator, correlation = np.random.default_rng(6), 0.8
    draws = generator.standard_normal((300, 2, 400))
    for step in range(1, 400):
        draws[..., step] = correlation * draws[..., step - 1] + np.sqrt(1 - correlation**2) * draws[..., step]
    assert 16 <= thinning(draws) <= 21
    assert abs(rank_deviate(draws, generator.standard_normal(300))[1]) < 3.5
    assert thinning(draws[..., :7]) == 7
