"""A point in batches of instances, sampled until its error target is reached; without one, in a single batch.

A batch goes on where it was stopped, and one that had ended is read back. Importing this never imports torch.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nishimori.description.config import Config
from nishimori.description.identity import identity
from nishimori.systems.point_information import estimates_of, measured_information, publish_information

if TYPE_CHECKING:
    from nishimori.adaptation.calibration import CalibrationRecord
    from nishimori.chains.writers import PointWriter
    from nishimori.measurement.error_bars import Estimate
    from nishimori.measurement.information import Information, Measured
    from nishimori.sampling import Run
    from nishimori.sampling.controlled import ControlledValues
    from nishimori.sampling.parts import RunParts

Sample = Callable[[Config, "PointWriter", range, "CalibrationRecord | None"], "Run"]
"""Samples these instances of a point, calibrated like others of it where their record is given, and publishes the
calibration."""


@dataclass(frozen=True, eq=False)
class Batch:
    """What one batch of instances left."""

    parts: "RunParts"
    run: "Run"
    controlled: "ControlledValues | None"
    information: "Measured | None"


@dataclass(frozen=True, eq=False)
class Outcome:
    """All instances of a point: `estimates` by name, those of the information and the controlled ones among them, and
    in `shortfalls` a sentence for every error target that is missed."""

    parts: "RunParts"
    run: "Run"
    estimates: "dict[str, Estimate]"
    information: "Information | None"
    shortfalls: tuple[str, ...] = ()


def sampled(config: Config, writer: "PointWriter", sample: Sample, checks_in_experiment: int) -> Outcome:
    """Sample a point and publish all its files but the summary."""
    checks = checks_in_experiment
    if config.run.error_target is None:
        return _outcome(config, [_batch(config, writer, sample, checks)], checks)
    batches = [_batch(config, writer.batch(0), sample, checks)]
    outcome = _outcome(config, batches, checks)
    while outcome.shortfalls and len(batches) < (config.run.most_batches or 1):
        number, first = len(batches), batches[0].parts.record
        batches.append(_batch(config, writer.batch(number), sample, checks, number, first))
        outcome = _outcome(config, batches, checks)
    if outcome.information:
        publish_information(outcome.information, config, writer)
    return outcome


def _batch(
    config: Config,
    writer: "PointWriter",
    sample: Sample,
    checks_in_experiment: int,
    number: int = 0,
    first: "CalibrationRecord | None" = None,
) -> Batch:
    from nishimori.sampling.controlled import ControlledValues
    from nishimori.sampling.parts import RunParts

    count = config.data.instances
    run = sample(config, writer, range(number * count, (number + 1) * count), first)
    parts = RunParts.of(run)
    address = config.run.seed, identity(config)
    controlled = None if config.control.data_sets is None else ControlledValues.of(run, *address)
    return Batch(parts, run, controlled, measured_information(config, run.target, writer, first=number == 0))


def _outcome(config: Config, batches: Sequence[Batch], checks_in_experiment: int) -> Outcome:
    from nishimori.measurement.information import Information
    from nishimori.measurement.information_parts import joined
    from nishimori.sampling.parts import RunParts

    parts = RunParts.joined([batch.parts for batch in batches])
    run = batches[0].run if len(batches) == 1 else parts.run(config, checks_in_experiment)
    measured = [batch.information for batch in batches if batch.information is not None]
    information = Information.of(joined(measured)) if measured else None
    estimates = {**run.estimates, **_controlled_estimates(config, batches), **estimates_of(information, config)}
    so_far = f"after {len(batches)} batches of {config.data.instances} instances; raise run.most_batches"
    missed = tuple(f"{beginning} {so_far}" for beginning in _missed(estimates, config.run.error_target or {}))
    return Outcome(parts, run, estimates, information, missed)


def _controlled_estimates(config: Config, batches: Sequence[Batch]) -> "dict[str, Estimate]":
    """These replace the plain ones, which `load` still gives."""
    values = [batch.controlled for batch in batches if batch.controlled is not None]
    if not values:
        return {}
    from nishimori.sampling.controlled import ControlledValues

    data_sets, address = config.control.data_sets or 0, (config.run.seed, identity(config))
    errors = ControlledValues.joined(values).errors(batches[0].run, data_sets, *address)
    return {
        "bayes_error": errors.bayes_error.estimate,
        "generalization_error": errors.bayes_error.estimate.shifted(config.channel.noise_variance or 0.0),
        "overlap": errors.overlap.estimate,
        "kernel_bayes_error": errors.bayes_error.kernel,
        "kernel_distance": errors.bayes_error.distance,
        "kernel_overlap": errors.overlap.kernel,
    }


def _missed(estimates: "Mapping[str, Estimate]", target: Mapping[Any, float]) -> list[str]:
    """A sentence's beginning for every target that is missed."""
    found = []
    for name, wanted in target.items():
        reached = estimates[name].standard_error / abs(estimates[name].value)
        if not reached <= wanted:
            shown = "no error bar" if math.isnan(reached) else f"a relative standard error of {reached:.2g}"
            found.append(f"{name} has {shown}, not {wanted:g},")
    return found
