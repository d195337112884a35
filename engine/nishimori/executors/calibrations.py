"""Calibration records of another run of the same points: draws are then the same where what is measured would differ,
on another machine, or where the sampler is chosen by its speed."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nishimori.chains.files import publish_json
from nishimori.chains.places import BATCHES
from nishimori.description.config import Config, has_chains
from nishimori.description.errors import BadInput
from nishimori.description.experiment import Experiment, Point

NAME = "calibration.json"


def records_of(source: Path | None, experiment: Experiment) -> dict[str, Any]:
    """By point, from a run directory, or from the record of a single point. Raises BadInput where one is missing, is no
    record, or is of other instances."""
    if source is None:
        return {}
    kind = experiment.points[0].config.system.kind
    if not has_chains(experiment.points[0].config):
        raise BadInput(f"--calibration {source}: {kind} has nothing to calibrate; leave it out")
    if not source.is_dir() and len(experiment.points) > 1:
        raise BadInput(
            f"--calibration {source}: one record, for {len(experiment.points)} points; give the directory of a run of "
            "all of them"
        )
    return {
        point.identity: _record(source / place(point.identity, point.config) if source.is_dir() else source, point)
        for point in experiment.points
    }


def place(identity: str, config: Config) -> Path:
    """Of a point's record in a run directory; batches are calibrated like the first of them."""
    home = Path("points") / identity
    return (home / BATCHES / "000" if config.run.error_target else home) / NAME


def _record(path: Path, point: Point) -> Any:
    import msgspec

    from nishimori.adaptation.calibration import CalibrationRecord

    try:
        content = path.read_bytes()
        instances = msgspec.json.decode(content, type=CalibrationRecord).instances
    except OSError as error:
        raise BadInput(
            f"--calibration: {path} cannot be read ({error.strerror}); name a run of the same points"
        ) from None
    except msgspec.DecodeError as error:
        raise BadInput(
            f"--calibration: {path} is not a calibration record ({error}); give one that a run wrote"
        ) from None
    if instances != tuple(range(point.config.data.instances)):
        raise BadInput(f"--calibration: {path} is of other instances; name a run of the same points")
    return json.loads(content)


def share(records: Mapping[str, Any], out: Path, experiment: Experiment) -> None:
    """Publish the records in `out`. Raises BadInput where a point was calibrated otherwise."""
    for point in experiment.points:
        if point.identity not in records:
            continue
        path = out / place(point.identity, point.config)
        if not path.exists():
            publish_json(path, records[point.identity])
        elif json.loads(path.read_bytes()) != records[point.identity]:
            raise BadInput(f"{path} was measured otherwise; leave out --calibration, or give another --out")
