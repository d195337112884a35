"""Groups, names and dimensions of a run as ArviZ expects them: what `Run.to_datatree` and `nishimori export` share."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nishimori.adaptation.calibration import CalibrationRecord
from nishimori.chains.loop import Schedule
from nishimori.chains.start import ChainPlan

SAMPLE_STATISTICS = {
    "acceptance": "acceptance_rate",
    "energy_error": "energy_error",
    "divergent": "diverging",
    "accepted": "accepted",
}
"""Our name -> ArviZ's."""
TRUTHS = ("divergent", "accepted")
"""Statistics that say yes or no."""

Values = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Variable:
    """An array and the name of each of its axes."""

    dimensions: tuple[str, ...]
    values: Values


@dataclass(frozen=True, eq=False)
class Group:
    """Variables by name, one coordinate for each of their dimensions, and what is said in words."""

    variables: dict[str, Variable]
    coordinates: dict[str, Values]
    attributes: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, variables: Mapping[str, Variable], named: Mapping[str, Any], **attributes: str) -> "Group":
        """Dimensions that are not `named` are counted from 0."""
        lengths = {
            dimension: length
            for variable in variables.values()
            for dimension, length in zip(variable.dimensions, variable.values.shape, strict=True)
        }
        coordinates = {name: np.asarray(named.get(name, range(length))) for name, length in lengths.items()}
        return cls(dict(variables), coordinates, attributes)


@dataclass(frozen=True, eq=False)
class Sampled:
    """What chains left of `instances`: `draws` and `statistics` as in a Record; `single` where the axis of instances is
    there by convention alone."""

    draws: Mapping[str, Values]
    statistics: Mapping[str, Values]
    schedule: Schedule
    plan: ChainPlan
    calibration: CalibrationRecord
    instances: tuple[int, ...]
    single: bool = False

    def groups(self) -> dict[str, Group]:
        """`posterior` (observables by chain, draw and, with several instances, instance), `sample_stats` (of measured
        transitions), `constant_data` (step sizes, starts, which chains a pair is of), and `pairs` (two-replica
        observables by pair) if any. What is drawn has no company, so that ArviZ takes each group as a whole."""
        plan, schedule = self.plan, self.schedule
        named = {"chain": plan.chains, "instance": self.instances}
        posterior = {name: self._variable(values, name, "chain") for name, values in self._of(len(plan.chains))}
        pairs = plan.disjoint_pairs()
        paired = {name: self._variable(values, name, "pair") for name, values in self._of(len(pairs))}
        measured = slice(schedule.warmup + schedule.thin - 1, None, schedule.thin)
        statistics = {
            theirs: self._variable(_typed(ours, self.statistics[ours][:, :, measured]), theirs, "chain")
            for ours, theirs in SAMPLE_STATISTICS.items()
        }
        groups = {
            "posterior": Group.of(posterior, named),
            "sample_stats": Group.of(statistics, named),
            "constant_data": Group.of({**self._constants(), **(_members(plan, pairs) if paired else {})}, named),
        }
        return {**groups, "pairs": Group.of(paired, named)} if paired else groups

    def _of(self, length: int) -> list[tuple[str, Values]]:
        """Draws with so many chains or pairs."""
        return [(name, values) for name, values in self.draws.items() if values.shape[1] == length]

    def _constants(self) -> dict[str, Variable]:
        return {
            "step_size": Variable(("instance",), np.array(self.calibration.step_size)),
            "num_steps": Variable((), np.array(self.calibration.num_steps)),
            "start": Variable(("chain",), np.array(self.plan.starts)),
        }

    def _variable(self, values: Values, name: str, second: str) -> Variable:
        """Of [instances, chains or pairs, draws, ...], with chain and draw first."""
        inner = tuple(f"{name}_dim_{axis}" for axis in range(values.ndim - 3))
        if self.single:
            return Variable((second, "draw", *inner), values[0])
        return Variable((second, "draw", "instance", *inner), np.moveaxis(values, 0, 2))


def _typed(name: str, values: Values) -> Values:
    return values.astype(bool) if name in TRUTHS else values


def _members(plan: ChainPlan, pairs: list[tuple[int, int]]) -> dict[str, Variable]:
    """Which chains each pair is of."""
    chains = np.array(plan.chains)
    members = zip(("first_chain", "second_chain"), np.array(pairs).T, strict=True)
    return {name: Variable(("pair",), chains[places]) for name, places in members}
