"""Read a run back from its directory."""

from pathlib import Path

from nishimori.chains.places import batches_in
from nishimori.description.config import Config
from nishimori.description.errors import BadInput
from nishimori.description.identity import identity
from nishimori.sampling.parts import RunParts, read_json
from nishimori.sampling.run import Run


def load(directory: str | Path) -> Run:
    """The Run of a finished point: a run directory with one point, or one of its `points/<id>` directories.

    Teachers and data are drawn again from their seeds; draws, moments and the final state are read. Nothing in the
    files is executed. Raises BadInput, with the file, for anything that is missing, foreign or damaged, and for a point
    that was stopped before its end.
    """
    home = home_of(Path(directory))
    config = config_of(home)
    return parts_of(home, config).run(config)


def home_of(directory: Path) -> Path:
    """The directory of one point: `directory` or the only point in it."""
    if (directory / "config.json").exists():
        return directory
    points = sorted(path for path in directory.glob("points/*") if path.is_dir())
    if not points:
        raise BadInput(f"{directory} holds no run; give the --out directory of a run")
    if len(points) > 1:
        names = ", ".join(f"points/{path.name}" for path in points)
        raise BadInput(f"{directory} holds {len(points)} points; load one of them: {names}")
    return points[0]


def config_of(home: Path) -> Config:
    """What the point in `home` was made with; raises BadInput where the directory has another point's name."""
    config = read_json(home / "config.json", Config)
    point = identity(config)
    if point != home.name:
        raise BadInput(
            f"{home}: config.json is that of point {point}; give the directory of one point as it was written"
        )
    return config


def parts_of(home: Path, config: Config) -> RunParts:
    """What the point in `home` left, its batches joined. Raises BadInput where it was stopped before its end."""
    return RunParts.joined([RunParts.read(place, config) for place in batches_in(home)])
