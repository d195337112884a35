"""Are the error bars honest: the quickstart over twenty seeds (about half an hour on two cores)."""

import json
from pathlib import Path

import numpy as np
import pytest
from processes import ROOT, nishimori
from scipy import stats

SEEDS = 20
EXPERIMENT = ROOT / "scripts" / "experiments" / "quickstart.toml"


@pytest.mark.validate
def test_intervals_cover_the_pooled_mean(tmp_path: Path) -> None:
    """95 % intervals (Student t) of the Bayes error cover the mean over all seeds in 88 to 99 % of points."""
    runs = [_estimates(seed, tmp_path / str(seed)) for seed in range(SEEDS)]
    values, errors = np.array([run[0] for run in runs]), np.array([run[1] for run in runs])
    reach = stats.t.ppf(0.975, runs[0][2] - 1)
    covered = np.abs(values - values.mean(axis=0)) < reach * errors
    print(f"coverage {covered.mean():.4f} over {covered.size} intervals; by point {covered.mean(axis=0).round(2)}")
    print(f"pooled mean {values.mean(axis=0).round(4)}")
    print(f"spread over error {(values.std(axis=0, ddof=1) / errors.mean(axis=0)).round(2)}")
    assert 0.88 < covered.mean() < 0.99
    assert sum(run[3] for run in runs) >= 0.97 * covered.size


def _estimates(seed: int, out: Path) -> tuple[list[float], list[float], int, int]:
    """At every point, in the order of the grid: Bayes error, standard error; instances a point, verdicts passed."""
    done = nishimori(
        *("run", str(EXPERIMENT), "--out", str(out), "--json"),
        *("--set", f"data.seed={seed}", "--set", f"run.seed={seed}"),
    )
    assert done.returncode in (0, 3), done.stderr
    points = json.loads(done.stdout)["points"]
    estimates = [point["estimates"]["bayes_error"] for point in points]
    passed = sum(point["verdict"]["passed"] for point in points)
    sizes = [abs(point["z_scores"]["bayes_error"]) for point in points]
    print(
        f"seed {seed}: {passed}/{len(points)} verdicts passed, mean |z| {np.mean(sizes):.2f}, largest {max(sizes):.2f}"
    )
    return (
        [estimate["value"] for estimate in estimates],
        [estimate["standard_error"] for estimate in estimates],
        points[0]["instances"],
        passed,
    )
