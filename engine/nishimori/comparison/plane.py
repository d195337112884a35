"""One curve observable against another on the same axis: the information plane of networks in training time, say."""

from collections.abc import Mapping, Sequence
from typing import Any

from nishimori.comparison.curves import curve_cells
from nishimori.comparison.tables import table, value_text, varying_names
from nishimori.description.errors import BadInput

Curve = Mapping[str, Any]
COLUMNS = ("at", "value", "standard_error", "theory", "z")
"""Of a curve, with an entry a place."""


def on_one_axis(summaries: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[dict[str, Any]]:
    """The points that have curves `names` on one axis, with these curves alone, at the places that all of them have.

    Raises BadInput where a name is not that of a curve, is there twice, or no point is left.
    """
    known = sorted({name for summary in summaries for name in summary.get("curves", {})})
    if not known:
        raise BadInput(f"points of {summaries[0]['system']} have no curves; leave out --against")
    for name in names:
        if name not in known:
            raise BadInput(f"{name!r} is no curve of these points; use one of {', '.join(known)}")
        if names.count(name) > 1:
            raise BadInput(f"{name!r} is asked for twice; lay another curve against it, of {', '.join(known)}")
    found = [_sharing(summary, names) for summary in summaries if set(names) <= set(summary.get("curves", {}))]
    left = [summary for summary in found if summary["curves"]]
    if not left:
        raise BadInput(f"no point has {_listed(summaries, names)} at the same places; give curves of one axis")
    return left


def _sharing(summary: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """The point without curves where they share nothing."""
    curves = [summary["curves"][name] for name in names]
    shared = set.intersection(*[set(curve["at"]) for curve in curves])
    alike = shared and len({curve["axis"] for curve in curves}) == 1
    return {**summary, "curves": {name: _at(shared, summary["curves"][name]) for name in names} if alike else {}}


def _at(places: set[float], curve: Curve) -> dict[str, Any]:
    kept = [place in places for place in curve["at"]]
    columns = {name: [value for value, keep in zip(curve[name], kept, strict=True) if keep] for name in _columns(curve)}
    return {**curve, **columns}


def _columns(curve: Curve) -> list[str]:
    return [name for name in COLUMNS if name in curve]


def _listed(summaries: Sequence[Mapping[str, Any]], names: Sequence[str]) -> str:
    axes = {name: summary["curves"][name]["axis"] for summary in summaries for name in summary.get("curves", {})}
    return " and ".join(f"{name} (along {axes[name]})" for name in names)


def parametric(across: Curve, along: Curve) -> tuple[Sequence[float], Sequence[float]] | None:
    """Theory of both, along their lines where these are told at the same places; None where one of them has none."""
    if "theory" not in across or "theory" not in along:
        return None
    lines = across.get("line"), along.get("line")
    if lines[0] and lines[1] and list(lines[0][0]) == list(lines[1][0]):
        return lines[0][1], lines[1][1]
    return across["theory"], along["theory"]


def plane_table(points: Sequence[Mapping[str, Any]]) -> str:
    """Of what `on_one_axis` found: a line a place, every curve beside its theory and z."""
    names, curves = varying_names(points), list(points[0]["curves"])
    rows = []
    for point in points:
        told = [value_text(point["parameters"].get(name, "-")) for name in names]
        for cells in zip(*[curve_cells(point["curves"][name]) for name in curves], strict=True):
            rows.append([*told, cells[0][0], *[cell for row in cells for cell in row[1:]]])
    headers = [header for name in curves for header in (name, "theory", "z")]
    return table([*names, points[0]["curves"][curves[0]]["axis"], *headers], rows)
