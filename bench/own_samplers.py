"""Samplers of ours on the posteriors of the peers: what is observed, what it took, and how many samples it is worth."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from common import Row, row_of

import nishimori as nm
from nishimori.adaptation.calibration import CalibrationRecord
from nishimori.measurement.convergence import convergence
from nishimori.models.layout import Position
from nishimori.models.randomness import Randomness
from nishimori.sampling import calibration_of
from nishimori.sampling.auto import TARGETS, NamedTarget, candidates_for, choose

OBSERVABLES = ("function_overlap", "log_likelihood")
READOUTS = 8


class Seen(NamedTuple):
    """Observables [2, chains, draws], averaged over the readouts of a draw, and their variances over these; seconds of
    calibration and of sampling; gradients of a chain."""

    means: np.ndarray
    variances: np.ndarray
    warmup_seconds: float
    seconds: float
    gradients: float


Calibrated = tuple[NamedTarget, nm.HMC, CalibrationRecord]


@dataclass(frozen=True)
class Own:
    """`calibrated(problem, chains)` chooses everything that is left open."""

    calibrated: Callable[[nm.Problem, int], Calibrated]
    precision: str = "fp32"


def _fixed(target: Callable[[nm.Problem], NamedTarget], sampler: nm.HMC) -> Callable[[nm.Problem, int], Calibrated]:
    def calibrated(problem: nm.Problem, chains: int) -> Calibrated:
        del chains
        made = target(problem)
        return made, sampler, calibration_of(made, sampler, seed=0, progress=silent)

    return calibrated


def _auto(problem: nm.Problem, chains: int) -> Calibrated:
    """Target and integrator chosen as `nm.sample` chooses them where no sampler is given."""

    def calibrate(target: NamedTarget, hmc: nm.HMC, phase: str) -> CalibrationRecord:
        return calibration_of(target, hmc, seed=0, progress=silent, phase=phase, weights_too=True)

    def on_cpu(name: str, part: nm.Problem) -> NamedTarget:
        return TARGETS[name](part, device="cpu")

    record = choose(problem, candidates_for(problem), on_cpu, nm.HMC, chains, calibrate)
    assert record.chosen
    print(f"auto takes {record.chosen.target} {record.chosen.integrator}: {record.chosen.reason}")
    return on_cpu(record.chosen.target, problem), nm.HMC(record.chosen.integrator), record


def silent(*_: object) -> None:
    """No progress."""


SAMPLERS = {
    "nishimori": Own(_fixed(lambda problem: nm.Posterior(problem, device="cpu"), nm.HMC())),
    "nishimori minimum norm": Own(_fixed(lambda problem: nm.Posterior(problem, device="cpu"), nm.HMC("minimum_norm"))),
    "nishimori minimum-norm rotation": Own(
        _fixed(lambda problem: nm.Posterior(problem, device="cpu"), nm.HMC("minimum_norm_rotation"))
    ),
    "nishimori bf16": Own(_fixed(lambda problem: nm.Posterior(problem, "bf16", "cpu"), nm.HMC()), "bf16"),
    "nishimori minimum norm bf16": Own(
        _fixed(lambda problem: nm.Posterior(problem, "bf16", "cpu"), nm.HMC("minimum_norm")), "bf16"
    ),
    "nishimori auto": Own(_auto),
    f"nishimori collapsed rotation x{READOUTS}": Own(
        _fixed(lambda problem: nm.CollapsedPosterior(problem, device="cpu", readouts=READOUTS), nm.HMC("rotation"))
    ),
}


def observed(own: Own, problem: nm.Problem, chains: int, draws: int) -> Seen:
    """Chains from the teacher. Seconds include readouts drawn and observables, as those of the peers do."""
    started = time.perf_counter()
    target, sampler, record = own.calibrated(problem, chains)
    warmup = time.perf_counter() - started
    randomness = Randomness.of(2, "", target.instances, range(chains))
    kernel = sampler.kernel(target, record.step_size_of(target.instances), record.num_steps, randomness)
    state, gradients = kernel.init(target.initial_position(chains, "teacher", 0)), 0
    means, variances = [], []
    started = time.perf_counter()
    for step in range(draws):
        state, info = kernel.step(state, step)
        gradients += info.num_steps * kernel.gradients_per_step
        seen = torch.stack([_observe(target, each) for each in _networks(target, state.position, randomness, step)])
        means.append(seen.mean(0))
        variances.append(seen.var(0, correction=0))
    seconds = time.perf_counter() - started
    return Seen(torch.stack(means, -1).numpy(), torch.stack(variances, -1).numpy(), warmup, seconds, gradients)


def all_observed(names: Iterable[str], problem: nm.Problem, chains: int, draws: int) -> dict[str, Seen]:
    """By name; why one does not run on this machine is printed."""
    seen = {}
    for name in names:
        try:
            seen[name] = observed(SAMPLERS[name], problem, chains, draws)
        except ValueError as refusal:
            print(f"    {name} is left out: {refusal}")
            continue
        report(name, seen[name])
    return seen


def report(name: str, seen: Seen) -> None:
    print(f"    {name}: warm-up {seen.warmup_seconds:.1f} s, sampling {seen.seconds:.1f} s", flush=True)


def _networks(target: NamedTarget, position: Position, randomness: Randomness, step: int) -> list[Position]:
    if isinstance(target, nm.CollapsedPosterior):
        return list(target.completions(position, randomness, step, target.readouts))
    return [position]


def _observe(target: NamedTarget, weights: Position) -> torch.Tensor:
    """OBSERVABLES, [2, chains], of networks."""
    posterior, problem = target.posterior, target.problem
    overlap = (posterior.latent(weights, "test")[0].double() * problem.known_teacher().test_latent[0]).mean(-1)
    misfit = (posterior.latent(weights, "train")[0].double() - problem.labels[0]).square().sum(-1)
    return torch.stack([overlap, -misfit / (2 * problem.channel.noise_variance)])


def effective_samples(means: np.ndarray, variances: np.ndarray | None = None) -> float:
    """How many independent networks would leave the Monte Carlo error there is: the variance of an observable of one
    network over that of its mean. `means` [chains, draws] of an observable, and its `variances` within a draw."""
    of_one_network = means.var(ddof=1) + (0.0 if variances is None else variances.mean())
    return float(of_one_network / convergence(means[None]).monte_carlo_variance[0])


def sampling_rows(case: object, name: str, seen: Seen) -> list[Row]:
    """What is kept of a sampler, ours or another's."""
    precision = SAMPLERS[name].precision if name in SAMPLERS else "fp32"

    provider = name.removesuffix(f" {precision}")

    def row(metric: str, unit: str, value: float) -> Row:
        return row_of("sampling", provider, str(case), metric, unit, value, torch.device("cpu"), precision=precision)

    sizes = [effective_samples(*traces) for traces in zip(seen.means, seen.variances, strict=True)]
    return [
        *(
            row(f"ess_per_second of {each}", "1/s", size / seen.seconds)
            for each, size in zip(OBSERVABLES, sizes, strict=True)
        ),
        row("gradients_per_draw", "1", seen.gradients / seen.means.shape[-1]),
        row("warmup", "s", seen.warmup_seconds),
    ]


def disagreements(seen: dict[str, Seen]) -> dict[str, float]:
    """By sampler, the largest |z| of a mean against that of the first one; printed too."""
    (first, expected), *others = seen.items()
    largest = {first: 0.0}
    for name, found in others:
        for observable, own, other in zip(OBSERVABLES, found.means, expected.means, strict=True):
            variance = sum(float(convergence(each[None]).monte_carlo_variance[0]) for each in (own, other))
            z = float(own.mean() - other.mean()) / variance**0.5
            print(f"    {observable}: {name} is {z:+.1f} standard errors from {first}", flush=True)
            largest[name] = max(largest.get(name, 0.0), abs(z))
    return largest
