"""Measured points with bars over lines of theory, against a parameter."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nishimori.comparison.figures.drawing import GREY, RIVAL_STYLES, legend, save, sheet, style_of, values_axis
from nishimori.comparison.figures.names import SYMBOLS, label_text, symbol
from nishimori.comparison.series import RENORMALISED, Series
from nishimori.theory.branches import BRANCHES

COMPANION_STYLE: dict[str, Any] = {"linestyle": (0, (1, 1)), "linewidth": 1.2}


def overlay_figure(series: Sequence[Series], axis: str, observable: str, title: str, path: Path) -> None:
    """Draw all series into `path` (PNG, or the format its suffix names)."""
    apart = any(line.theory == RENORMALISED for line in series)
    believed = " that the student believes" if apart and axis == "noise_variance" else ""
    figure, axes = sheet(title, SYMBOLS.get(axis, axis) + believed, symbol(observable))
    for number, line in enumerate(series):
        if len(line.x) or len(line.curve):
            _draw(axes, line, *style_of(number))
    _levels_legend(axes, series)
    axes.set_xscale("log")
    _plain_ticks(axes, series)
    legend(axes, {_measured_text(line) for line in series})
    values_axis(axes, np.concatenate([line.value for line in series] or [np.zeros(0)]))
    save(figure, path)


def _draw(axes: Any, line: Series, colour: str, marker: str) -> None:
    if len(line.curve):
        style = {"linestyle": "--", "zorder": 2} if line.branch else {"zorder": 1}
        axes.plot(line.curve_x, line.curve, color=colour, linewidth=1.4, **style)
        left, right = line.curve_x[0], line.curve_x[-1]
        span = (right / left) ** 0.07
        if line.prior_level is not None:
            axes.plot([left, left * span], [line.prior_level] * 2, color=colour, linestyle="--", linewidth=1.2)
        if line.plateau is not None:
            axes.plot([right / span, right], [line.plateau] * 2, color=colour, linestyle=":", linewidth=1.6)
    if not len(line.x):
        return
    if np.isfinite(line.companion).any():
        axes.plot(line.x, line.companion, color=colour, marker="_", markersize=11, zorder=2, **COMPANION_STYLE)
    for rival, style in zip(line.rivals.values(), RIVAL_STYLES, strict=False):
        axes.plot(line.x, rival, color=colour, linestyle=style, marker="_", markersize=9, linewidth=1.2, zorder=1)
    axes.errorbar(
        line.x,
        line.value,
        yerr=line.error,
        fmt=marker,
        color=colour,
        markersize=5,
        capsize=3,
        elinewidth=1.2,
        markeredgecolor="white",
        markeredgewidth=0.6,
        label=_measured_text(line),
        zorder=3,
    )


def _measured_text(line: Series) -> str:
    """What the points are; chains that stay in a branch are told by their start."""
    starts = {branch: f"from the {start}" for start, branch in BRANCHES.items()}
    parts = [label_text(line.label)] if line.label or not line.branch else []
    return ", ".join([*parts, *([starts[line.branch]] if line.branch else [])])


def _levels_legend(axes: Any, series: Sequence[Series]) -> None:
    for theory in dict.fromkeys(line.theory for line in series if len(line.curve) and not line.branch):
        axes.plot([], [], color=GREY, linewidth=1.4, label=theory)
    if any(np.isfinite(line.companion).any() for line in series):
        axes.plot([], [], color=GREY, label="infinitely wide network at this $d$", **COMPANION_STYLE)
    for rival, style in zip(dict.fromkeys(name for line in series for name in line.rivals), RIVAL_STYLES, strict=False):
        axes.plot([], [], color=GREY, linestyle=style, linewidth=1.2, label=rival)
    if any(len(line.curve) and line.branch for line in series):
        axes.plot([], [], color=GREY, linestyle="--", linewidth=1.4, label="branches")
    if any(line.prior_level is not None for line in series):
        axes.plot(
            [],
            [],
            color=GREY,
            linestyle="--",
            linewidth=1.2,
            label=r"prior level  $\eta^2 + \gamma$ ($\alpha \to 0$)",
        )
    if any(line.plateau is not None for line in series):
        axes.plot([], [], color=GREY, linestyle=":", linewidth=1.6, label=r"plateau  $\gamma$ ($\alpha \to \infty$)")


def _plain_ticks(axes: Any, series: Sequence[Series]) -> None:
    """Label the measured places with plain numbers rather than powers of ten."""
    places = sorted({float(x) for line in series for x in line.x})
    if len(places) <= 8:
        axes.set_xticks(places, [f"{place:g}" for place in places])
        axes.minorticks_off()
