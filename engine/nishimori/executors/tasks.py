"""The tasks that a point is made of: what an engine starts, and may start again at any time."""

from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from nishimori.chains.files import publish_json
from nishimori.description.config import to_plain
from nishimori.description.errors import BadInput
from nishimori.description.experiment import Experiment, Point
from nishimori.systems import SYSTEMS

Part = Literal["point", "calibration", "block"]
State = Literal["done", "stopped", "failed", "refused", "lost", "busy", "unstored"]


@dataclass(frozen=True)
class Task:
    """One `part` of `point` in the run in `directory`: all of it, its calibration, or block number `block`; `points` is
    the number of points of the experiment. Texts and numbers alone, as it travels."""

    directory: str
    point: str
    points: int
    part: Part = "point"
    block: int = 0

    @property
    def home(self) -> Path:
        return Path(self.directory) / "points" / self.point

    def words(self) -> list[str]:
        """As a command line has it."""
        return [str(value) for value in asdict(self).values()]

    @classmethod
    def of_words(cls, words: list[str]) -> "Task":
        return msgspec.convert(dict(zip(cls.__dataclass_fields__, words, strict=True)), cls, strict=False)


@dataclass(frozen=True)
class Outcome:
    """How an attempt at a task ended, and in words where it did not end well. One that was `stopped` goes on where it
    was; one that `failed`, or whose worker was `lost`, may do better another time, and one that was `refused` will
    not. Where another process is at it (`busy`), or files cannot be written (`unstored`), the grid ends."""

    state: State
    message: str = ""
    details: str = ""


def stages_of(directory: Path, point: Point, points: int) -> list[list[Task]]:
    """The tasks of a point; those of a stage can be done at once, after all of the stage before."""

    def task(part: Part, block: int = 0) -> Task:
        return Task(str(directory.absolute()), point.identity, points, part, block)

    if not in_tasks(point.config):
        return [[task("point")]]
    blocks = [task("block", number) for number in range(point.config.run.blocks)]
    calibration = [task("calibration")] if SYSTEMS[point.config.system.kind].calibrates(point.config) else []
    return [stage for stage in (calibration, blocks, [task("point")]) if stage]


def in_tasks(config: Any) -> bool:
    """Whether the blocks of a point are tasks of their own: not where it is sampled batch by batch."""
    return config.run.blocks > 1 and config.run.error_target is None


def most_at_a_time(experiment: Experiment) -> int:
    """Tasks of all points that can be done at once."""
    return sum(point.config.run.blocks if in_tasks(point.config) else 1 for point in experiment.points)


def publish_config(task: Task, config: Any) -> None:
    """Where a task is done, `config_of` finds it again. One that is there already is left alone: its point may be
    another process's."""
    with suppress(BadInput):
        if config_of(task) == config:
            return
    publish_json(task.home / "config.json", to_plain(config))


def config_of(task: Task) -> Any:
    path = task.home / "config.json"
    try:
        document = msgspec.json.decode(path.read_bytes())
        return msgspec.convert(document, SYSTEMS[document["system"]["kind"]].schema)
    except (OSError, msgspec.MsgspecError, KeyError, TypeError) as error:
        raise BadInput(f"{path} cannot be read ({error}); give the run the same command again") from None


def is_done(task: Task) -> bool:
    """Whether it left what it is for. Whether a block did is known to whoever takes it up."""
    names: dict[Part, Any] = {"point": "summary.json", "calibration": "calibration.json", "block": "summary.json"}
    return (task.home / names[task.part]).exists()
