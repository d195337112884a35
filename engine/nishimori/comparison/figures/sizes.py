"""What happens as the input dimension grows: limits of infinite size, and distances from theory."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nishimori.comparison.approach import Approach, PowerLaw
from nishimori.comparison.extrapolation import Extrapolation
from nishimori.comparison.figures.drawing import GREY, legend, save, sheet, style_of
from nishimori.comparison.figures.names import SYMBOLS, label_text, symbol
from nishimori.comparison.series import CURVE_POINTS, LINEAR_MODEL


def extrapolation_figure(rows: Sequence[Extrapolation], observable: str, title: str, path: Path) -> None:
    """Draw values against 1/d with fits, limits and theory at 1/d = 0 into `path` (PNG, or what its suffix names).

    The fit with a power of its own is drawn where the points determine that power.
    """
    figure, axes = sheet(title, r"inverse input dimension  $1/d$", symbol(observable))
    sizes = sorted({size for row in rows for size in row.sizes})
    reach = 1.06 / sizes[0]
    for number, row in enumerate(rows):
        _draw_extrapolation(axes, row, reach, *style_of(number))
    if any(row.theory is not None for row in rows):
        axes.plot([], [], color=GREY, linewidth=1.4, label=LINEAR_MODEL)
    axes.plot([], [], color=GREY, linestyle="--", linewidth=1.2, label=r"fit  $A + B/d$")
    if any(row.power and row.power.determined for row in rows):
        axes.plot([], [], color=GREY, linestyle=":", linewidth=1.2, label=r"fit  $A + B/d^g$")
    if len(sizes) <= 6:
        axes.set_xticks([0, *[1 / size for size in sizes]], ["0", *[f"1/{size}" for size in sizes]])
    axes.set_xlim(-0.08 * reach, reach)
    legend(axes, {label_text(row.label) for row in rows})
    save(figure, path)


def _draw_extrapolation(axes: Any, row: Extrapolation, reach: float, colour: str, marker: str) -> None:
    places = np.linspace(0, reach, CURVE_POINTS)
    fit = row.linear
    axes.plot(places, fit.limit + fit.slope * places, color=colour, linestyle="--", linewidth=1.2, zorder=1)
    if row.power and row.power.determined:
        axes.plot(places, row.power.at(places), color=colour, linestyle=":", linewidth=1.2, zorder=1)
    if row.theory is not None:
        axes.plot([-0.06 * reach, 0.06 * reach], [row.theory] * 2, color=colour, linewidth=1.4, zorder=2)
    bars = {"color": colour, "capsize": 3, "elinewidth": 1.2, "markersize": 5, "zorder": 3}
    axes.errorbar(0, fit.limit, yerr=fit.standard_error, fmt=marker, markerfacecolor="white", **bars)
    edge = {"markeredgecolor": "white", "markeredgewidth": 0.6, "label": label_text(row.label)}
    axes.errorbar([1 / size for size in row.sizes], row.values, yerr=row.errors, fmt=marker, **edge, **bars)


def approach_figure(groups: Sequence[Approach], law: PowerLaw, observable: str, title: str, path: Path) -> None:
    """Draw |value - theory| against d, both logarithmic, with the law fitted to all groups and guides of slope -1/2 and
    -1, into `path` (PNG, or what its suffix names). Points of one size are drawn as their mean, hollow where it is
    nearer to 0 than its error bar."""
    title = f"{title}\nfit to all: $d^{{-{law.power:.2f}}}$"
    figure, axes = sheet(title, SYMBOLS["input_dim"], f"|{symbol(observable)} - theory|", (7.2, 4.8))
    sizes = np.array(sorted({float(size) for group in groups for size in group.sizes}))
    reach = np.geomspace(sizes[0] / 1.15, sizes[-1] * 1.15, CURVE_POINTS)
    for number, (group, amplitude) in enumerate(zip(groups, law.amplitudes, strict=True)):
        colour, marker = style_of(number)
        axes.plot(reach, abs(amplitude) * reach**-law.power, color=colour, linewidth=0.9, alpha=0.6, zorder=1)
        _draw_differences(axes, group, colour, marker, shift=1 + 0.012 * (number - (len(groups) - 1) / 2))
    top = 1.5 * max(abs(amplitude) * sizes[0] ** -law.power for amplitude in law.amplitudes)
    for power, style, name in ((0.5, ":", "slope -1/2, the bound"), (1.0, "--", "slope -1")):
        guide = top * (reach / sizes[0]) ** -power
        axes.plot(reach, guide, color=GREY, linestyle=style, linewidth=1.4, label=name)
    axes.set_xscale("log")
    axes.set_yscale("log")
    least = min(abs(amplitude) * sizes[-1] ** -law.power for amplitude in law.amplitudes)
    axes.set_ylim(least / 3, 1.5 * top)
    axes.set_xticks(sizes, [f"{size:g}" for size in sizes])
    axes.minorticks_off()
    legend(axes, {label_text(group.label) for group in groups})
    save(figure, path)


def _draw_differences(axes: Any, group: Approach, colour: str, marker: str, shift: float) -> None:
    sizes, differences, errors = group.pooled()
    values, places = np.abs(differences), sizes * shift
    bars = {"color": colour, "capsize": 2, "elinewidth": 1.0, "linestyle": "none", "zorder": 3}
    axes.errorbar(places, values, yerr=[np.minimum(errors, 0.999 * values), errors], marker="none", **bars)
    clear = values > errors
    axes.plot(places[clear], values[clear], marker, color=colour, markersize=5, label=label_text(group.label), zorder=4)
    axes.plot(places[~clear], values[~clear], marker, color=colour, markerfacecolor="white", markersize=5, zorder=4)
