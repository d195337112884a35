"""The figure of bench_mixing: effective samples per gradient and second, by width and in the proportional regime."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common import Row

METRICS = {"ess_per_gradient": "effective samples per gradient", "ess_per_second": "effective samples per second"}
COLOURS = {
    "leapfrog": "#0072B2",
    "rotation": "#D55E00",
    "Langevin": "#009E73",
    "MCLMC": "#CC79A7",
    "PCN": "#000000",
    "over-relaxed": "#56B4E9",
}
MARKERS = {"leapfrog": "o", "rotation": "s", "Langevin": "^", "MCLMC": "D", "PCN": "P", "over-relaxed": "X"}
WIDE_INPUT = 10
"""Cases of this input_dim are laid out by width, the others side by side."""

Case = dict[str, str]
Values = dict[tuple[str, str], float]


def draw(rows: Sequence[Row], path: Path) -> None:
    """Open symbols and dashes where the readout is sampled, filled ones where it is integrated out: full lines for one
    readout a draw, large symbols and dots for several.

    Of rows for the same method, case and metric the last counts.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.5, 8.2), layout="constrained")
    panels = figure.subplots(2, 2)
    for column, (metric, label) in enumerate(METRICS.items()):
        values = {(row["provider"], row["case"]): float(row["value"]) for row in rows if row["metric"] == metric}
        cases = list(dict.fromkeys(row["case"] for row in rows))
        wide = [case for case in cases if int(described(case)["input_dim"]) == WIDE_INPUT]
        _against_width(panels[0, column], values, sorted(wide, key=lambda case: int(described(case)["width"])), label)
        _side_by_side(panels[1, column], values, [case for case in cases if case not in wide], label)
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, frameon=False)
    figure.savefig(path, dpi=160)


def described(case: str) -> Case:
    return dict(part.split("=", 1) for part in case.split(" "))


def _style(method: str) -> dict[str, Any]:
    target, sampler, *readouts = method.split(" ")
    plain, colour = target == "plain", COLOURS[sampler]
    return {
        "color": colour,
        "marker": MARKERS[sampler],
        "linestyle": "--" if plain else ":" if readouts else "-",
        "markerfacecolor": "white" if plain else colour,
        "markersize": 11 if readouts else 7,
    }


def _methods(values: Values) -> list[str]:
    """Plain ones first, then one readout a draw, each in the order of COLOURS."""

    def place(method: str) -> tuple[bool, bool, int]:
        target, sampler, *readouts = method.split(" ")
        return target != "plain", bool(readouts), list(COLOURS).index(sampler)

    return sorted({method for method, _ in values}, key=place)


def _against_width(axes: Any, values: Values, cases: Sequence[str], label: str) -> None:
    for method in _methods(values):
        known = [case for case in cases if (method, case) in values]
        widths = [int(described(case)["width"]) for case in known]
        axes.plot(widths, [values[method, case] for case in known], label=method, **_style(method))
    axes.set(xscale="log", yscale="log", xlabel="width", ylabel=label)
    axes.set_xticks([int(described(case)["width"]) for case in cases], [described(case)["width"] for case in cases])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    if cases:
        axes.set_title(_sentence(cases[0], ("input_dim", "samples", "noise_variance", "activation")), fontsize=10)


def _side_by_side(axes: Any, values: Values, cases: Sequence[str], label: str) -> None:
    if not cases:
        axes.set_axis_off()
        return
    methods = _methods(values)
    for place, method in enumerate(methods):
        known = [number for number, case in enumerate(cases) if (method, case) in values]
        shift = 0.7 * (place / max(1, len(methods) - 1) - 0.5)
        heights = [values[method, cases[number]] for number in known]
        axes.plot([number + shift for number in known], heights, **{**_style(method), "linestyle": "none"})
    for number in range(1, len(cases)):
        axes.axvline(number - 0.5, color="0.8", linewidth=0.8)
    axes.set(yscale="log", ylabel=label, xlim=(-0.5, len(cases) - 0.5))
    names = [_sentence(case, ("input_dim", "width"), ("samples", "noise_variance"), ("activation",)) for case in cases]
    axes.set_xticks(range(len(cases)), names, fontsize=9)
    axes.grid(axis="y", alpha=0.3)
    axes.set_title("proportional regime", fontsize=10)


SYMBOLS = {"input_dim": "d", "width": "k", "samples": "n", "noise_variance": r"\Delta"}


def _sentence(case: str, *lines: Sequence[str]) -> str:
    known = described(case)

    def part(name: str) -> str:
        return f"${SYMBOLS[name]} = {known[name]}$" if name in SYMBOLS else known[name]

    return "\n".join(", ".join(part(name) for name in line) for line in lines)
