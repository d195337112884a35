"""Observables along an axis of their own, time above all: a table of how far they are from theory."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from nishimori.comparison.tables import table, value_text, varying_names, with_error


def curves_table(summaries: Sequence[Mapping[str, Any]], observable: str) -> str:
    """One line a place of every curve: measured, theory and z. Empty where no point has a curve of it."""
    shown = [summary for summary in summaries if observable in summary.get("curves", {})]
    names = varying_names(shown)
    rows = [
        [*(value_text(summary["parameters"].get(name, "-")) for name in names), *row]
        for summary in shown
        for row in curve_cells(summary["curves"][observable])
    ]
    axes = sorted({summary["curves"][observable]["axis"] for summary in shown})
    return table([*names, "/".join(axes), observable, "theory", "z"], rows) if rows else ""


def curve_cells(curve: Mapping[str, Any]) -> list[list[str]]:
    """A row a place: where, measured, theory and z."""
    columns = [curve["at"], curve["value"], curve["standard_error"]]
    nothing = [None] * len(curve["at"])
    columns += [curve.get("theory", nothing), curve.get("z", nothing)]
    return [
        [
            f"{place:g}",
            with_error(value, error),
            "-" if theory is None else f"{theory:.5f}",
            "-" if z is None or math.isnan(z) else f"{z:+.2f}",
        ]
        for place, value, error, theory, z in zip(*columns, strict=True)
    ]
