"""Reading the summaries that finished points left."""

import json
import math
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


KEPT_WHOLE = ("information", "seconds", "main", "curves")
KEPT_OF_CHECKS = ("z", "p_value", "exact")


def read_summary(path: Path) -> dict[str, Any]:
    """One point's summary; estimates that are null there, which is not finite, are NaN. Raises BadInput where the file
    is not one."""
    return _summary(_document(path), path)


def _document(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"{path}: cannot be read ({error}); remove the file and run the experiment again") from None


def _summary(summary: Any, path: Path) -> dict[str, Any]:
    missing = sorted(REQUIRED - _keys(summary))
    if not missing and summary["system"] == "matched_teacher":
        missing = sorted(PARAMETERS - _keys(summary["parameters"]))
    if missing:
        raise BadInput(f"{path}: not a summary ({missing[0]} is missing); remove the file and run the experiment again")
    if summary["schema"] != SCHEMA:
        raise BadInput(
            f"{path}: schema {summary['schema']} is not {SCHEMA}; use the version of nishimori that wrote it"
        )
    return {**summary, "estimates": {name: _numbers(estimate) for name, estimate in summary["estimates"].items()}}


def _numbers(estimate: Mapping[str, float | None]) -> dict[str, float]:
    return {key: math.nan if number is None else number for key, number in estimate.items()}


def _keys(value: Any) -> set[str]:
    return set(value) if isinstance(value, dict) else set()


def sorting_key(parameters: Mapping[str, Any]) -> list[tuple[str, str, Any]]:
    """What points are sorted by: their parameters in turn, whatever they are and whichever they have."""
    return [
        (name, "" if isinstance(value, int | float) else type(value).__name__, value)
        for name, value in parameters.items()
    ]


def load_summaries(places: Sequence[Path]) -> list[dict[str, Any]]:
    """The finished points of these run directories and files of `saved`, each once. Raises BadInput where there is
    none."""
    found = [summary for place in places for summary in (_of_file(place) if place.is_file() else _of_run(place))]
    return list({summary["id"]: summary for summary in found}.values())


def _of_run(directory: Path) -> list[dict[str, Any]]:
    paths = sorted((directory / "points").glob("*/summary.json"))
    if not paths:
        raise BadInput(f"{directory} holds no finished point; give the --out directory of a run")
    return [read_summary(path) for path in paths]


def _of_file(path: Path) -> list[dict[str, Any]]:
    document = _document(path)
    points = document.get("points") if isinstance(document, dict) else None
    if not isinstance(points, list) or not points:
        raise BadInput(f"{path}: holds no points; give the --out directory of a run, or what overlay --save wrote")
    return [_summary(point, path) for point in points]


def saved(summaries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A small document of these points, which `load_summaries` reads: all but how they were calibrated, what the
    verdict looked at, and diagnostics but the acceptance."""
    return {"schema": SCHEMA, "points": [_small(summary) for summary in summaries]}


def _small(summary: Mapping[str, Any]) -> dict[str, Any]:
    checks = summary.get("checks", {})
    kept = {name: summary[name] for name in summary if name in REQUIRED or name in KEPT_WHOLE}
    acceptance = {name: value for name, value in summary["diagnostics"].items() if name == "acceptance"}
    return {
        **kept,
        "diagnostics": acceptance,
        "verdict": {name: summary["verdict"][name] for name in ("passed", "failures")},
        "checks": {name: {key: check[key] for key in KEPT_OF_CHECKS} for name, check in checks.items()},
    }
