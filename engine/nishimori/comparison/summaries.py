"""Reading the summaries that finished points left."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nishimori.description.errors import BadInput

SCHEMA = 1
"""Of summary.json and run.json."""

REQUIRED = {
    "schema",
    "id",
    "system",
    "parameters",
    "instances",
    "estimates",
    "theory",
    "z_scores",
    "diagnostics",
    "verdict",
}
PARAMETERS = {"activation", "depth", "width_ratios", "input_dim", "sample_ratio", "noise_variance"}


def read_summary(path: Path) -> dict[str, Any]:
    """One point's summary. Raises BadInput where the file is not one."""
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"{path}: cannot be read ({error}); remove the file and run the experiment again") from None
    missing = sorted(REQUIRED - _keys(summary)) or sorted(PARAMETERS - _keys(summary["parameters"]))
    if missing:
        raise BadInput(f"{path}: not a summary ({missing[0]} is missing); remove the file and run the experiment again")
    if summary["schema"] != SCHEMA:
        raise BadInput(
            f"{path}: schema {summary['schema']} is not {SCHEMA}; use the version of nishimori that wrote it"
        )
    return summary


def _keys(value: Any) -> set[str]:
    return set(value) if isinstance(value, dict) else set()


def sorting_key(parameters: Mapping[str, Any]) -> list[tuple[str, str, Any]]:
    """What points are sorted by: their parameters in turn, whatever they are and whichever they have."""
    return [
        (name, "" if isinstance(value, int | float) else type(value).__name__, value)
        for name, value in parameters.items()
    ]


def load_summaries(directories: Sequence[Path]) -> list[dict[str, Any]]:
    """The finished points of these run directories, each once. Raises BadInput where there is none."""
    summaries: dict[str, dict[str, Any]] = {}
    for directory in directories:
        paths = sorted((directory / "points").glob("*/summary.json"))
        if not paths:
            raise BadInput(f"{directory} holds no finished point; give the --out directory of a run")
        for path in paths:
            summary = read_summary(path)
            summaries[summary["id"]] = summary
    return list(summaries.values())
