"""The figure of scaling: time of a gradient against its floating-point operations and against the number of chains,
with straight lines for what the machine cannot beat."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import Row, operations_of
from mixing_figure import described

OPERATION = "gradient scaling"
PANEL_CHAINS = "8"
"""The number of chains in the panel against size."""
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
MARKERS = {"fp32": "o", "bf16": "s"}


def draw(rows: Sequence[Row], path: Path) -> None:
    from matplotlib.figure import Figure

    times = [row for row in rows if row["operation"] == OPERATION and row["metric"] == "time"]
    figure = Figure(figsize=(10.5, 4.6), layout="constrained")
    by_size, by_chains = figure.subplots(1, 2)
    sized = [row for row in times if described(row["case"])["chains"] == PANEL_CHAINS]
    _curves(by_size, sized, "depth", lambda row: operations(row) / 1e9)
    _limits(by_size, rows, sized)
    by_size.set(xlabel="GFLOP of the matrix products", ylabel="ms a gradient of all chains", title="8 chains")
    dims = {dim for dim in map(_dim, times) if len({_chains(row) for row in times if _dim(row) == dim}) > 1}
    wide = [row for row in times if _dim(row) in dims and described(row["case"])["depth"] == "1"]
    _curves(by_chains, wide, "input_dim", _chains)
    by_chains.set(xlabel="chains", ylabel="ms a gradient of all chains", title="one hidden layer")
    for axes in (by_size, by_chains):
        axes.set(xscale="log", yscale="log")
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=160)


def operations(row: Row) -> int:
    """Floating-point operations of the matrix products of the gradient of a row."""
    case = described(row["case"])
    return operations_of(*(int(case[name]) for name in ("input_dim", "samples", "depth", "chains")))


def limit(rows: Sequence[Row], operation: str, precision: str = "fp32") -> float | None:
    """GFLOP/s of the matrix product or GB/s of the copy, None where there is no row."""
    found = [row for row in rows if (row["operation"], row["metric"]) == (operation, "rate")]
    return next((float(row["value"]) for row in reversed(found) if row["precision"] == precision), None)


def exponent(x: Sequence[float], y: Sequence[float]) -> float:
    """Slope of the straight line through the upper half of the points, both axes logarithmic."""
    half = len(x) // 2
    return float(np.polyfit(np.log(x[half:]), np.log(y[half:]), 1)[0])


def _curves(axes: Any, rows: Sequence[Row], by: str, place: Any) -> None:
    """A curve for every value of `by` in a case, and precision."""
    keys = dict.fromkeys((row["precision"], described(row["case"])[by]) for row in rows)
    for colour, (precision, value) in zip(COLOURS * len(keys), keys, strict=False):
        own = [row for row in rows if (row["precision"], described(row["case"])[by]) == (precision, value)]
        own.sort(key=place)
        x, y = [place(row) for row in own], [float(row["value"]) for row in own]
        slope = f", exponent {exponent(x, y):.2f}" if len(own) > 3 else ""
        label = f"{by} {value}, {precision}{slope}"
        axes.plot(x, y, MARKERS.get(precision, "D") + "-", color=colour, markersize=4, linewidth=1, label=label)


def _limits(axes: Any, rows: Sequence[Row], sized: Sequence[Row]) -> None:
    """Time of so many operations at the rate of a large product, and of moving the weights in and the gradient out."""
    if not sized:
        return
    x = sorted({operations(row) / 1e9 for row in sized})
    for precision, style in (("fp32", "-"), ("bf16", "--")):
        peak = limit(rows, "matrix product", precision)
        if peak:
            label = f"large {precision} product, {peak:.0f} GFLOP/s"
            axes.plot(x, [1e3 * each / peak for each in x], style, color="0.5", label=label)
    bandwidth = limit(rows, "memory copy")
    if bandwidth:
        shallow = sorted(row["case"] for row in sized if described(row["case"])["depth"] == "1")
        points = sorted(
            (operations(row) / 1e9, _moved(row) / bandwidth / 1e6) for row in sized if row["case"] in shallow
        )
        axes.plot(*zip(*points, strict=True), ":", color="0.5", label=f"weights and gradient at {bandwidth:.0f} GB/s")


def _moved(row: Row) -> int:
    """Bytes of the weights, the gradient and the inputs."""
    case = described(row["case"])
    dim, samples, chains, depth = (int(case[name]) for name in ("input_dim", "samples", "chains", "depth"))
    return 4 * (2 * chains * (depth * dim**2 + dim) + samples * dim)


def _chains(row: Row) -> int:
    return int(described(row["case"])["chains"])


def _dim(row: Row) -> int:
    return int(described(row["case"])["input_dim"])
