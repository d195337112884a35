"""Curves along an axis of their own, and one against another."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nishimori.comparison.figures.drawing import GREY, RIVAL_STYLES, legend, plain_logarithmic, save, sheet, style_of
from nishimori.comparison.figures.names import symbol, told_apart
from nishimori.comparison.plane import parametric


def curves_figure(summaries: Sequence[Mapping[str, Any]], observable: str, title: str, path: Path) -> None:
    """Draw the curves of all points that have one of `observable`, over their theory, into `path`."""
    drawn = [summary for summary in summaries if observable in summary.get("curves", {})]
    figure, axes = sheet(title, symbol(drawn[0]["curves"][observable]["axis"]), symbol(observable))
    names = told_apart(drawn)
    for number, (summary, said) in enumerate(zip(drawn, names, strict=True)):
        curve, (colour, marker) = summary["curves"][observable], style_of(number)
        if "theory" in curve:
            line = curve.get("line", (curve["at"], curve["theory"]))
            axes.plot(*line, color=colour, linewidth=1.4, zorder=1)
        bars = {"color": colour, "capsize": 3, "elinewidth": 1.2, "markersize": 5, "zorder": 3}
        axes.errorbar(curve["at"], curve["value"], yerr=curve["standard_error"], fmt=marker, label=said, **bars)
    axes.plot([], [], color=GREY, linewidth=1.4, label="theory")
    if not all(_evenly_spaced(summary["curves"][observable]["at"]) for summary in drawn):
        axes.set_xscale("log")
        plain_logarithmic(axes.xaxis)
    if all(min(summary["curves"][observable]["value"]) > 0 for summary in drawn):
        axes.set_yscale("log")
        plain_logarithmic(axes.yaxis)
    legend(axes, set(names))
    save(figure, path)


def plane_figure(points: Sequence[Mapping[str, Any]], names: Sequence[str], title: str, path: Path) -> None:
    """Draw the first of the curves `names` of all points against the second, with bars both ways over the line of their
    theory, and others dashed, into `path` (PNG, or what its suffix names). The first place of a point is hollow."""
    (observable, against, *bounds), said = names, told_apart(points)
    figure, axes = sheet(title, symbol(against), symbol(observable))
    for number, point in enumerate(points):
        curves, style = point["curves"], style_of(number)
        for bound, dashes in zip(bounds, RIVAL_STYLES, strict=False):
            line = parametric(curves[against], curves[bound]) or (curves[against]["value"], curves[bound]["value"])
            axes.plot(*line, color=style[0], linestyle=dashes, linewidth=1.2, zorder=1)
        _draw_crossed(axes, curves[against], curves[observable], style, said[number])
    if any(parametric(point["curves"][against], point["curves"][observable]) for point in points):
        axes.plot([], [], color=GREY, linewidth=1.4, label="theory")
    for bound, dashes in zip(bounds, RIVAL_STYLES, strict=False):
        axes.plot([], [], color=GREY, linestyle=dashes, linewidth=1.2, label=symbol(bound))
    legend(axes, set(said))
    save(figure, path)


def _draw_crossed(
    axes: Any, across: Mapping[str, Any], along: Mapping[str, Any], style: tuple[str, str], said: str
) -> None:
    colour, marker = style
    line = parametric(across, along)
    if line:
        axes.plot(*line, color=colour, linewidth=1.4, zorder=1)
    x, y = np.array(across["value"], dtype=float), np.array(along["value"], dtype=float)
    errors = [np.array(curve["standard_error"], dtype=float) for curve in (across, along)]
    bars = {"color": colour, "capsize": 2, "elinewidth": 1.2, "markersize": 5, "zorder": 3}
    axes.errorbar(x, y, xerr=errors[0], yerr=errors[1], fmt=marker, label=said, **bars)
    axes.plot(x[:1], y[:1], marker, color=colour, markerfacecolor="white", markersize=5, zorder=4)


def _evenly_spaced(places: Sequence[float]) -> bool:
    """As what is counted one by one."""
    return len(places) > 2 and bool(np.allclose(np.diff(places, 2), 0))
