"""`sample`: calibrate, warm up, measure; and the `Run` it returns."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nishimori.adaptation.calibration import CalibrationRecord, calibrate
from nishimori.chains.loop import Schedule, chain_loop
from nishimori.chains.progress import Progress, reporter
from nishimori.chains.record import Record
from nishimori.chains.start import ChainPlan, initial_position
from nishimori.measurement.analysis import Analysis, analyse
from nishimori.measurement.error_bars import Estimate
from nishimori.measurement.identities import Check
from nishimori.measurement.observables import MatchedTeacherObservables
from nishimori.measurement.predictions import PredictionMeans
from nishimori.measurement.verdict import Verdict
from nishimori.models.posterior import Posterior
from nishimori.models.randomness import Randomness
from nishimori.samplers.base import State
from nishimori.samplers.hmc import HMC

CALIBRATION_CHAINS = 4


@dataclass(frozen=True, eq=False)
class Run:
    """What sampling left.

    `draws[name]` is [instances, chains, draws] ([instances, pairs, draws] for two-replica observables; see
    MatchedTeacherObservables), `estimates[name]` a value with its standard error over the posterior and the disorder.
    """

    target: Posterior
    plan: ChainPlan
    calibration: CalibrationRecord
    record: Record
    predictions: PredictionMeans
    state: State
    analysis: Analysis

    @property
    def draws(self) -> dict[str, NDArray[np.float64]]:
        return self.record.draws

    @property
    def estimates(self) -> dict[str, Estimate]:
        return self.analysis.estimates

    @property
    def checks(self) -> list[Check]:
        return self.analysis.checks

    @property
    def verdict(self) -> Verdict:
        return self.analysis.verdict

    @property
    def acceptance(self) -> float:
        """Mean acceptance probability of the measured transitions."""
        return float(self.record.statistics["acceptance"][..., self.record.schedule.warmup :].mean())

    @property
    def realised_path_length(self) -> float:
        """Mean over instances and measured transitions of step size times the jittered number of steps."""
        steps = self.record.statistics["num_steps"][self.record.schedule.warmup :]
        return float(np.mean(self.calibration.step_size) * steps.mean())

    def diagnostics(self) -> dict[str, Any]:
        """ESS, R-hat and Monte Carlo error by observable, and how the chains behaved."""
        return {
            "acceptance": self.acceptance,
            **asdict(self.analysis.behaviour),
            "verdict": asdict(self.verdict),
            "observables": {
                name: {
                    "effective_sample_size": result.effective_sample_size,
                    "r_hat": result.r_hat,
                    "worst_r_hat": result.worst_r_hat,
                    "monte_carlo_error": float(np.sqrt(result.monte_carlo_variance.sum()) / len(self.target.instances)),
                }
                for name, result in self.analysis.convergences.items()
            },
            "layer_norms": {
                name: float(values.mean()) for name, values in self.draws.items() if name.startswith("layer_norm_")
            },
        }


def calibration_of(
    target: Posterior,
    sampler: HMC,
    seed: int,
    point: str = "",
    progress: Progress | None = None,
    calibration_chains: int = CALIBRATION_CHAINS,
) -> CalibrationRecord:
    """Choose what `sampler` leaves open, with chains started at the teacher, an exact posterior sample."""
    identities = tuple(range(calibration_chains))
    report = progress or reporter("calibration")
    return calibrate(
        target,
        sampler,
        target.initial_position(identities, "teacher", seed, point),
        Randomness.of(seed, point, target.instances, identities),
        MatchedTeacherObservables(target, pairs=()).mixing,
        lambda done, total, acceptance: report("calibration", done, total, acceptance),
    )


def sample(
    target: Posterior,
    sampler: HMC | None = None,
    *,
    chains: int = 2,
    warmup: int = 50,
    draws: int = 200,
    thin: int = 1,
    start: str = "both",
    seed: int = 0,
    point: str = "",
    calibration: CalibrationRecord | None = None,
    only_chains: Sequence[int] | None = None,
    checks_in_experiment: int | None = None,
    progress: Progress | None = None,
) -> Run:
    """Sample the posterior of every instance with `chains` chains per start.

    `calibration` is computed where it is not given; given it, a chain's draws depend on (seed, point, instance, chain)
    alone, and `only_chains` runs a choice of them. `checks_in_experiment` is the number of exact checks the false-alarm
    rate of the verdict is shared among (default: those of this run).

    Raises ValueError for an unknown start, a count that is too small, or a calibration without these instances or
    against what `sampler` fixes.
    """
    sampler, schedule = sampler or HMC(), Schedule(warmup, draws, thin)
    plan = ChainPlan.of(chains, start, only_chains)
    report = progress or reporter("nishimori")
    chosen = calibration or calibration_of(target, sampler, seed, point, report)
    _require_agreement(sampler, chosen)
    randomness = Randomness.of(seed, point, target.instances, plan.chains)
    step_size = chosen.step_size_of(target.instances)
    kernel = sampler.kernel(target, step_size, chosen.num_steps, randomness)
    observables = MatchedTeacherObservables(target, plan.disjoint_pairs())
    record, predictions = Record(schedule), PredictionMeans(draws)
    state = kernel.init(initial_position(target, plan, seed, point))
    record.keep_start(observables(state).values)
    for transition in chain_loop(kernel, state, schedule):
        state = transition.state
        measured = transition.draw is not None or transition.step < warmup
        observation = observables(state) if measured else None
        record.keep(transition, observation.values if observation else None)
        if observation and transition.draw is not None:
            predictions.update(transition.draw, observation.test_predictions)
        acceptance = float(transition.info.acceptance.mean())
        report("sampling", transition.step + 1, schedule.transitions, acceptance)
    analysis = analyse(record, plan, observables, predictions, checks_in_experiment)
    return Run(target, plan, chosen, record, predictions, state, analysis)


def _require_agreement(sampler: HMC, calibration: CalibrationRecord) -> None:
    """ValueError where the record says other than what the sampler fixes."""
    fixed = sampler.step_size
    if fixed is not None and any(step_size != fixed for step_size in calibration.step_size):
        raise ValueError(f"the calibration record has other step sizes than {fixed}; leave one of the two out")
    if sampler.num_steps not in (None, calibration.num_steps):
        raise ValueError(
            f"the calibration record has num_steps {calibration.num_steps}, the sampler {sampler.num_steps}; "
            "leave one of the two out"
        )
