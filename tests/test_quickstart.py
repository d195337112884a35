"""The newcomer's first command: every point agrees with theory, and with no other depth's theory."""

import json
from pathlib import Path
from typing import Any

import pytest
from processes import nishimori

from nishimori.comparison.align import Agreement, agreement, residuals
from nishimori.systems import SYSTEMS

OBSERVABLE = "bayes_error"


@pytest.fixture(scope="module")
def summaries(quickstart: Path) -> list[dict[str, Any]]:
    return json.loads((quickstart / "summary.json").read_text())["points"]


def against(summaries: list[dict[str, Any]], depth_shift: int) -> Agreement:
    """The draws against the theory of networks `depth_shift` layers deeper."""
    parameters = [summary["parameters"] for summary in summaries]
    shifted = [{**point, "depth": point["depth"] + depth_shift} for point in parameters]
    predictions = [SYSTEMS["matched_teacher"].predict_at(point) for point in shifted]
    result = agreement(residuals(summaries, OBSERVABLE, predictions))
    assert result is not None
    return result


def test_every_point_is_there_and_its_verdict_passed(summaries: list[dict[str, Any]]) -> None:
    places = {(point["parameters"]["depth"], point["parameters"]["sample_ratio"]) for point in summaries}
    assert places == {(depth, ratio) for depth in (1, 2, 3) for ratio in (0.5, 1.0, 2.0, 4.0)}
    assert all(point["instances"] >= 16 for point in summaries)
    assert [failure for point in summaries for failure in point["verdict"]["failures"]] == []


def test_bayes_error_lies_on_the_line(summaries: list[dict[str, Any]]) -> None:
    result = against(summaries, depth_shift=0)
    print(result)
    assert result.points == 12
    assert result.largest_absolute_z < 4
    assert result.mean_absolute_z < 1.5
    assert result.median_relative_error <= 0.07


@pytest.mark.parametrize("depth_shift", [-1, 1])
def test_the_neighbouring_depth_fails(summaries: list[dict[str, Any]], depth_shift: int) -> None:
    """Negative control: the same draws, the theory of one layer less or more."""
    result = against(summaries, depth_shift)
    print(result)
    assert result.p_value < 1e-6


def test_the_figure_is_there_and_the_command_is_idempotent(quickstart: Path) -> None:
    assert (quickstart / "overlay.png").stat().st_size > 50_000
    done = nishimori("overlay", str(quickstart), "--json")
    assert len(json.loads(done.stdout)["points"]) == 12
