"""Systems of independent instances that are simulated beside their theory, without chains: the base of the neighbours
of the matched teacher. A system says what its experiment file holds, what an instance gives and what theory has for it;
run directories, sweeps, progress, tables and figures are those of every system. Importing this never imports torch.
"""

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nishimori.comparison.align import z_score
from nishimori.comparison.summaries import SCHEMA
from nishimori.description.config import to_plain
from nishimori.description.errors import BadInput
from nishimori.description.identity import digest, identity
from nishimori.description.validation import validate
from nishimori.measurement.error_bars import standard_error_of
from nishimori.systems.measured import Array, Measured, joined
from nishimori.systems.simulated_blocks import measured_block, require_blocks

if TYPE_CHECKING:
    from nishimori.adaptation.calibration import CalibrationRecord
    from nishimori.chains.progress import Progress
    from nishimori.chains.writers import PointWriter
    from nishimori.sampling.audit import Audited
    from nishimori.systems.simulated_blocks import Measure

__all__ = ["CalibratedSimulation", "Measured", "Simulation"]


class Simulation(ABC):
    """Subclasses give `schema`, the struct of an experiment file with a [run] of `SimulationSection`; `papers`; and
    `main`, the observable that tables and figures show. Where it is no faster to measure instances `together`, those
    that are done are kept while others are measured."""

    schema: type
    papers: tuple[str, ...]
    main: str
    together: bool = True

    @abstractmethod
    def parameters(self, config: Any) -> dict[str, Any]:
        """What names a point in tables, joins and figures."""

    @abstractmethod
    def measure(self, config: Any, instances: range, progress: "Progress") -> dict[str, Measured]:
        """Of these instances, by observable. What an instance gives depends on its number, and on no other instance;
        draws addressed by (seed, identity of the config, instance) do."""

    @abstractmethod
    def predict_at(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Theory that depends on the parameters alone, by observable; raises ValueError where there is none."""

    def main_of(self, config: Any) -> str:
        """`main`, unless a config asks for another. Override where what there is to see depends on it."""
        del config
        return self.main

    def resolve(self, document: Mapping[str, Any]) -> Any:
        """The config of a document. Override to refuse, with BadInput, what the schema cannot see."""
        config = validate(document, self.schema)
        require_blocks(config)
        return config

    def require_runnable(self, config: Any) -> None:
        from nishimori.models.device import resolve_device

        try:
            resolve_device(config.run.device)
        except ValueError as refusal:
            raise BadInput(str(refusal)) from None

    def predict(self, config: Any) -> dict[str, Any]:
        return self.predict_at(self.parameters(config))

    def run_point(self, config: Any, writer: "PointWriter") -> dict[str, Any]:
        """Simulate a point, publish its files and return its summary."""
        started = time.monotonic()
        writer.publish_config(to_plain(config))
        if self.calibrates(config):
            self.calibrate_point(config, writer)
        blocks = [self._measured(config, writer, number) for number in range(config.run.blocks)]
        summary = {**self._summary(config, joined(blocks)), "seconds": round(time.monotonic() - started, 3)}
        writer.publish_summary(summary)
        return summary

    def calibrates(self, config: Any) -> bool:
        """No: `CalibratedSimulation` does."""
        del config
        return False

    def calibrate_point(self, config: Any, writer: "PointWriter") -> None:
        raise BadInput(f"{config.system.kind} has nothing to calibrate; run it")

    def run_block(self, config: Any, writer: "PointWriter", number: int) -> None:
        """Measure the instances of one block, and publish what they give."""
        self._measured(config, writer, number)

    def audit_point(self, config: Any, home: Path, seed: int) -> "tuple[Path, Audited] | None":
        """None: there are no segments to compute again."""
        return None

    def _measured(self, config: Any, writer: "PointWriter", number: int) -> dict[str, Measured]:
        return measured_block(config, writer, number, self._measure(config, writer), self.together)

    def _measure(self, config: Any, writer: "PointWriter") -> "Measure":
        """`measure`, as a point that lies in files does it."""
        del writer
        return lambda instances, progress: self.measure(config, instances, progress)

    def _summary(self, config: Any, measured: Mapping[str, Measured]) -> dict[str, Any]:
        theory, refusal = self._theory(config)
        last = {name: _last(one) for name, one in measured.items()}
        estimates = {name: estimate(values) for name, (values, _) in last.items()}
        theory |= {name: float(predicted.mean()) for name, (_, predicted) in last.items() if predicted is not None}
        failures = [f"{name} is not finite" for name, one in measured.items() if not np.isfinite(one.values).all()]
        return {
            "schema": SCHEMA,
            "id": identity(config),
            "system": config.system.kind,
            "main": self.main_of(config),
            "parameters": self.parameters(config),
            "instances": config.run.instances,
            "estimates": estimates,
            "theory": theory,
            **({"theory_refusal": refusal} if refusal else {}),
            "z_scores": {name: deviation(*pair, theory.get(name)) for name, pair in last.items() if name in theory},
            "curves": {name: curve(one) for name, one in measured.items() if one.axis},
            "verdict": {"passed": not failures, "failures": failures, "criteria": []},
            "diagnostics": {},
            "digest": digest({name: one.values.tolist() for name, one in measured.items()}),
        }

    def _theory(self, config: Any) -> tuple[dict[str, Any], str]:
        """Of the parameters alone, and why there is none."""
        try:
            return self.predict(config), ""
        except ValueError as refusal:
            return {}, str(refusal)


class CalibratedSimulation(Simulation):
    """A simulation whose instances share what is chosen once a point, by measuring: the settings of chains."""

    @abstractmethod
    def calibrate(self, config: Any, progress: "Progress") -> "CalibrationRecord":
        """Of all instances of a point."""

    @abstractmethod
    def measure_calibrated(
        self, config: Any, instances: range, progress: "Progress", record: "CalibrationRecord | None"
    ) -> dict[str, Measured]:
        """`measure` with a record; None of a config that does not calibrate."""

    def calibrates(self, config: Any) -> bool:
        """Override where some configs do not."""
        del config
        return True

    def measure(self, config: Any, instances: range, progress: "Progress") -> dict[str, Measured]:
        record = self.calibrate(config, progress) if self.calibrates(config) else None
        return self.measure_calibrated(config, instances, progress, record)

    def calibrate_point(self, config: Any, writer: "PointWriter") -> None:
        """Publish the calibration record, unless it is there."""
        if writer.calibration() is None:
            writer.publish_calibration(self.calibrate(config, writer.progress))

    def _measure(self, config: Any, writer: "PointWriter") -> "Measure":
        record = writer.calibration() if self.calibrates(config) else None
        if record is None and self.calibrates(config):
            raise BadInput(f"{writer.directory} is not calibrated; give the run the same command again")
        return lambda instances, progress: self.measure_calibrated(config, instances, progress, record)


def _last(one: Measured) -> tuple[Array, Array | None]:
    """[instances], at the last place of a curve."""
    if not one.axis:
        return one.values, one.predicted
    return one.values[:, -1], None if one.predicted is None else one.predicted[:, -1]


def estimate(values: Array) -> dict[str, float]:
    """Mean over instances [instances], and its standard error."""
    return {"value": float(np.mean(values)), "standard_error": standard_error_of(values)}


def deviation(values: Array, predicted: Array | None, prediction: float | None) -> float:
    """z of the mean; where theory speaks of every instance, of the mean difference."""
    if predicted is not None:
        found = estimate(values - predicted)
        return z_score(found["value"], found["standard_error"], 0.0, len(values))
    found = estimate(values)
    return z_score(found["value"], found["standard_error"], math.nan if prediction is None else prediction, len(values))


def curve(one: Measured) -> dict[str, Any]:
    """Lists over places, as a summary holds them."""
    columns = range(len(one.places))
    points = [estimate(one.values[:, column]) for column in columns]
    told: dict[str, Any] = {
        "axis": one.axis,
        "at": list(one.places),
        "value": [point["value"] for point in points],
        "standard_error": [point["standard_error"] for point in points],
    }
    if one.predicted is not None:
        told["theory"] = one.predicted.mean(axis=0).tolist()
        told["z"] = [deviation(one.values[:, column], one.predicted[:, column], None) for column in columns]
    if one.line is not None:
        told["line"] = [one.line[0].tolist(), one.line[1].mean(axis=0).tolist()]
    return told
