"""Figures: measured points with bars over lines of theory. The only module that imports matplotlib."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nishimori.comparison.approach import Approach, PowerLaw
from nishimori.comparison.extrapolation import Extrapolation
from nishimori.comparison.plane import parametric
from nishimori.comparison.series import CURVE_POINTS, LINEAR_MODEL, OF_TEACHER, RENORMALISED, Series
from nishimori.comparison.tables import VARIANCES, value_text, varying_names
from nishimori.theory.branches import BRANCHES

Array = NDArray[np.float64]
SYMBOLS = {
    "sample_ratio": r"samples per input dimension  $\alpha = n/d$",
    "noise_variance": r"noise variance  $\Delta$",
    "input_dim": r"input dimension  $d$",
    "teacher_noise_variance": r"noise variance of the teacher  $\Delta^*$",
    "bayes_error": r"Bayes error  $\varepsilon$",
    "generalization_error": r"generalization error  $E(y - \langle y \rangle)^2$",
    "gibbs_error": r"Gibbs error  $2\varepsilon$",
    "posterior_mean_error": r"error of the posterior mean  $E(F^* - \langle F \rangle)^2$",
    "posterior_variance": r"posterior variance  $E\langle (F - \langle F \rangle)^2 \rangle$",
    "train_mmse": r"training MMSE",
    "training_loss": "training loss per sample",
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
    "kernel_bayes_error": r"infinitely wide network: $E(m - F^*)^2$",
    "kernel_distance": r"distance to the infinitely wide network  $E(\langle F \rangle - m)^2$",
    "kernel_overlap": r"infinitely wide network: overlap",
    "kernel_mutual_information": r"infinitely wide network: information / $n$",
    "divergence": r"KL to the infinitely wide network / $n$",
    "width_ratio": r"hidden units per input  $k/d$",
    "error": r"error  $E(f - y)^2 / 2$",
    "plateau": r"plateau of the error  $\varepsilon^*$",
    "width": r"width  $n$",
    "evidence_gain": r"evidence gained by learned features  $n \, \Delta \log p$  (nats)",
    "evidence_gain_of_means": r"evidence gained, from means over draws  $n \, \Delta \log p$  (nats)",
    "evidence_gain_of_weighed": r"evidence gained, by importance sampling  $n \, \Delta \log p$  (nats)",
    "kernel_change_1": r"change of the kernel of layer 1  $n \, \Delta K^{(1)}_{ab}$",
    "kernel_change_2": r"change of the kernel of layer 2  $n \, \Delta K^{(2)}_{ab}$",
    "prior_divergence": r"divergence from the prior  $n \, \mathrm{KL}$  (nats)",
    "replica_function_overlap": r"replica function overlap  $\eta^2 q$",
    "ensemble_variance": "variance over the ensemble",
    "input_information_lower": r"information about the input  $I(Z;X|D)$, lower bound  (nats)",
    "input_information_upper": r"information about the input  $I(Z;X|D)$, upper bound  (nats)",
    "label_information": r"information about the label  $I(Z;Y)$, lower bound  (nats)",
    "data_information": r"information about the data  $I(Z;D|X)$, upper bound  (nats)",
    "bottleneck": "information bottleneck",
    "path_length": r"path length  $\int |\dot z| \, dt$",
    "path_energy": r"path energy  $\int |\dot z|^2 \, dt$",
    "coverage": "coverage of 95 % intervals",
}
SHORT = {
    "depth": "L",
    "sample_ratio": r"\alpha",
    "noise_variance": r"\Delta",
    "input_dim": "d",
    "width_ratios": "d_l/d",
    "weight_variance": r"\sigma_w^2",
    "bias_variance": r"\sigma_b^2",
    "regularisation": r"\lambda",
}
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's palette, safe for colour-blind readers."""
MARKERS = "osD^vPX"
COMPANION_STYLE: dict[str, Any] = {"linestyle": (0, (1, 1)), "linewidth": 1.2}
RIVAL_STYLES = ("--", "-.", ":")
"""Of other theories than the line's."""
DECADES = 100
"""Values that fall by more are drawn by powers of ten."""
MOST_INSIDE = 9
"""Legend entries that find room among points and lines; more of them go beside."""


