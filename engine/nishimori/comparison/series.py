"""Which points make a line: one axis, and a series for every combination of the other varying parameters."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nishimori.theory.branches import BRANCHES

AXIS_PREFERENCE = ("sample_ratio", "noise_variance", "input_dim", "teacher_noise_variance")
CURVE_POINTS = 200
QUADRATURE_POINTS = 50
"""Of a curve where some channel has no closed form, and every point takes its time."""

UNSAID = {
    "readout": "gaussian",
    "channel": "gaussian",
    "weight_variance": 1.0,
    "bias_variance": 0.0,
    "inputs": "gaussian",
    "inputs_equivalent": False,
}
"""Parameters that a point has only where they are something else."""

OF_TEACHER = "teacher_"
"""Begins the parameters that the teacher has on its own; where a point has not one of them, the teacher is matched."""

LINEAR_MODEL = "equivalent linear model"
RENORMALISED = "renormalised kernel (conjecture)"
"""What lines of theory are, of matched and of other students."""

COMPANION = "kernel_"
"""Begins the estimates of the infinitely wide network on a point's own inputs."""

Predict = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""Theory at any parameters; raises ValueError where there is none."""


@dataclass(frozen=True, eq=False)
class Series:
    """Points with error bars (one standard error) and, where theory speaks, its curve and its limits.

    `prior_level` and `plateau` are the predictions for few and for infinitely many samples per dimension; `theory`
    says what the curve is, and whether it is a conjecture. Where chains of the two starts stay in different branches,
    `branch` is that of these points, and the curve is NaN where the branch is not. `companion` is what the infinitely
    wide network has on the same inputs, at the size of every point, NaN where the point does not say. `rivals` are
    other theories of the same, by their names, at the points: what points call "<observable>, <name>".
    """

    label: dict[str, Any]
    x: NDArray[np.float64]
    value: NDArray[np.float64]
    error: NDArray[np.float64]
    curve_x: NDArray[np.float64]
    curve: NDArray[np.float64]
    prior_level: float | None
    plateau: float | None
    theory: str = ""
    branch: str = ""
    companion: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    rivals: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)


def choose_axis(summaries: Sequence[Mapping[str, Any]]) -> str:
    """The first preferred parameter that takes more than one value; of systems without samples per dimension, the first
    of all numbers."""
    points = [summary["parameters"] for summary in summaries]
    named = AXIS_PREFERENCE if all("sample_ratio" in point for point in points) else tuple(points[0])
    numbers = [name for name in named if all(isinstance(point.get(name), int | float) for point in points)]
    return next((name for name in numbers if len({point[name] for point in points}) > 1), numbers[0])


def build_series(summaries: Sequence[Mapping[str, Any]], observable: str, axis: str, predict: Predict) -> list[Series]:
    """Group points into series, ordered by their labels. Points without this estimate are left out."""
    groups = grouped(summaries, observable, axis)
    points = [summary["parameters"] for _, members in groups for summary in members]
    closed = all(value_of(point, "channel") == "gaussian" for point in points)
    reach = _reach([point[axis] for point in points], CURVE_POINTS if closed else QUADRATURE_POINTS)
    return [
        _series(label, points, observable, branch, axis, reach, predict)
        for label, points in groups
        for branch in _branches(points, observable)
    ]


def grouped(
    summaries: Sequence[Mapping[str, Any]], observable: str, axis: str
) -> list[tuple[dict[str, Any], list[Mapping[str, Any]]]]:
    """Points with this estimate that differ along `axis` alone, each group with what tells it from the others."""
    points = [summary for summary in summaries if observable in summary["estimates"]]
    varying = _varying([summary["parameters"] for summary in points], axis)
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for summary in points:
        parameters = summary["parameters"]
        label = {name: value_of(parameters, name) for name in varying if name in parameters or _goes_unsaid(name)}
        groups.setdefault(json.dumps(label), []).append(summary)
    keys = sorted(groups, key=lambda key: _order(groups[key][0]["parameters"], varying))
    return [(json.loads(key), groups[key]) for key in keys]


def branch_names(observable: str) -> list[str]:
    """What the estimates of `observable` are called by branch."""
    return [f"{branch}_{observable}" for branch in BRANCHES.values()]


def _branches(points: Sequence[Mapping[str, Any]], observable: str) -> list[str]:
    """All chains together, "", and by themselves those of each branch where some point has estimates of it."""
    found = {name for point in points for name in point["estimates"]}
    return ["", *(branch for branch in BRANCHES.values() if f"{branch}_{observable}" in found)]


def _varying(parameters: Sequence[Mapping[str, Any]], axis: str) -> list[str]:
    """Parameters that tell series apart; width ratios only where the depth does not say them already."""
    known = dict.fromkeys(name for point in parameters for name in point)
    names = [
        name for name in known if name != axis and len({json.dumps(value_of(point, name)) for point in parameters}) > 1
    ]
    ordinary = all(set(point.get("width_ratios", ())) <= {1.0} for point in parameters)
    return [name for name in names if not (name == "width_ratios" and ordinary)]


def value_of(parameters: Mapping[str, Any], name: str) -> Any:
    """The value of a parameter that may go unsaid."""
    return parameters.get(name, "matched" if name.startswith(OF_TEACHER) else UNSAID.get(name))


def _goes_unsaid(name: str) -> bool:
    return name in UNSAID or name.startswith(OF_TEACHER)


def _order(parameters: Mapping[str, Any], names: Sequence[str]) -> list[tuple[str, Any]]:
    """What series are sorted by: a parameter that a point has not comes before all that others have."""
    return [(type(parameters[name]).__name__, parameters[name]) if name in parameters else ("", 0) for name in names]


def _reach(values: Sequence[float], count: int) -> NDArray[np.float64]:
    low, high = min(values, default=1.0), max(values, default=1.0)
    return np.geomspace(low / 1.35, high * 1.35, count)


def _series(
    label: dict[str, Any],
    summaries: Sequence[Mapping[str, Any]],
    observable: str,
    branch: str,
    axis: str,
    reach: NDArray[np.float64],
    predict: Predict,
) -> Series:
    """All chains together are shown where there are no estimates by branch: where there are, they describe neither."""
    ordered = sorted(summaries, key=lambda summary: summary["parameters"][axis])
    curve, levels, theory = _theory(ordered[0]["parameters"], _named(observable, branch), axis, reach, predict)
    if not curve and all((summary["theory"] or {}).get(observable) is not None for summary in ordered):
        reach = np.array([summary["parameters"][axis] for summary in ordered], dtype=float)
        curve, theory = [summary["theory"][observable] for summary in ordered], "theory, at the points"
    apart = [branch_names(observable)[0] in summary["estimates"] for summary in ordered]
    ordered = [summary for summary, parted in zip(ordered, apart, strict=True) if parted == bool(branch)]
    estimates = [summary["estimates"][_named(observable, branch)] for summary in ordered]
    errors = [np.nan if estimate["standard_error"] is None else estimate["standard_error"] for estimate in estimates]
    return Series(
        label,
        np.array([summary["parameters"][axis] for summary in ordered], dtype=float),
        np.array([estimate["value"] for estimate in estimates]),
        np.array(errors),
        reach[: len(curve)],
        np.array(curve),
        *levels,
        theory,
        branch,
        np.array(
            [summary["estimates"].get(f"{COMPANION}{observable}", {}).get("value", np.nan) for summary in ordered]
        ),
        _rivals(ordered, observable),
    )


def _rivals(summaries: Sequence[Mapping[str, Any]], observable: str) -> dict[str, NDArray[np.float64]]:
    """NaN where a point has not that theory."""
    theories = [summary["theory"] or {} for summary in summaries]
    names = dict.fromkeys(name for theory in theories for name in theory if name.startswith(f"{observable}, "))
    return {
        name.removeprefix(f"{observable}, "): np.array([theory.get(name, np.nan) for theory in theories], dtype=float)
        for name in names
    }


def _named(observable: str, branch: str) -> str:
    return f"{branch}_{observable}" if branch else observable


def _theory(
    parameters: Mapping[str, Any], observable: str, axis: str, reach: NDArray[np.float64], predict: Predict
) -> tuple[list[float], tuple[float | None, float | None], str]:
    nothing: tuple[float | None, float | None] = (None, None)
    if axis == "input_dim":
        reach_of = [dict(parameters)] * len(reach)
    else:
        reach_of = [{**parameters, axis: float(value)} for value in reach]
    try:
        predictions = [predict(point) for point in reach_of]
    except ValueError:
        return [], nothing, ""
    curve = [float(prediction.get(observable, np.nan)) for prediction in predictions]
    if np.isnan(curve).all():
        return [], nothing, ""
    name, first = _name_of(parameters, predictions[0]), predictions[0]
    if "eta" not in first or observable != "bayes_error" or axis != "sample_ratio":
        return curve, nothing, name
    return curve, (float(first["sigma"][-1] - first.get("bias_variance", 0.0)), float(first["gamma"])), name


def _name_of(parameters: Mapping[str, Any], prediction: Mapping[str, Any]) -> str:
    """What a figure calls the theory of these points."""
    if any(name.startswith(OF_TEACHER) for name in parameters):
        return RENORMALISED
    if not {"sample_ratio", "depth"} <= set(parameters):
        return "theory"
    name = LINEAR_MODEL if "eta" in prediction else "as many samples as weights"
    return f"{name}, a conjecture" if prediction.get("basis") == "conjecture" else name
