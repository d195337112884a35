"""The join of measured and predicted, its tables and its figure."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from nishimori.comparison.align import agreement, residuals, z_score, z_scores
from nishimori.comparison.figures import label_text, overlay_figure
from nishimori.comparison.series import build_series, choose_axis
from nishimori.comparison.tables import agreement_line, comparison_table, table, verdict_table, with_error
from nishimori.systems import SYSTEMS


def summary(depth: int, sample_ratio: float, value: float, error: float | None = 0.01) -> dict[str, Any]:
    parameters = {
        "activation": "tanh",
        "depth": depth,
        "width_ratios": [1.0] * depth,
        "input_dim": 10,
        "sample_ratio": sample_ratio,
        "noise_variance": 0.1,
    }
    estimates = {"bayes_error": {"value": value, "standard_error": error}}
    theory = SYSTEMS["matched_teacher"].predict_at(parameters)
    return {
        "schema": 1,
        "id": f"{depth}-{sample_ratio}",
        "system": "matched_teacher",
        "parameters": parameters,
        "instances": 16,
        "estimates": estimates,
        "theory": theory,
        "z_scores": {"bayes_error": 0.0},
        "diagnostics": {"acceptance": 0.8},
        "verdict": {"passed": True, "failures": []},
    }


GRID = [summary(depth, ratio, 0.2 / depth) for depth in (1, 2) for ratio in (0.5, 2.0)]


def test_z_has_the_tail_probability_of_student() -> None:
    z = z_score(1.3, 0.1, 1.0, instances=6)
    assert stats.norm.sf(z) == pytest.approx(stats.t.sf(3.0, 5), rel=1e-12)
    assert math.isnan(z_score(1.3, math.nan, 1.0, instances=6))


def test_join_on_names() -> None:
    estimates = {"overlap": {"value": 1.0, "standard_error": 0.5}, "virial": {"value": 1.0, "standard_error": 0.5}}
    assert set(z_scores(estimates, {"overlap": 0.5, "eta": 1.0}, 10)) == {"overlap"}


def test_points_without_theory_or_error_bar_are_left_out() -> None:
    without = {**GRID[0], "theory": None}
    bare = summary(1, 0.5, 0.2, error=None)
    rows = residuals([without, bare, GRID[1]], "bayes_error")
    assert len(rows) == 2
    result = agreement(rows)
    assert result is not None and result.points == 1
    assert agreement([]) is None
    assert "no point" in agreement_line(None, "bayes_error")


def test_chi_square_of_true_normals_is_uniform_and_of_shifted_ones_is_not() -> None:
    generator = np.random.default_rng(2)
    right, wrong = [], []
    for shift, out in ((0.0, right), (3.0, wrong)):
        for _ in range(200):
            rows = residuals(GRID, "bayes_error")
            drawn = [
                row.__class__(**{**row.__dict__, "z": shift + z})
                for row, z in zip(rows, generator.standard_normal(len(rows)), strict=True)
            ]
            result = agreement(drawn)
            assert result is not None
            out.append(result.p_value)
    assert stats.kstest(right, "uniform").pvalue > 0.001
    assert np.median(wrong) < 1e-6


def test_series_group_by_what_varies() -> None:
    assert choose_axis(GRID) == "sample_ratio"
    series = build_series(GRID, "bayes_error", "sample_ratio", SYSTEMS["matched_teacher"].predict_at)
    assert [line.label for line in series] == [{"depth": 1}, {"depth": 2}]
    for line in series:
        assert list(line.x) == [0.5, 2.0]
        assert line.plateau is not None and line.prior_level is not None
        assert line.plateau < line.curve.min() < line.curve.max() < line.prior_level


def test_curve_passes_through_the_points_of_theory() -> None:
    (line,) = build_series(GRID[:2], "bayes_error", "sample_ratio", SYSTEMS["matched_teacher"].predict_at)
    for point in GRID[:2]:
        x = point["parameters"]["sample_ratio"]
        assert np.interp(x, line.curve_x, line.curve) == pytest.approx(point["theory"]["bayes_error"], rel=1e-4)


def test_figure_is_drawn_without_theory_too(tmp_path: Path) -> None:
    def refuse(parameters: object) -> dict[str, float]:
        raise ValueError("no theory")

    series = build_series(GRID, "bayes_error", "sample_ratio", refuse)
    overlay_figure(series, "sample_ratio", "bayes_error", "title", tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (0.10864, 0.0023, "0.1086(23)"),
        (12.3456, 1.24, "12.3(12)"),
        (0.5, None, "0.5"),
        (0.5, math.nan, "0.5"),
        (151.0, 23.0, "151(23)"),
    ],
)
def test_error_in_the_last_digits(value: float, error: float | None, text: str) -> None:
    assert with_error(value, error) == text


def test_tables_align() -> None:
    lines = table(["a", "long name"], [["1", "2"], ["333", "4"]]).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert "passed" in comparison_table(GRID, "bayes_error")


def test_the_verdict_table_shows_the_worst_of_every_criterion() -> None:
    """A value that could not be computed, null in the file, is worse than any."""

    def criterion(name: str, value: float | None, failure: str = "") -> dict[str, Any]:
        return {"name": name, "subject": "overlap", "value": value, "bound": 10.0, "failure": failure}

    criteria = [
        *(criterion("r_hat", value) for value in (1.01, 1.04, 1.02)),
        *(criterion("bulk_sample_size", value) for value in (900.0, 350.0)),
        *(criterion("tail_sample_size", value) for value in (400.0, None)),
        criterion("p_value", 1e-7, "exact check failed"),
        criterion("warmup", 30.0),
    ]
    parameters = {"activation": "tanh", "depth": 1, "input_dim": 9, "sample_ratio": 2.0, "noise_variance": 0.1}
    verdict = {"passed": False, "failures": ["exact check failed"], "criteria": criteria}
    old = {"passed": True, "failures": []}
    rows = [{"parameters": parameters, "verdict": one} for one in (verdict, old)]
    _, _, row, older = verdict_table(rows).splitlines()
    assert row.split()[5:] == ["1.0e-07", "-", "1.040", "-", "-", "350", "?", "-", "-", "30/10", "1", "of", "9"]
    assert older.split()[-3:] == ["0", "of", "0"]


def test_a_conjecture_is_named_and_its_bias_is_in_no_level() -> None:
    points = [summary(1, ratio, 0.2) for ratio in (0.5, 2.0)]
    for point in points:
        point["parameters"]["activation"] = "relu"
    predict = SYSTEMS["matched_teacher"].predict_at
    (line,) = build_series(points, "bayes_error", "sample_ratio", predict)
    assert line.theory == "equivalent linear model, a conjecture"
    theory = predict(points[0]["parameters"])
    assert line.prior_level == pytest.approx(theory["eta"] ** 2 + theory["gamma"], rel=1e-12)
    assert line.curve.max() < line.prior_level < theory["sigma"][-1] - 0.1
    (proved,) = build_series(GRID[:2], "bayes_error", "sample_ratio", predict)
    assert proved.theory == "equivalent linear model"


def test_labels_of_series() -> None:
    assert label_text({"depth": 2, "width_ratios": [0.5, 2.0]}) == "$L = 2$, $d_l/d = 0.5, 2$"
    assert label_text({"activation": "erf", "channel": "probit"}) == "erf, probit"
    assert label_text({}) == "measured"