def _style(number: int) -> tuple[str, str]:
    """Colour and marker of a series; the two come together again after many."""
    turn, colour = divmod(number, len(COLOURS))
    return COLOURS[colour], MARKERS[(number + turn) % len(MARKERS)]


def symbol(observable: str) -> str:
    """What an axis calls an observable."""
    return SYMBOLS.get(observable, observable.replace("_", " "))


def label_text(label: dict[str, Any]) -> str:
    """The legend entry of a series."""
    return ", ".join(dict.fromkeys(_said(name, value) for name, value in label.items())) or "measured"


def _said(name: str, value: Any) -> str:
    if name.startswith(OF_TEACHER):
        return f"teacher {_said(name.removeprefix(OF_TEACHER), value)}"
    if name == "inputs_equivalent":
        return "Gaussian equivalent" if value else "true inputs"
    numbers = value if isinstance(value, list) else [value]
    if not all(isinstance(number, int | float) for number in numbers):
        return value_text(value)
    if name not in SHORT:
        return f"{name.replace('_', ' ')} {value_text(value)}"
    return f"${SHORT[name]} = {', '.join(f'{number:g}' for number in numbers)}$"


def shared_title(summaries: Sequence[Mapping[str, Any]], axis: str, shown: set[str]) -> str:
    """What all points share: neither on the axis nor `shown` in the legend."""
    parameters = summaries[0]["parameters"]
    said = [name for name in parameters if name not in shown and name != axis]
    named = ("activation", "channel", "noise_variance", "input_dim", "sample_ratio", "samples", "depth", *VARIANCES)
    parts = [_said(name, parameters[name]) for name in named if name in said]
    of_teacher = [name for name in parameters if name.startswith(OF_TEACHER)]
    apart = [_said(name, parameters[name]) for name in of_teacher if name in said]
    student = f"student {', '.join(parts)}{'; ' if apart else ''}{', '.join(apart)},\n" if of_teacher else ""
    counts = sorted({summary["instances"] for summary in summaries})
    teachers = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    counted = "instances" if "main" in summaries[0] else "teachers"
    ending = f"{teachers} {counted} a point, bars: one standard error"
    return student + ending if student else ", ".join([*parts, ending])


def overlay_figure(series: Sequence[Series], axis: str, observable: str, title: str, path: Path) -> None:
    """Draw all series into `path` (PNG, or the format its suffix names)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    axes = figure.add_subplot()
    for number, line in enumerate(series):
        if len(line.x) or len(line.curve):
            _draw(axes, line, *_style(number))
    _levels_legend(axes, series)
    axes.set_xscale("log")
    _plain_ticks(axes, series)
    apart = any(line.theory == RENORMALISED for line in series)
    believed = " that the student believes" if apart and axis == "noise_variance" else ""
    axes.set_xlabel(SYMBOLS.get(axis, axis) + believed)
    axes.set_ylabel(symbol(observable))
    axes.set_title(title, fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    _legend(axes, {_measured_text(line) for line in series})
    _values_axis(axes, np.concatenate([line.value for line in series] or [np.zeros(0)]))
    figure.savefig(path, dpi=200)


def curves_figure(summaries: Sequence[Mapping[str, Any]], observable: str, title: str, path: Path) -> None:
    """Draw the curves of all points that have one of `observable`, over their theory, into `path`."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    axes = figure.add_subplot()
    drawn = [summary for summary in summaries if observable in summary.get("curves", {})]
    for number, (summary, said) in enumerate(zip(drawn, _told_apart(drawn), strict=True)):
        curve, (colour, marker) = summary["curves"][observable], _style(number)
        if "theory" in curve:
            line = curve.get("line", (curve["at"], curve["theory"]))
            axes.plot(*line, color=colour, linewidth=1.4, zorder=1)
        bars = {"color": colour, "capsize": 3, "elinewidth": 1.2, "markersize": 5, "zorder": 3}
        axes.errorbar(curve["at"], curve["value"], yerr=curve["standard_error"], fmt=marker, label=said, **bars)
    axes.plot([], [], color="0.35", linewidth=1.4, label="theory")
    if not all(_evenly_spaced(summary["curves"][observable]["at"]) for summary in drawn):
        axes.set_xscale("log")
    if all(min(summary["curves"][observable]["value"]) > 0 for summary in drawn):
        axes.set_yscale("log")
    axes.set_xlabel(drawn[0]["curves"][observable]["axis"])
    axes.set_ylabel(symbol(observable))
    axes.set_title(title, fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9, **_place(len(drawn) + 1))
    figure.savefig(path, dpi=200)


