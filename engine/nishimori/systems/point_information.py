"""The mutual information of a point, where the experiment asks for it. Importing this never imports torch."""

from typing import TYPE_CHECKING, Any

import msgspec

from nishimori.description.config import Config
from nishimori.description.experiment import identity, sample_count

if TYPE_CHECKING:
    from nishimori.chains.writers import PointWriter
    from nishimori.measurement.error_bars import Estimate
    from nishimori.measurement.information import Information
    from nishimori.models.target import Target


def measured_information(config: Config, target: "Target", writer: "PointWriter") -> "Information | None":
    """Measured on the problem of `target` as [information] says, and published; None where it names no method."""
    from nishimori.measurement.information_report import information_document
    from nishimori.models.collapsed import CollapsedPosterior
    from nishimori.models.posterior import Posterior
    from nishimori.sampling import information

    section = config.information
    if section.method is None:
        return None
    assert isinstance(target, Posterior | CollapsedPosterior)
    settings = msgspec.structs.asdict(section)
    address = {"seed": config.run.seed, "point": identity(config)}
    measured = information(target.posterior, **settings, **address, progress=writer.progress)
    writer.publish_information(information_document(measured, settings))
    return measured


def estimates_of(measured: "Information | None", config: Config) -> "dict[str, Estimate]":
    from nishimori.measurement.information_report import information_estimates

    return information_estimates(measured, sample_count(config) / config.network.input_dim) if measured else {}


def summary_of(measured: "Information") -> dict[str, Any]:
    """What a reader of the summary needs to know of it beside the estimates."""
    bounds = {name: getattr(measured.best, name).value for name in ("lower", "upper", "gap")}
    return {"method": measured.method, **bounds, "acceptance": measured.acceptance, "alarms": list(measured.alarms)}
