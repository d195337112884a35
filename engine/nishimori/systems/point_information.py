"""The mutual information of a point, where the experiment asks for it. Importing this never imports torch."""

from typing import TYPE_CHECKING, Any

import msgspec

from nishimori.description.config import Config
from nishimori.description.errors import BadInput
from nishimori.description.identity import identity
from nishimori.description.sizes import sample_count

if TYPE_CHECKING:
    from nishimori.chains.writers import PointWriter
    from nishimori.measurement.error_bars import Estimate
    from nishimori.measurement.information import Information, Measured
    from nishimori.models.target import Target


def measured_information(config: Config, target: "Target", writer: "PointWriter", first: bool) -> "Measured | None":
    """Measured on the problem of `target` as [information] says, and published, unless it was before; None where it
    names no method. The `first` batch of a point averages what needs no sampling over further data sets.

    It goes on where an earlier attempt was stopped or killed; what was kept for that goes when it is published."""
    from nishimori.models.collapsed import CollapsedPosterior
    from nishimori.models.posterior import Posterior
    from nishimori.sampling import information

    section = config.information
    if section.method is None:
        return None
    published, files = _published(writer), writer.information_files(config.run.segment_seconds)
    if published is not None:
        files.remove()
        return published
    assert isinstance(target, Posterior | CollapsedPosterior)
    address = {"seed": config.run.seed, "point": identity(config)}
    data_sets = (config.control.data_sets or 0) if first else 0
    settings = {**msgspec.structs.asdict(section), **address, "data_sets": data_sets}
    measured = information(target.posterior, **settings, progress=writer.progress, files=files)
    publish_information(measured, config, writer)
    files.remove()
    return measured.measured


def _published(writer: "PointWriter") -> "Measured | None":
    from nishimori.measurement.information_parts import PlainMeasured, measured_of

    try:
        document = writer.information()
        return None if document is None else measured_of(msgspec.convert(document, PlainMeasured))
    except (OSError, ValueError, TypeError, KeyError) as error:
        path = writer.directory / "information.json"
        raise BadInput(f"{path} cannot be read ({error}); remove the file to measure it again") from None


def publish_information(measured: "Information", config: Config, writer: "PointWriter") -> None:
    from nishimori.measurement.information_report import information_document

    writer.publish_information(information_document(measured, msgspec.structs.asdict(config.information)))


def estimates_of(measured: "Information | None", config: Config) -> "dict[str, Estimate]":
    from nishimori.measurement.information_report import information_estimates

    return information_estimates(measured, sample_count(config) / config.network.input_dim) if measured else {}


def summary_of(measured: "Information") -> dict[str, Any]:
    """What a reader of the summary needs to know of it beside the estimates."""
    bounds = {name: getattr(measured.best, name).value for name in ("lower", "upper", "gap")}
    return {"method": measured.method, **bounds, "acceptance": measured.acceptance, "alarms": list(measured.alarms)}
