"""Finished points that differ in size, on a known law: for the tests of extrapolations and approaches."""

import json
from pathlib import Path
from typing import Any

from nishimori.systems import SYSTEMS

SIZES = (24, 36, 48, 72)
SLOPES = {1: -0.17, 2: 0.4}


def summary(depth: int, size: int, *, value: float | None = None, **parameters: Any) -> dict[str, Any]:
    """A point on theory + slope/d, unless `value` says otherwise, with an error bar of 0.002."""
    named = {
        "activation": "tanh",
        "depth": depth,
        "width_ratios": [1.0] * depth,
        "input_dim": size,
        "sample_ratio": 2.0,
        "noise_variance": 0.1,
        **parameters,
    }
    theory = SYSTEMS["matched_teacher"].predict_at(named)
    exact = theory["bayes_error"] + SLOPES[depth] / size
    return {
        "schema": 1,
        "id": "-".join(str(value) for value in (depth, size, *parameters.values())),
        "system": "matched_teacher",
        "parameters": named,
        "instances": 40,
        "estimates": {"bayes_error": {"value": exact if value is None else value, "standard_error": 0.002}},
        "theory": theory,
        "z_scores": {"bayes_error": 0.0},
        "diagnostics": {"acceptance": 0.8},
        "verdict": {"passed": True, "failures": []},
    }


def grid(sizes: tuple[int, ...] = SIZES) -> list[dict[str, Any]]:
    return [summary(depth, size) for size in sizes for depth in (2, 1)]


def write(directory: Path, summaries: list[dict[str, Any]]) -> Path:
    """A run directory with these finished points."""
    for one in summaries:
        folder = directory / "points" / one["id"]
        folder.mkdir(parents=True)
        (folder / "summary.json").write_text(json.dumps(one), encoding="utf-8")
    return directory
