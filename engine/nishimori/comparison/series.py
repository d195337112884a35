"""Which points make a line: one axis, and a series for every combination of the other varying parameters."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

AXIS_PREFERENCE = ("sample_ratio", "noise_variance", "input_dim")
CURVE_POINTS = 200
QUADRATURE_POINTS = 50
"""Of a curve where some channel has no closed form, and every point takes its time."""

Predict = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""Theory at any parameters; raises ValueError where there is none."""


@dataclass(frozen=True, eq=False)
class Series:
    """Points with error bars (one standard error) and, where theory speaks, its curve and its limits.

    `prior_level` and `plateau` are the predictions for no data and for infinitely many samples per dimension.
    """

    label: dict[str, Any]
    x: NDArray[np.float64]
    value: NDArray[np.float64]
    error: NDArray[np.float64]
    curve_x: NDArray[np.float64]
    curve: NDArray[np.float64]
    prior_level: float | None
    plateau: float | None


def choose_axis(summaries: Sequence[Mapping[str, Any]]) -> str:
    """The first preferred parameter that takes more than one value."""
    for name in AXIS_PREFERENCE:
        if len({summary["parameters"][name] for summary in summaries}) > 1:
            return name
    return AXIS_PREFERENCE[0]


def build_series(summaries: Sequence[Mapping[str, Any]], observable: str, axis: str, predict: Predict) -> list[Series]:
    """Group points into series, ordered by their labels. Points without this estimate are left out."""
    points = [summary for summary in summaries if observable in summary["estimates"]]
    varying = _varying([summary["parameters"] for summary in points], axis)
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for summary in points:
        label = {name: _value(summary["parameters"], name) for name in varying}
        groups.setdefault(json.dumps(label), []).append(summary)
    closed = all(_value(summary["parameters"], "channel") == "gaussian" for summary in points)
    reach = _reach([summary["parameters"][axis] for summary in points], CURVE_POINTS if closed else QUADRATURE_POINTS)
    keys = sorted(groups, key=lambda key: list(json.loads(key).values()))
    return [_series(json.loads(key), groups[key], observable, axis, reach, predict) for key in keys]


def _varying(parameters: Sequence[Mapping[str, Any]], axis: str) -> list[str]:
    """Parameters that tell series apart; width ratios only where the depth does not say them already."""
    names = [
        name
        for name in {name: None for point in parameters for name in point}
        if name != axis and len({json.dumps(_value(point, name)) for point in parameters}) > 1
    ]
    ordinary = all(set(point["width_ratios"]) <= {1.0} for point in parameters)
    return [name for name in names if not (name == "width_ratios" and ordinary)]


def _value(parameters: Mapping[str, Any], name: str) -> Any:
    """Readout and channel go without saying where they are Gaussian."""
    return parameters.get(name, "gaussian")


def _reach(values: Sequence[float], count: int) -> NDArray[np.float64]:
    low, high = min(values, default=1.0), max(values, default=1.0)
    return np.geomspace(low / 1.35, high * 1.35, count)


def _series(
    label: dict[str, Any],
    summaries: Sequence[Mapping[str, Any]],
    observable: str,
    axis: str,
    reach: NDArray[np.float64],
    predict: Predict,
) -> Series:
    ordered = sorted(summaries, key=lambda summary: summary["parameters"][axis])
    estimates = [summary["estimates"][observable] for summary in ordered]
    errors = [np.nan if estimate["standard_error"] is None else estimate["standard_error"] for estimate in estimates]
    curve, levels = _theory(ordered[0]["parameters"], observable, axis, reach, predict)
    return Series(
        label,
        np.array([summary["parameters"][axis] for summary in ordered], dtype=float),
        np.array([estimate["value"] for estimate in estimates]),
        np.array(errors),
        reach[: len(curve)],
        np.array(curve),
        *levels,
    )


def _theory(
    parameters: Mapping[str, Any], observable: str, axis: str, reach: NDArray[np.float64], predict: Predict
) -> tuple[list[float], tuple[float | None, float | None]]:
    nothing: tuple[float | None, float | None] = (None, None)
    if axis == "input_dim":
        reach_of = [dict(parameters)] * len(reach)
    else:
        reach_of = [{**parameters, axis: float(value)} for value in reach]
    try:
        predictions = [predict(point) for point in reach_of]
    except ValueError:
        return [], nothing
    if not predictions or observable not in predictions[0]:
        return [], nothing
    curve = [float(prediction[observable]) for prediction in predictions]
    if observable != "bayes_error" or axis != "sample_ratio":
        return curve, nothing
    return curve, (float(predictions[0]["sigma"][-1]), float(predictions[0]["gamma"]))
