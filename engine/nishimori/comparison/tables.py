"""Tables for a terminal."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from nishimori.comparison.align import Agreement
from nishimori.comparison.series import OF_TEACHER, value_of


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Right-aligned columns under their headers."""
    widths = [max(len(line[column]) for line in (header, *rows)) for column in range(len(header))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in (header, *rows)]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def with_error(value: float, error: float | None) -> str:
    """0.1086(23): the error in units of the last digits shown."""
    if error is None or not math.isfinite(error) or error <= 0:
        return f"{value:.4g}"
    digits = max(0, 1 - math.floor(math.log10(error)))
    return f"{value:.{digits}f}({round(error * 10**digits)})"


VARIANCES = ("weight_variance", "bias_variance")
"""Parameters of networks that are not plain."""


def value_text(value: Any) -> str:
    """A parameter as it is shown, a list as its entries."""
    if isinstance(value, list | tuple):
        return ",".join(map(value_text, value))
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def describe(parameters: Mapping[str, Any]) -> str:
    """A point in a few words."""
    if not DEEP_NETWORK <= set(parameters):
        return " ".join(f"{name}={value_text(value)}" for name, value in parameters.items())
    channel = f"{parameters['channel']} " if "channel" in parameters else ""
    return (
        f"{value_text(parameters['activation'])} L={parameters['depth']} d={parameters['input_dim']} "
        f"alpha={parameters['sample_ratio']:g} {channel}Delta={parameters['noise_variance']:g}"
        + "".join(f" {name}={value_text(parameters[name])}" for name in VARIANCES if name in parameters)
        + (f" inputs {of_inputs(parameters)}" if of_inputs(parameters) else "")
        + (f" teacher {of_teacher(parameters)}" if of_teacher(parameters) else "")
    )


DEEP_NETWORK = {"activation", "depth", "input_dim", "sample_ratio", "noise_variance"}
"""Parameters of the matched teacher, which has columns of its own."""
SHORT = {"depth": "L", "noise_variance": "Delta", "width_ratios": "ratios"}


def of_teacher(parameters: Mapping[str, Any]) -> str:
    """What the teacher has on its own; empty where it is matched."""
    apart = {name.removeprefix(OF_TEACHER): value for name, value in parameters.items() if name.startswith(OF_TEACHER)}
    return " ".join(f"{SHORT.get(name, name)}={value_text(value)}" for name, value in apart.items())


OF_INPUTS = "inputs_"


def of_inputs(parameters: Mapping[str, Any]) -> str:
    """What the inputs are; empty where they are independent normal numbers."""
    said = {name.removeprefix(OF_INPUTS): value for name, value in parameters.items() if name.startswith(OF_INPUTS)}
    words = [name if value is True else f"{name}={value_text(value)}" for name, value in said.items()]
    words = [word.removeprefix("activation=") for word in words]
    return " ".join([parameters["inputs"], *words]) if "inputs" in parameters else ""


def comparison_table(summaries: Sequence[Mapping[str, Any]], observable: str) -> str:
    """One line a point: parameters, measured, theory, z, acceptance, verdict. Channel and variances of weights and
    biases are columns where some point has others than the Gaussian one, 1 and 0, the teacher where some teacher has
    parameters of its own, inputs where they are no independent normal numbers, and what theory rests on where some of
    it is a conjecture."""
    if not all(DEEP_NETWORK <= set(summary["parameters"]) for summary in summaries):
        return _plain_table(summaries, observable)
    header = ["activation", "L", "d", "alpha", "Delta", observable, "theory", "z", "acceptance", "verdict"]
    rows = [_row(summary, observable) for summary in summaries]
    for name in (*reversed(VARIANCES), "channel"):
        if any(name in summary["parameters"] for summary in summaries):
            values = [value_text(value_of(summary["parameters"], name)) for summary in summaries]
            header, rows = [name, *header], [[value, *row] for value, row in zip(values, rows, strict=True)]
    inputs = [of_inputs(summary["parameters"]) for summary in summaries]
    if any(inputs):
        header, rows = ["inputs", *header], [[said or "gaussian", *row] for said, row in zip(inputs, rows, strict=True)]
    teachers = [of_teacher(summary["parameters"]) for summary in summaries]
    if any(teachers):
        header, rows = ["teacher", *header], [[said or "-", *row] for said, row in zip(teachers, rows, strict=True)]
    bases = [(summary["theory"] or {}).get("basis", "-") for summary in summaries]
    if "conjecture" in bases:
        header, rows = [*header, "basis"], [[*row, basis] for row, basis in zip(rows, bases, strict=True)]
    return table(header, rows)