def plane_figure(points: Sequence[Mapping[str, Any]], names: Sequence[str], title: str, path: Path) -> None:
    """Draw the first of the curves `names` of all points against the second, with bars both ways over the line of their
    theory, and others dashed, into `path` (PNG, or what its suffix names). The first place of a point is hollow."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    axes = figure.add_subplot()
    (observable, against, *bounds), said = names, _told_apart(points)
    for number, point in enumerate(points):
        curves, style = point["curves"], _style(number)
        for bound, dashes in zip(bounds, RIVAL_STYLES, strict=False):
            line = parametric(curves[against], curves[bound]) or (curves[against]["value"], curves[bound]["value"])
            axes.plot(*line, color=style[0], linestyle=dashes, linewidth=1.2, zorder=1)
        _draw_crossed(axes, curves[against], curves[observable], style, said[number])
    if any(parametric(point["curves"][against], point["curves"][observable]) for point in points):
        axes.plot([], [], color="0.35", linewidth=1.4, label="theory")
    for bound, dashes in zip(bounds, RIVAL_STYLES, strict=False):
        axes.plot([], [], color="0.35", linestyle=dashes, linewidth=1.2, label=symbol(bound))
    axes.set_xlabel(symbol(against))
    axes.set_ylabel(symbol(observable))
    axes.set_title(title, fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    _legend(axes, set(said))
    figure.savefig(path, dpi=200)


def _told_apart(points: Sequence[Mapping[str, Any]]) -> list[str]:
    """Legend entries of points, a series each."""
    names = varying_names(points)
    return [
        label_text({name: point["parameters"][name] for name in names if name in point["parameters"]})
        for point in points
    ]


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


def _place(entries: int) -> dict[str, Any]:
    """Of a legend."""
    return {"loc": "upper left", "bbox_to_anchor": (1, 1)} if entries > MOST_INSIDE else {}


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
        _draw_extrapolation(axes, row, reach, *_style(number))
    grey = "0.35"
    if any(row.theory is not None for row in rows):
        axes.plot([], [], color=grey, linewidth=1.4, label=LINEAR_MODEL)
    axes.plot([], [], color=grey, linestyle="--", linewidth=1.2, label=r"fit  $A + B/d$")
    if any(row.power and row.power.determined for row in rows):
        axes.plot([], [], color=grey, linestyle=":", linewidth=1.2, label=r"fit  $A + B/d^g$")
    if len(sizes) <= 6:
        axes.set_xticks([0, *[1 / size for size in sizes]], ["0", *[f"1/{size}" for size in sizes]])
    axes.set_xlim(-0.08 * reach, reach)
    axes.set_xlabel(r"inverse input dimension  $1/d$")
    axes.set_ylabel(symbol(observable))
    axes.set_title(title, fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    _legend(axes, {label_text(row.label) for row in rows})
    figure.savefig(path, dpi=200)


def approach_figure(groups: Sequence[Approach], law: PowerLaw, observable: str, title: str, path: Path) -> None:
    """Draw |value - theory| against d, both logarithmic, with the law fitted to all groups and guides of slope -1/2 and
    -1, into `path` (PNG, or what its suffix names). Points of one size are drawn as their mean, hollow where it is
    nearer to 0 than its error bar."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 4.8), layout="constrained")
    axes = figure.add_subplot()
    sizes = np.array(sorted({float(size) for group in groups for size in group.sizes}))
    reach = np.geomspace(sizes[0] / 1.15, sizes[-1] * 1.15, CURVE_POINTS)
    for number, (group, amplitude) in enumerate(zip(groups, law.amplitudes, strict=True)):
        colour, marker = _style(number)
        axes.plot(reach, abs(amplitude) * reach**-law.power, color=colour, linewidth=0.9, alpha=0.6, zorder=1)
        _draw_differences(axes, group, colour, marker, shift=1 + 0.012 * (number - (len(groups) - 1) / 2))
    top = 1.5 * max(abs(amplitude) * sizes[0] ** -law.power for amplitude in law.amplitudes)
    for power, style, name in ((0.5, ":", "slope -1/2, the bound"), (1.0, "--", "slope -1")):
        guide = top * (reach / sizes[0]) ** -power
        axes.plot(reach, guide, color="0.35", linestyle=style, linewidth=1.4, label=name)
    axes.set_xscale("log")
    axes.set_yscale("log")
    least = min(abs(amplitude) * sizes[-1] ** -law.power for amplitude in law.amplitudes)
    axes.set_ylim(least / 3, 1.5 * top)
    axes.set_xticks(sizes, [f"{size:g}" for size in sizes])
    axes.minorticks_off()
    axes.set_xlabel(SYMBOLS["input_dim"])
    axes.set_ylabel(f"|{symbol(observable)} - theory|")
    axes.set_title(f"{title}\nfit to all: $d^{{-{law.power:.2f}}}$", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    _legend(axes, {label_text(group.label) for group in groups})
    figure.savefig(path, dpi=200)


def _draw_differences(axes: Any, group: Approach, colour: str, marker: str, shift: float) -> None:
    sizes, differences, errors = group.pooled()
    values, places = np.abs(differences), sizes * shift
    bars = {"color": colour, "capsize": 2, "elinewidth": 1.0, "linestyle": "none", "zorder": 3}
    axes.errorbar(places, values, yerr=[np.minimum(errors, 0.999 * values), errors], marker="none", **bars)
    clear = values > errors
    axes.plot(places[clear], values[clear], marker, color=colour, markersize=5, label=label_text(group.label), zorder=4)
    axes.plot(places[~clear], values[~clear], marker, color=colour, markerfacecolor="white", markersize=5, zorder=4)


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
    grey = "0.35"
    for theory in dict.fromkeys(line.theory for line in series if len(line.curve) and not line.branch):
        axes.plot([], [], color=grey, linewidth=1.4, label=theory)
    if any(np.isfinite(line.companion).any() for line in series):
        axes.plot([], [], color=grey, label="infinitely wide network at this $d$", **COMPANION_STYLE)
    for rival, style in zip(dict.fromkeys(name for line in series for name in line.rivals), RIVAL_STYLES, strict=False):
        axes.plot([], [], color=grey, linestyle=style, linewidth=1.2, label=rival)
    if any(len(line.curve) and line.branch for line in series):
        axes.plot([], [], color=grey, linestyle="--", linewidth=1.4, label="branches")
    if any(line.prior_level is not None for line in series):
        axes.plot(
            [],
            [],
            color=grey,
            linestyle="--",
            linewidth=1.2,
            label=r"prior level  $\eta^2 + \gamma$ ($\alpha \to 0$)",
        )
    if any(line.plateau is not None for line in series):
        axes.plot([], [], color=grey, linestyle=":", linewidth=1.6, label=r"plateau  $\gamma$ ($\alpha \to \infty$)")


def _legend(axes: Any, measured: set[str]) -> None:
    """Measured series first, then what the lines mean."""
    entries = zip(*axes.get_legend_handles_labels(), strict=True)
    ordered = sorted(entries, key=lambda entry: entry[1] not in measured)
    axes.legend(*zip(*ordered, strict=True), frameon=False, fontsize=9, **_place(len(ordered)))


def _values_axis(axes: Any, values: Array) -> None:
    """From 0 on where all is positive, and by powers of ten where it falls by more than two of them."""
    if len(values) and (values > 0).all() and values.max() > DECADES * values.min():
        axes.set_yscale("log")
    elif axes.get_ylim()[0] > 0 or (values > 0).all():
        axes.set_ylim(bottom=0)


def _plain_ticks(axes: Any, series: Sequence[Series]) -> None:
    """Label the measured places with plain numbers rather than powers of ten."""
    places = sorted({float(x) for line in series for x in line.x})
    if len(places) <= 8:
        axes.set_xticks(places, [f"{place:g}" for place in places])
        axes.minorticks_off()
