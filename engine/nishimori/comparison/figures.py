"""Figures: measured points with bars over lines of theory. The only module that imports matplotlib."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nishimori.comparison.extrapolation import Extrapolation
from nishimori.comparison.series import CURVE_POINTS, Series
from nishimori.comparison.tables import value_text

SYMBOLS = {
    "sample_ratio": r"samples per input dimension  $\alpha = n/d$",
    "noise_variance": r"noise variance  $\Delta$",
    "input_dim": r"input dimension  $d$",
    "bayes_error": r"Bayes error  $\varepsilon$",
    "generalization_error": r"generalization error  $E(y - \langle y \rangle)^2$",
    "gibbs_error": r"Gibbs error  $2\varepsilon$",
    "train_mmse": r"training MMSE",
    "training_energy": r"training energy  $\langle (y - F)^2 \rangle$",
    "training_log_likelihood": r"training log likelihood  $\langle \log p(y \mid F) \rangle$",
    "classification_error": "classification error",
    "gibbs_classification_error": "Gibbs classification error",
    "overlap": r"overlap  $q$",
    "replica_overlap": r"replica overlap  $q$",
    "function_overlap": r"function overlap  $\eta^2 q$",
    "mutual_information": r"mutual information  $I(\theta^*; D) / n$",
    "mutual_information_per_dim": r"mutual information  $I(\theta^*; D) / d$",
    "log_evidence": r"log evidence  $E \log Z / n$",
    "replica_function_overlap": r"replica function overlap  $\eta^2 q$",
}
SHORT = {
    "depth": "L",
    "sample_ratio": r"\alpha",
    "noise_variance": r"\Delta",
    "input_dim": "d",
    "width_ratios": "d_l/d",
    "weight_variance": r"\sigma_w^2",
    "bias_variance": r"\sigma_b^2",
}
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's palette, safe for colour-blind readers."""
MARKERS = "osD^vPX"


def label_text(label: dict[str, Any]) -> str:
    """The legend entry of a series."""
    parts = [
        f"${SHORT[name]} = {value_text(value)}$" if name in SHORT else value_text(value)
        for name, value in label.items()
    ]
    return ", ".join(parts) or "measured"


def shared_title(summaries: Sequence[Mapping[str, Any]], axis: str, shown: set[str]) -> str:
    """What all points share: neither on the axis nor `shown` in the legend."""
    parameters = summaries[0]["parameters"]
    said = [name for name in parameters if name not in shown and name != axis]
    parts = [value_text(parameters[name]) for name in ("activation", "channel") if name in said]
    for name in ("noise_variance", "input_dim", "sample_ratio", "depth", "weight_variance", "bias_variance"):
        if name in said:
            parts.append(f"${SHORT[name]} = {value_text(parameters[name])}$")
    counts = sorted({summary["instances"] for summary in summaries})
    teachers = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return ", ".join([*parts, f"{teachers} teachers a point, bars: one standard error"])


def overlay_figure(series: Sequence[Series], axis: str, observable: str, title: str, path: Path) -> None:
    """Draw all series into `path` (PNG, or the format its suffix names)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    axes = figure.add_subplot()
    for number, line in enumerate(series):
        _draw(axes, line, COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)])
    _levels_legend(axes, series)
    axes.set_xscale("log")
    _plain_ticks(axes, series)
    axes.set_xlabel(SYMBOLS.get(axis, axis))
    axes.set_ylabel(SYMBOLS.get(observable, observable))
    axes.set_title(title, fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    _legend(axes, {label_text(line.label) for line in series})
    if axes.get_ylim()[0] > 0 or all((line.value > 0).all() for line in series):
        axes.set_ylim(bottom=0)
    figure.savefig(path, dpi=200)


def extrapolation_figure(rows: Sequence[Extrapolation], observable: str, title: str, path: Path) -> None:
    """Draw values against 1/d with fits, limits and theory at 1/d = 0 into `path` (PNG, or what its suffix names).

    The fit with a power of its own is drawn where the points determine that power.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    axes = figure.add_subplot()
    sizes = sorted({size for row in rows for size in row.sizes})
    reach = 1.06 / sizes[0]
    for number, row in enumerate(rows):
        _draw_extrapolation(axes, row, reach, COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)])
    grey = "0.35"
    if any(row.theory is not None for row in rows):
        axes.plot([], [], color=grey, linewidth=1.4, label="equivalent linear model")
    axes.plot([], [], color=grey, linestyle="--", linewidth=1.2, label=r"fit  $A + B/d$")
    if any(row.power and row.power.determined for row in rows):
        axes.plot([], [], color=grey, linestyle=":", linewidth=1.2, label=r"fit  $A + B/d^g$")
    if len(sizes) <= 6:
        axes.set_xticks([0, *[1 / size for size in sizes]], ["0", *[f"1/{size}" for size in sizes]])
    axes.set_xlim(-0.08 * reach, reach)
    axes.set_xlabel(r"inverse input dimension  $1/d$")
    axes.set_ylabel(SYMBOLS.get(observable, observable))
    axes.set_title(title, fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    _legend(axes, {label_text(row.label) for row in rows})
    figure.savefig(path, dpi=200)


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


def _draw(axes: Any, line: Series, colour: str, marker: str) -> None:
    if len(line.curve):
        axes.plot(line.curve_x, line.curve, color=colour, linewidth=1.4, zorder=1)
        left, right = line.curve_x[0], line.curve_x[-1]
        span = (right / left) ** 0.07
        if line.prior_level is not None:
            axes.plot([left, left * span], [line.prior_level] * 2, color=colour, linestyle="--", linewidth=1.2)
        if line.plateau is not None:
            axes.plot([right / span, right], [line.plateau] * 2, color=colour, linestyle=":", linewidth=1.6)
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
        label=label_text(line.label),
        zorder=3,
    )


def _levels_legend(axes: Any, series: Sequence[Series]) -> None:
    grey = "0.35"
    if any(len(line.curve) for line in series):
        axes.plot([], [], color=grey, linewidth=1.4, label="equivalent linear model")
    if any(line.prior_level is not None for line in series):
        axes.plot(
            [],
            [],
            color=grey,
            linestyle="--",
            linewidth=1.2,
            label=r"prior level  $\sigma_L$ ($\alpha \to 0$)",
        )
    if any(line.plateau is not None for line in series):
        axes.plot([], [], color=grey, linestyle=":", linewidth=1.6, label=r"plateau  $\gamma$ ($\alpha \to \infty$)")


def _legend(axes: Any, measured: set[str]) -> None:
    """Measured series first, then what the lines mean."""
    entries = zip(*axes.get_legend_handles_labels(), strict=True)
    ordered = sorted(entries, key=lambda entry: entry[1] not in measured)
    axes.legend(*zip(*ordered, strict=True), frameon=False, fontsize=9)


def _plain_ticks(axes: Any, series: Sequence[Series]) -> None:
    """Label the measured places with plain numbers rather than powers of ten."""
    places = sorted({float(x) for line in series for x in line.x})
    if len(places) <= 8:
        axes.set_xticks(places, [f"{place:g}" for place in places])
        axes.minorticks_off()