def varying_names(summaries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Parameters that tell points apart."""
    names = dict.fromkeys(name for summary in summaries for name in summary["parameters"])
    return [name for name in names if len({str(summary["parameters"].get(name)) for summary in summaries}) > 1]


def _plain_table(summaries: Sequence[Mapping[str, Any]], observable: str) -> str:
    """Of any system: the parameters that tell points apart, then what was measured."""
    names = varying_names(summaries)
    rows = [
        [
            *(value_text(summary["parameters"].get(name, "-")) for name in names),
            *_compared(summary, observable),
            "passed" if summary["verdict"]["passed"] else "failed",
        ]
        for summary in summaries
    ]
    return table([*names, observable, "theory", "z", "verdict"], rows)


def _compared(summary: Mapping[str, Any], observable: str) -> list[str]:
    """Measured, theory and z."""
    estimate = summary["estimates"].get(observable)
    theory = (summary["theory"] or {}).get(observable)
    z = summary["z_scores"].get(observable)
    return [
        "-" if estimate is None else with_error(estimate["value"], estimate["standard_error"]),
        "-" if theory is None else f"{theory:.4f}",
        "-" if z is None or math.isnan(z) else f"{z:+.2f}",
    ]


def _row(summary: Mapping[str, Any], observable: str) -> list[str]:
    parameters = summary["parameters"]
    return [
        value_text(parameters["activation"]),
        str(parameters["depth"]),
        str(parameters["input_dim"]),
        f"{parameters['sample_ratio']:g}",
        f"{parameters['noise_variance']:g}",
        *_compared(summary, observable),
        f"{summary['diagnostics']['acceptance']:.2f}",
        "passed" if summary["verdict"]["passed"] else "failed",
    ]


VERDICT_COLUMNS = {
    "p_value": ("least p", min, "{:.1e}"),
    "monte_carlo_ratio": ("MC/disorder", max, "{:.2f}"),
    "r_hat": ("R-hat", max, "{:.3f}"),
    "split_r_hat": ("split", max, "{:.3f}"),
    "nested_r_hat": ("nested", max, "{:.3f}"),
    "bulk_sample_size": ("bulk ESS", min, "{:.0f}"),
    "tail_sample_size": ("tail ESS", min, "{:.0f}"),
    "divergent_fraction": ("divergent", max, "{:.2%}"),
    "stuck_chains": ("stuck", max, "{:.0f}"),
}
"""Criterion -> header, which of its values is the worst, format."""


def verdict_table(summaries: Sequence[Mapping[str, Any]]) -> str:
    """One line a point: the worst value of every criterion, the warm-up beside the one needed, how many failed."""
    header = ["point", *(column[0] for column in VERDICT_COLUMNS.values()), "warm-up/needed", "failed"]
    return table(header, [_verdict_row(summary) for summary in summaries])


def _verdict_row(summary: Mapping[str, Any]) -> list[str]:
    criteria = summary["verdict"].get("criteria", ())
    cells = [_worst([one["value"] for one in criteria if one["name"] == name], name) for name in VERDICT_COLUMNS]
    warmup = [f"{one['value']:.0f}/{_bound(one['bound'])}" for one in criteria if one["name"] == "warmup"]
    failed = sum(bool(one["failure"]) for one in criteria) if criteria else len(summary["verdict"]["failures"])
    return [describe(summary["parameters"]), *cells, *(warmup or ["-"]), f"{failed} of {len(criteria)}"]


def _worst(values: Sequence[float | None], name: str) -> str:
    """ "?" where one of them could not be computed."""
    if not values:
        return "-"
    known = [value for value in values if value is not None and math.isfinite(value)]
    return VERDICT_COLUMNS[name][2].format(VERDICT_COLUMNS[name][1](known)) if len(known) == len(values) else "?"


def _bound(value: float | None) -> str:
    return "?" if value is None or not math.isfinite(value) else f"{value:.0f}"


def agreement_line(result: Agreement | None, observable: str) -> str:
    """All points in one sentence."""
    if result is None:
        return f"{observable}: no point has both a prediction and a measurement with an error bar"
    return (
        f"{observable} against theory over {result.points} points: mean |z| {result.mean_absolute_z:.2f}, "
        f"largest |z| {result.largest_absolute_z:.2f}, chi-square p = {result.p_value:.2g}, "
        f"median relative standard error {100 * result.median_relative_error:.1f} %"
    )
