"""The directory of a run: whose it is, and what is finished in it."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nishimori.chains.files import exclusive, publish_json
from nishimori.chains.temporaries import is_left_behind
from nishimori.comparison.summaries import SCHEMA
from nishimori.description.errors import BadInput
from nishimori.description.experiment import Experiment
from nishimori.systems import expand


def refuse_foreign(out: Path, experiment: Experiment) -> None:
    """Refuse, with nothing written, a directory that is not this experiment's."""
    manifest = out / "run.json"
    if out.exists() and not out.is_dir():
        raise BadInput(f"{out} is a file; give a directory to --out")
    if not manifest.exists() and out.exists() and not all(is_left_behind(entry.name) for entry in out.iterdir()):
        raise BadInput(f"{out} is not empty and holds no run; give an empty or new directory to --out")
    if not manifest.exists():
        return
    if _identity_of(manifest) != experiment.identity:
        raise BadInput(f"{out} holds another experiment; give another directory to --out")
    for held, asked in zip(experiment_of(out).points, experiment.points, strict=True):
        blocks = held.config.run.blocks
        if blocks != asked.config.run.blocks:
            raise BadInput(
                f"{out} is sampled with run.blocks = {blocks}; keep that, or give another directory to --out"
            )


def finished(out: Path, experiment: Experiment) -> bool:
    """Whether every point has its summary."""
    return all((out / "points" / point.identity / "summary.json").exists() for point in experiment.points)


def claim(out: Path, experiment: Experiment, provenance: Callable[[], Mapping[str, Any]]) -> None:
    """Make `out` this experiment's directory: publish run.json, with `provenance()`, unless it is there.

    Raises DirectoryBusy where another process plans the same directory, StorageFailed where it cannot be written.
    """
    manifest = out / "run.json"
    with exclusive(out):
        if not manifest.exists():
            publish_json(
                manifest,
                {
                    "schema": SCHEMA,
                    "identity": experiment.identity,
                    "experiment": experiment.document,
                    "points": [{"id": point.identity, "swept": point.swept} for point in experiment.points],
                    **provenance(),
                },
            )


def experiment_of(out: Path) -> Experiment:
    """The experiment that a run directory holds. Raises BadInput where it holds none, or one that was changed."""
    manifest = out / "run.json"
    if not manifest.exists():
        raise BadInput(f"{out} holds no run; give the directory that --out named")
    identity = _identity_of(manifest)
    document = json.loads(manifest.read_text(encoding="utf-8")).get("experiment")
    if not isinstance(document, dict):
        raise BadInput(f"{manifest} is not a run's manifest; restore the file, or run the experiment file again")
    experiment = expand(document)
    if experiment.identity != identity:
        raise BadInput(
            f"{manifest}: its experiment is not the one whose identity it names; restore the file, or run the "
            "experiment file again"
        )
    return experiment


def _identity_of(manifest: Path) -> str:
    try:
        document = json.loads(manifest.read_text(encoding="utf-8"))
        schema, identity = document["schema"], document["identity"]
    except (OSError, ValueError, KeyError, TypeError):
        raise BadInput(f"{manifest} is not a run's manifest; give another directory to --out") from None
    if schema != SCHEMA:
        raise BadInput(f"{manifest}: schema {schema} is not {SCHEMA}; use the version of nishimori that wrote it")
    return identity
