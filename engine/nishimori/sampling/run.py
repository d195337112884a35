"""What sampling left."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nishimori.adaptation.calibration import CalibrationRecord
from nishimori.chains.record import Record
from nishimori.chains.start import ChainPlan
from nishimori.measurement.analysis import Analysis
from nishimori.measurement.branches import estimates_of_start
from nishimori.measurement.convergence import autocorrelation_time
from nishimori.measurement.error_bars import Estimate
from nishimori.measurement.identities import Check
from nishimori.measurement.intervals import PredictiveIntervals
from nishimori.measurement.mismatched import unchecked
from nishimori.measurement.observers import is_single
from nishimori.measurement.predictions import PredictionMeans
from nishimori.measurement.verdict import Verdict
from nishimori.models.target import Target
from nishimori.samplers.base import State
from nishimori.sampling.predict import Prediction, predict

if TYPE_CHECKING:
    from xarray import DataTree

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Run:
    """What sampling left.

    `draws[name]` is [instances, chains, draws] ([instances, pairs, draws] for two-replica observables; see
    MatchedTeacherObservables), with one axis more for vectors; density and module targets have no instance axis.
    `estimates[name]` is a value with its standard error: over the posterior and the disorder for matched teachers, over
    the posterior alone where there is no teacher.
    """

    target: Target
    plan: ChainPlan
    calibration: CalibrationRecord
    record: Record
    predictions: PredictionMeans
    intervals: PredictiveIntervals | None
    state: State
    analysis: Analysis

    @property
    def draws(self) -> dict[str, Values]:
        return self._at_the_edge(self.record.draws)

    @property
    def statistics(self) -> dict[str, Values]:
        """Per transition, warm-up included: acceptance, accepted, energy_error, divergent [instances, chains,
        transitions], num_steps [transitions]."""
        shared = {"num_steps": self.record.statistics["num_steps"]}
        return {**self._at_the_edge({k: v for k, v in self.record.statistics.items() if k not in shared}), **shared}

    def _at_the_edge(self, values: Mapping[str, Values]) -> dict[str, Values]:
        return {name: value[0] for name, value in values.items()} if is_single(self.target) else dict(values)

    @property
    def estimates(self) -> dict[str, Estimate]:
        return self.analysis.estimates

    def estimates_of(self, start: str) -> dict[str, Estimate]:
        """As `estimates`, of the chains that started at "teacher" or "prior" alone: the two branches, where the starts
        disagree (check starts_gibbs_error). Of observables of one chain; half the Gibbs error is the Bayes error of a
        branch in which the Nishimori identities hold.

        Raises ValueError where no chain has this start, or the target has no teacher.
        """
        return estimates_of_start(self.record.draws, self.plan, self.analysis, start)

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
    def swap_acceptance(self) -> list[float]:
        """Mean probability that neighbouring levels of replica exchange swap, by pair; empty for other samplers."""
        if "swap_acceptance" not in self.record.statistics:
            return []
        measured = self.record.statistics["swap_acceptance"][:, :, self.record.schedule.warmup :]
        return np.nanmean(measured, axis=(0, 1, 2)).tolist()

    @property
    def realised_path_length(self) -> float:
        """Mean over instances and measured transitions of step size times the jittered number of steps."""
        steps = self.record.statistics["num_steps"][self.record.schedule.warmup :]
        return float(np.mean(self.calibration.step_size) * steps.mean())

    def diagnostics(self) -> dict[str, Any]:
        """ESS, R-hat and Monte Carlo error by observable, how the chains behaved, and why identities were `unchecked`
        where teacher and student differ."""
        return {
            "acceptance": self.acceptance,
            **({"swap_acceptance": self.swap_acceptance} if self.swap_acceptance else {}),
            **asdict(self.analysis.behaviour),
            "verdict": {"passed": self.verdict.passed, "failures": self.verdict.failures},
            **({"unchecked": reason} if (reason := unchecked(self.target)) else {}),
            "observables": {
                name: {
                    "effective_sample_size": result.effective_sample_size,
                    "tail_sample_size": result.tail_sample_size,
                    "r_hat": result.r_hat,
                    "split_r_hat": result.split_r_hat,
                    "nested_r_hat": result.nested_r_hat,
                    "worst_r_hat": result.worst_r_hat,
                    "monte_carlo_error": float(np.sqrt(result.monte_carlo_variance.sum()) / len(self.target.instances)),
                }
                for name, result in self.analysis.convergences.items()
            },
            "layer_norms": {
                name: float(values.mean())
                for name, values in self.record.draws.items()
                if name.startswith(("layer_norm_", "bias_norm_"))
            },
        }

    def autocorrelation_time(self, name: str) -> float:
        """Integrated autocorrelation time of `draws[name]`, in draws, pooled over instances.

        Raises ChainTooShort, which carries the current value, where a chain is shorter than fifty of them; ValueError
        for a name that was not drawn, or a vector.
        """
        scalars = {name: values for name, values in self.record.draws.items() if values.ndim == 3}
        if name not in scalars:
            raise ValueError(f"{name!r} is no scalar that was drawn; use one of {', '.join(sorted(scalars))}")
        return autocorrelation_time(scalars[name])

    def predict(self, inputs: ArrayLike) -> Prediction:
        """Posterior predictive mean and variance at new `inputs` [rows, ...], from the kept positions.

        Raises ValueError where positions were not kept, or the target predicts nothing.
        """
        return predict(self.target, self.record.draws.get("position"), inputs)

    def to_datatree(self) -> "DataTree":
        """An xarray DataTree with groups posterior, sample_stats and constant_data, which ArviZ understands.

        Raises ImportError where xarray is not installed.
        """
        from nishimori.sampling.datatree import to_datatree

        return to_datatree(self)
