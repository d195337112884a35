"""Measurements at several input dimensions, extrapolated to infinite size and set beside theory."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nishimori.comparison.align import z_score
from nishimori.comparison.finite_size import (
    LEAST_SIZES,
    LEAST_SIZES_FOR_POWER,
    LimitFit,
    PowerFit,
    SizedPoints,
    fit_limit,
    fit_power,
)
from nishimori.comparison.series import grouped
from nishimori.comparison.tables import describe
from nishimori.description.errors import BadInput


@dataclass(frozen=True)
class Extrapolation:
    """An observable of points that differ in size alone, by increasing size, and the limit they lead to.

    `label` is what tells this group from the others, `linear` the fit of A + B/d, `power` that of A + B/d^g where there
    are at least four sizes. `theory` is the prediction for infinite size and `z` compares the limit of `linear` with
    it; None and NaN where theory is silent.
    """

    label: dict[str, Any]
    sizes: tuple[int, ...]
    values: tuple[float, ...]
    errors: tuple[float, ...]
    linear: LimitFit
    power: PowerFit | None
    theory: float | None
    z: float


Limits = tuple[list[Extrapolation], list[str]]
"""What was extrapolated, and what was not, each with the reason."""


def extrapolate(summaries: Sequence[Mapping[str, Any]], observable: str) -> Limits:
    """Every group of points that differ in size alone, and the points left out, each with the reason. Raises BadInput
    where no group holds two sizes.

    The ratios n/d and d_l/d that make a group are the realised ones, exactly: where n or a width was rounded, the
    limit of the points would be another.
    """
    usable = [summary for summary in summaries if _has_error_bar(summary, observable)]
    left_out = [_left_out(one, "no estimate with an error bar over teachers") for one in summaries if one not in usable]
    found = []
    for label, points in grouped(usable, observable, "input_dim"):
        if len({point["parameters"]["input_dim"] for point in points}) < LEAST_SIZES:
            left_out += [_left_out(point, "no other size goes with it") for point in points]
        else:
            found.append(_extrapolation(label, points, observable))
    if not found:
        raise BadInput(
            f"no two points with an error bar of {observable!r} differ in network.input_dim alone; sweep it over "
            "two values or more at which data.sample_ratio and network.width_ratios give whole numbers"
        )
    return found, left_out


def _left_out(summary: Mapping[str, Any], reason: str) -> str:
    return f"{describe(summary['parameters'])}: {reason}"


def _has_error_bar(summary: Mapping[str, Any], observable: str) -> bool:
    error = summary["estimates"].get(observable, {}).get("standard_error")
    return error is not None and math.isfinite(error) and error > 0 and summary["instances"] > 1


def _extrapolation(label: dict[str, Any], points: Sequence[Mapping[str, Any]], observable: str) -> Extrapolation:
    ordered = sorted(points, key=lambda point: point["parameters"]["input_dim"])
    sizes = [point["parameters"]["input_dim"] for point in ordered]
    estimates = [point["estimates"][observable] for point in ordered]
    values, errors = ([estimate[key] for estimate in estimates] for key in ("value", "standard_error"))
    measured = SizedPoints(
        np.array(sizes, dtype=float), np.array(values), np.array(errors), [point["instances"] for point in ordered]
    )
    linear = fit_limit(measured)
    theory = next((point["theory"][observable] for point in ordered if observable in (point["theory"] or {})), None)
    return Extrapolation(
        label=label,
        sizes=tuple(sizes),
        values=tuple(values),
        errors=tuple(errors),
        linear=linear,
        power=fit_power(measured) if measured.distinct_sizes >= LEAST_SIZES_FOR_POWER else None,
        theory=theory,
        z=math.nan if theory is None else z_score(linear.limit, linear.standard_error, theory, linear.instances),
    )
