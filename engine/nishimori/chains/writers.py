"""The files of one point: config, calibration, segments, states, information where it was measured, and what is kept
while it is, summary."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from nishimori.adaptation.calibration import CalibrationRecord
from nishimori.chains.checkpoint_files import CheckpointFiles
from nishimori.chains.files import publish_json
from nishimori.chains.journal import Journal
from nishimori.chains.places import INFORMATION, batch_of, is_begun, places_of
from nishimori.chains.progress import Progress, silent
from nishimori.chains.stop import StopRequest
from nishimori.description.errors import BadInput


@dataclass(frozen=True)
class PointWriter:
    """Publishes into `directory` = points/<id>; nothing half-written is ever visible under its name.

    `points_in_experiment` shares the false-alarm rate of the exact checks; `progress` is told of every transition,
    `tell` of what was found damaged; `stop` says whether to end.
    """

    directory: Path
    points_in_experiment: int = 1
    progress: Progress = silent
    tell: Callable[[str], None] = print
    stop: StopRequest = field(default_factory=StopRequest)

    def batch(self, number: int) -> "PointWriter":
        """For the files of one batch of instances."""
        return replace(self, directory=batch_of(self.directory, number))

    def journals(self, segment_seconds: float, blocks: int = 1) -> list[Journal]:
        """Of the chains of this point, or of one batch of its instances: one a block."""
        places = places_of(self.directory, blocks)
        return [Journal(place, segment_seconds, self.tell, self.stop) for place in places]

    def information_files(self, segment_seconds: float) -> CheckpointFiles:
        """Of the information while it is measured."""
        return CheckpointFiles(self.directory / INFORMATION, segment_seconds, self.tell)

    def information(self) -> Any:
        """What an earlier attempt published of the information, instance by instance, None where nothing was; JSON."""
        path = self.directory / "information.json"
        return json.loads(path.read_text(encoding="utf-8"))["instances"] if path.exists() else None

    def publish_config(self, config: Mapping[str, Any]) -> None:
        publish_json(self.directory / "config.json", config)

    def calibration(self) -> CalibrationRecord | None:
        """The record an earlier attempt published, if any. Raises BadInput where the file is not such a record, or is
        gone and draws are there that were made with it."""
        path, begun = self.directory / "calibration.json", is_begun(self.directory)
        if not path.exists() and not begun:
            return None
        anew = f"remove {self.directory} to sample anew" if begun else "remove the file to calibrate anew"
        try:
            return msgspec.json.decode(path.read_bytes(), type=CalibrationRecord)
        except FileNotFoundError:
            raise BadInput(f"{path} is missing beside draws that were made with it; restore it, or {anew}") from None
        except OSError as error:
            raise BadInput(f"{path} cannot be read ({error.strerror}); remove the cause, then run again") from None
        except msgspec.DecodeError as error:
            raise BadInput(f"{path}: not a calibration record ({error}); restore it, or {anew}") from None

    def publish_calibration(self, record: CalibrationRecord) -> None:
        publish_json(self.directory / "calibration.json", msgspec.to_builtins(record))

    def publish_information(self, document: Mapping[str, Any]) -> None:
        publish_json(self.directory / "information.json", document)

    def publish_summary(self, summary: Mapping[str, Any]) -> None:
        publish_json(self.directory / "summary.json", summary)
