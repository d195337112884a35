"""What scripts/experiments/approach.toml says of the theory: its limits, the speed of the approach, the identities.

Of the results that docs/approach.json keeps; and, to be validated, of its points sampled anew, which takes the better
part of three hours on two cores.
"""

import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from processes import ENVIRONMENT, ROOT
from scipy import stats

from nishimori.comparison.approach import approaches, fit_power_law
from nishimori.comparison.extrapolation import extrapolate
from nishimori.comparison.summaries import load_summaries

LARGEST_ERRORS = {"bayes_error": 0.01, "mutual_information": 0.01, "overlap": 0.02}
"""Relative standard errors of limits."""


Points = list[dict[str, Any]]


def sampled_anew(out: Path) -> list[Path]:
    """One process and one thread an activation."""
    command = [sys.executable, "-m", "nishimori.cli", "run", str(ROOT / "scripts" / "experiments" / "approach.toml")]
    directories = [out / name for name in ("tanh", "erf")]
    running = [
        subprocess.Popen(
            [*command, "--out", str(directory), "--set", f'sweep.network.activation=["{directory.name}"]'],
            env=ENVIRONMENT | {"OMP_NUM_THREADS": "1"},
        )
        for directory in directories
    ]
    assert [process.wait() for process in running] == [0, 0]
    return directories


@pytest.fixture(scope="module", params=["kept", pytest.param("sampled anew", marks=pytest.mark.validate)])
def points(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Points:
    kept = request.param == "kept"
    return load_summaries([ROOT / "docs/approach.json"] if kept else sampled_anew(tmp_path_factory.mktemp("approach")))


@pytest.mark.parametrize("observable", LARGEST_ERRORS)
def test_limits_of_infinite_size_are_those_of_theory(observable: str, points: Points) -> None:
    rows, left_out = extrapolate(points, observable)
    assert len(rows) == 12 and not left_out
    for row in rows:
        assert set(row.sizes) >= {50, 100, 200}
        assert abs(row.z) < 3, (row.label, row.linear.limit, row.theory)
        assert row.linear.standard_error < LARGEST_ERRORS[observable] * row.linear.limit
        assert row.linear.p_value > 0.01 / len(rows)


@pytest.mark.parametrize("observable", ["bayes_error", "mutual_information"])
def test_theory_is_approached_as_the_inverse_of_the_dimension(observable: str, points: Points) -> None:
    """And not as its square root, which the bound allows: that is 0.5, far outside."""
    law = fit_power_law(approaches(points, observable))
    low, high = law.interval
    assert low is not None and high is not None
    assert low - (high - low) < 1 < high + (high - low)
    assert low - 3 * (high - low) > 0.5
    assert law.p_value > 0.01


def test_the_information_is_measured_to_half_a_thousandth(points: Points) -> None:
    errors = [
        point["estimates"]["mutual_information"]["standard_error"]
        for point in points
        if point["information"]["method"] == "immse"
    ]
    assert len(errors) >= 36 and max(errors) <= 5e-4


def test_the_two_methods_agree(points: Points) -> None:
    """Between bounds and as an integral, at d = 50 and 100; half the gap of the bounds is in the error."""
    pairs: dict[str, dict[str, Any]] = defaultdict(dict)
    for point in points:
        pairs[str(point["parameters"])][point["information"]["method"]] = point["estimates"]["mutual_information"]
    z = [
        (one["value"] - other["value"]) / (one["standard_error"] ** 2 + other["standard_error"] ** 2) ** 0.5
        for one, other in (tuple(pair.values()) for pair in pairs.values() if len(pair) == 2)
    ]
    assert len(z) == 24 and max(map(abs, z)) < 3.5


def test_the_identities_hold_as_often_as_chance_has_it(points: Points) -> None:
    """z of every exact check, a value a point, against the standard normal (Kolmogorov and Smirnov, Bonferroni)."""
    by_check: dict[str, list[float]] = defaultdict(list)
    for point in points:
        for name, check in point["checks"].items():
            if check["exact"]:
                by_check[name].append(check["z"])
    p_values = {name: float(stats.kstest(values, "norm").pvalue) for name, values in by_check.items()}
    assert len(p_values) >= 15
    assert min(p_values.values()) > 0.01 / len(p_values), p_values
