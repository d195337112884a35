"""Styles, axes and legends that all figures share."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's palette, safe for colour-blind readers."""
MARKERS = "osD^vPX"
RIVAL_STYLES = ("--", "-.", ":")
"""Of other theories than the line's."""
DECADES = 100
"""Values that fall by more are drawn by powers of ten."""
MOST_INSIDE = 9
"""Legend entries that find room among points and lines; more of them go beside."""
GREY = "0.35"
"""Of what stands for all series in a legend."""


def sheet(title: str, across: str, along: str, size: tuple[float, float] = (6.4, 4.4)) -> tuple[Any, Any]:
    """An empty figure and its axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel(across)
    axes.set_ylabel(along)
    axes.set_title(title, fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def save(figure: Any, path: Path) -> None:
    """Into `path`: PNG, or the format its suffix names."""
    figure.savefig(path, dpi=200)


def style_of(number: int) -> tuple[str, str]:
    """Colour and marker of a series; the two come together again after many."""
    turn, colour = divmod(number, len(COLOURS))
    return COLOURS[colour], MARKERS[(number + turn) % len(MARKERS)]


def legend(axes: Any, measured: set[str]) -> None:
    """Measured series first, then what the lines mean."""
    entries = zip(*axes.get_legend_handles_labels(), strict=True)
    ordered = sorted(entries, key=lambda entry: entry[1] not in measured)
    axes.legend(*zip(*ordered, strict=True), frameon=False, fontsize=9, **_place(len(ordered)))


def _place(entries: int) -> dict[str, Any]:
    """Of a legend."""
    return {"loc": "upper left", "bbox_to_anchor": (1, 1)} if entries > MOST_INSIDE else {}


def plain_logarithmic(axis: Any) -> None:
    """Powers of ten, and what stands between them where there are few, as plain numbers."""
    from matplotlib.ticker import LogFormatter

    class Plain(LogFormatter):
        def __call__(self, x: float, pos: int | None = None) -> str:
            return f"{x:g}" if super().__call__(x, pos) else ""

    axis.set_major_formatter(Plain())
    axis.set_minor_formatter(Plain(minor_thresholds=(1.2, 0.5)))


def values_axis(axes: Any, values: Array) -> None:
    """From 0 on where all is positive, and by powers of ten where it falls by more than two of them."""
    if len(values) and (values > 0).all() and values.max() > DECADES * values.min():
        axes.set_yscale("log")
    elif axes.get_ylim()[0] > 0 or (values > 0).all():
        axes.set_ylim(bottom=0)
