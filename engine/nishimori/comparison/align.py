"""The join of measurement and theory on names and parameters."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scipy import special

from nishimori.measurement.student import student_to_normal


@dataclass(frozen=True)
class Residual:
    """One observable at one point; `z` is Student's t with instances - 1 degrees of freedom mapped to a normal."""

    identity: str
    parameters: dict[str, Any]
    observable: str
    value: float
    standard_error: float
    prediction: float
    z: float


def z_score(value: float, standard_error: float, prediction: float, instances: int) -> float:
    """NaN where there is no error bar."""
    if not standard_error > 0:
        return math.nan
    return student_to_normal((value - prediction) / standard_error, instances - 1)


def z_scores(
    estimates: Mapping[str, Mapping[str, float]], predicted: Mapping[str, Any], instances: int
) -> dict[str, float]:
    """z of every estimate that has a prediction of the same name."""
    return {
        name: z_score(estimate["value"], estimate["standard_error"], predicted[name], instances)
        for name, estimate in estimates.items()
        if name in predicted
    }


def residuals(
    summaries: Iterable[Mapping[str, Any]],
    observable: str,
    predictions: Sequence[Mapping[str, Any] | None] | None = None,
) -> list[Residual]:
    """The points that have both an estimate and a prediction of `observable`.

    `predictions` replaces, point by point, the theory that the summaries carry; without it z is theirs, which is of
    paired differences where theory speaks of every instance.
    """
    rows = []
    for number, summary in enumerate(summaries):
        theory = summary["theory"] if predictions is None else predictions[number]
        estimate = summary["estimates"].get(observable)
        if estimate is None or not theory or observable not in theory:
            continue
        value, error, prediction = estimate["value"], estimate["standard_error"], theory[observable]
        error = math.nan if error is None else error
        stored = summary["z_scores"].get(observable) if predictions is None else None
        z = z_score(value, error, prediction, summary["instances"]) if stored is None or not error > 0 else stored
        rows.append(Residual(summary["id"], summary["parameters"], observable, value, error, prediction, z))
    return rows


@dataclass(frozen=True)
class Agreement:
    """All points together: sum of z^2, the probability of a larger one, and the sizes of the z.

    The probability takes the points for independent: with `data.common` they share teachers and it is too small.
    """

    points: int
    chi_square: float
    p_value: float
    mean_absolute_z: float
    largest_absolute_z: float
    median_relative_error: float


def agreement(rows: Sequence[Residual]) -> Agreement | None:
    """Pooled over `rows`, None where there is none."""
    rows = [row for row in rows if not math.isnan(row.z)]
    if not rows:
        return None
    sizes = [abs(row.z) for row in rows]
    total = sum(size**2 for size in sizes)
    relative = sorted(row.standard_error / abs(row.value) for row in rows)
    middle = (relative[(len(rows) - 1) // 2] + relative[len(rows) // 2]) / 2
    tail = float(special.chdtrc(len(rows), total))
    return Agreement(len(rows), total, tail, sum(sizes) / len(rows), max(sizes), middle)
