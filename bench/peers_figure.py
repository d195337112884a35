"""The figure of bench_peers, and its table for the README: gradients and effective samples a second, against peers.

Of rows for the same provider, case, metric and precision the last counts. A sampler without a Metropolis test says so.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common import RESULTS, Row, latest, read
from mixing_figure import described

PANELS = {
    ("trajectories", "gradients_per_second"): "gradients a second, all chains",
    ("sampling", "ess_per_second of function_overlap"): "effective samples a second, function overlap",
    ("sampling", "ess_per_second of log_likelihood"): "effective samples a second, log likelihood",
}
"""By operation and metric; an operation is a row of the figure."""
COLOURS = {"nishimori": "#0072B2", "blackjax": "#D55E00", "numpyro": "#009E73", "pyro": "#CC79A7", "posteriors": "0.5"}
"""By library; samplers of the same one differ in hatching."""
HATCHES = ("", "///", "...", "xxx", "\\\\\\", "ooo")


def panel_rows(rows: Sequence[Row], panel: tuple[str, str]) -> list[Row]:
    """Cases in order of size, then libraries in that of COLOURS."""
    found = [row for row in latest(rows) if (row["operation"], row["metric"]) == panel]
    libraries = [*COLOURS, *(library_of(row) for row in found)]
    return sorted(found, key=lambda row: (_size(row["case"]), libraries.index(library_of(row))))


def library_of(row: Row) -> str:
    return row["provider"].split(" ")[0]


def _size(case: str) -> tuple[int, int, float]:
    """Small before large, shallow before deep, much noise before little."""
    known = described(case)
    return int(known["input_dim"]), int(known["depth"]), -float(known["noise_variance"])


def label_of(row: Row) -> str:
    """Provider and precision."""
    return f"{row['provider']}, {row['precision']}"


def case_label(case: str) -> str:
    known = described(case)
    noise, chains = known["noise_variance"], known["chains"]
    return f"d = k = {known['input_dim']}, n = {known['samples']}, L = {known['depth']}, Δ = {noise}, {chains} chains"


def draw(rows: Sequence[Row], path: Path) -> None:
    """A panel for each of PANELS that has rows, its bars grouped by case; neighbours with the same bars share names."""
    from matplotlib.figure import Figure

    found = {panel: own for panel in PANELS if (own := panel_rows(rows, panel))}
    if not found:
        raise SystemExit("the results hold no row of bench_peers; run it first")
    operations = list(dict.fromkeys(operation for operation, _ in found))
    heights = [1 + 0.17 * max(len(own) for panel, own in found.items() if panel[0] == each) for each in operations]
    figure = Figure(figsize=(11, sum(heights) + 1), layout="constrained")
    grid = figure.subplots(len(operations), 2, squeeze=False, height_ratios=heights)
    for operation, line in zip(operations, grid, strict=True):
        panels = [panel for panel in found if panel[0] == operation]
        for axes, panel in zip(line, panels, strict=False):
            _bars(axes, found[panel], PANELS[panel])
        if len({tuple((row["case"], label_of(row)) for row in found[panel]) for panel in panels}) == 1:
            line[1].set_yticks([])
        for axes in line[len(panels) :]:
            axes.set_axis_off()
    figure.savefig(path, dpi=160)


def _bars(axes: Any, rows: Sequence[Row], title: str) -> None:
    """A bar a provider below the name of each case, the first case on top."""
    place, ticks = 0.0, []
    samplers: dict[str, list[str]] = {}
    for case in dict.fromkeys(row["case"] for row in rows):
        ticks.append((place, case_label(case), "bold"))
        for row in (row for row in rows if row["case"] == case):
            place += 1
            library = library_of(row)
            own = samplers.setdefault(library, [])
            if label_of(row) not in own:
                own.append(label_of(row))
            hatch = HATCHES[own.index(label_of(row)) % len(HATCHES)]
            axes.barh(place, float(row["value"]), color=COLOURS.get(library, "0.7"), hatch=hatch, edgecolor="white")
            axes.text(float(row["value"]), place, f" {float(row['value']):.3g}", va="center", fontsize=7)
            ticks.append((place, label_of(row), "normal"))
        place += 1.6
    axes.set_yticks([tick for tick, _, _ in ticks], [name for _, name, _ in ticks], fontsize=7)
    for text, (_, _, weight) in zip(axes.get_yticklabels(), ticks, strict=True):
        text.set_fontweight(weight)
    axes.invert_yaxis()
    values = [float(row["value"]) for row in rows]
    axes.set(xscale="log", xlim=(min(values) / 2, max(values) * 4), title=title)
    axes.grid(axis="x", alpha=0.3)


def table(rows: Sequence[Row]) -> str:
    """Markdown: a table a panel, a line a provider, a column a case."""
    return "\n\n".join(_table(found, PANELS[panel]) for panel in PANELS if (found := panel_rows(rows, panel)))


def _table(rows: Sequence[Row], title: str) -> str:
    cases, labels = (list(dict.fromkeys(map(name, rows))) for name in (lambda row: row["case"], label_of))
    values = {(label_of(row), row["case"]): f"{float(row['value']):.3g}" for row in rows}
    lines = [f"| {title} | {' | '.join(map(case_label, cases))} |", f"|---|{'---:|' * len(cases)}"]
    lines += [f"| {label} | {' | '.join(values.get((label, case), '–') for case in cases)} |" for label in labels]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS, help="the file of results (default: %(default)s)")
    parser.add_argument("--figure", type=Path, help="draw this figure")
    options = parser.parse_args()
    rows = read(options.results)
    print(table(rows))
    if options.figure:
        draw(rows, options.figure)


if __name__ == "__main__":
    main()
