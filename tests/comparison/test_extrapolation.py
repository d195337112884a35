"""Groups of points that differ in size alone, their limits beside theory, and the command that shows them."""

import json
import math
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sized_points import SIZES, SLOPES, grid, summary, write

from nishimori.cli import main
from nishimori.comparison.extrapolation import extrapolate
from nishimori.comparison.extrapolation_table import extrapolation_table
from nishimori.description.errors import BadInput
from nishimori.description.experiment import expand
from nishimori.systems import SYSTEMS

ROOT = Path(__file__).parents[2]


def test_every_group_has_its_law() -> None:
    rows, left_out = extrapolate(grid(), "bayes_error")
    assert [row.label for row in rows] == [{"depth": 1}, {"depth": 2}] and not left_out
    for row in rows:
        assert row.sizes == SIZES
        assert row.theory is not None
        assert row.linear.limit == pytest.approx(row.theory, rel=1e-9)
        assert row.linear.slope == pytest.approx(SLOPES[row.label["depth"]], rel=1e-9)
        assert row.z == pytest.approx(0, abs=1e-6)
        assert row.power is not None and row.power.limit == pytest.approx(row.theory, rel=1e-3)


def test_z_is_normal_over_seeds_and_not_with_another_theory() -> None:
    generator = np.random.default_rng(7)
    right, wrong = [], []
    for _ in range(400):
        points = grid((24, 36, 72))
        for point in points:
            estimate = point["estimates"]["bayes_error"]
            estimate["value"] += estimate["standard_error"] * generator.standard_normal()
        right += [row.z for row in extrapolate(points, "bayes_error")[0]]
        for point in points:
            point["theory"]["bayes_error"] += 0.01
        wrong += [row.z for row in extrapolate(points, "bayes_error")[0]]
    assert stats.kstest(right, "norm").pvalue > 0.001
    assert np.mean(wrong) < -2


def test_a_ratio_that_was_rounded_makes_a_group_of_its_own() -> None:
    odd = summary(1, 25, sample_ratio=52 / 25)
    rows, left_out = extrapolate([*grid(), odd], "bayes_error")
    assert all(row.sizes == SIZES for row in rows)
    assert left_out == ["tanh L=1 d=25 alpha=2.08 Delta=0.1: no other size goes with it"]


def test_another_readout_makes_a_group_of_its_own() -> None:
    fixed = [summary(1, size, value=0.3) for size in SIZES[:2]]
    for point in fixed:
        point["parameters"]["readout"], point["theory"] = "fixed", None
    rows, _ = extrapolate([*grid(), *fixed], "bayes_error")
    assert [row.label["readout"] for row in rows] == ["gaussian", "fixed", "gaussian"]
    assert rows[1].theory is None and math.isnan(rows[1].z) and rows[1].linear.limit == pytest.approx(0.3)


@pytest.mark.parametrize("change", [{"instances": 1}, {"estimates": {}}])
def test_points_without_an_error_bar_are_named_and_left_out(change: dict[str, Any]) -> None:
    rows, left_out = extrapolate([{**summary(1, 96), **change}, *grid()], "bayes_error")
    assert all(row.sizes == SIZES for row in rows)
    assert left_out == ["tanh L=1 d=96 alpha=2 Delta=0.1: no estimate with an error bar over teachers"]


def test_the_experiment_of_finite_size_makes_groups_of_four_sizes() -> None:
    document = tomllib.loads((ROOT / "scripts/experiments/finite_size.toml").read_text(encoding="utf-8"))
    system = SYSTEMS["matched_teacher"]
    parameters = [system.parameters(point.config) for point in expand(document).points]
    rows, left_out = extrapolate(
        [{**summary(one["depth"], one["input_dim"]), "parameters": one} for one in parameters], "bayes_error"
    )
    assert [len(row.sizes) for row in rows] == [4, 4] and not left_out


def test_a_size_measured_twice_counts_once() -> None:
    twice = [summary(1, 24), {**summary(1, 24), "id": "again"}]
    with pytest.raises(BadInput, match="sweep it"):
        extrapolate(twice, "bayes_error")
    (row,), _ = extrapolate([*twice, summary(1, 48)], "bayes_error")
    assert row.sizes == (24, 24, 48) and row.linear.degrees_of_freedom == 1


def test_the_table_says_what_was_fitted() -> None:
    rows, _ = extrapolate([*grid(), *(summary(1, size, sample_ratio=4.0) for size in (24, 48))], "bayes_error")
    _, _, first, second, third = extrapolation_table(rows, "bayes_error").splitlines()
    theory = SYSTEMS["matched_teacher"].predict_at(summary(1, 24)["parameters"])["bayes_error"]
    assert first.split()[:3] == ["L=1", "alpha=2.0", "24,36,48,72"]
    assert f"{theory:.4f}" in first and "0.00" in first
    assert second.split()[:3] == ["L=1", "alpha=4.0", "24,48"]
    assert second.split()[-4:] == ["-"] * 4
    assert third.split()[0] == "L=2"


def test_the_table_tells_a_power_from_noise() -> None:
    noise = extrapolate([summary(1, size, value=0.1) for size in SIZES], "bayes_error")[0]
    steep = extrapolate([summary(1, size, value=0.1 + 20 / size) for size in SIZES], "bayes_error")[0]
    assert "undetermined" in extrapolation_table(noise, "bayes_error")
    (law,) = [row.power for row in steep if row.power]
    assert law.determined and f"1.00 [{law.power_interval[0]:.2f}, " in extrapolation_table(steep, "bayes_error")


def test_the_command_prints_draws_and_answers_in_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = write(tmp_path / "out", [*grid(), summary(1, 24, sample_ratio=4.0)])
    assert main(["overlay", str(out), "--extrapolate"]) == 0
    printed = capsys.readouterr().out
    assert "bayes_error at 1/d = 0" in printed and "every point passed" in printed
    assert "not extrapolated: tanh L=1 d=24 alpha=4 Delta=0.1" in printed
    assert (out / "extrapolation.png").stat().st_size > 10_000
    assert not (out / "overlay.png").exists()
    assert main(["overlay", str(out), "--extrapolate", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert len(document["points"]) == 9 and len(document["left_out"]) == 1
    first = document["extrapolations"][0]
    assert first["linear"]["limit"] == pytest.approx(first["theory"])
    assert first["sizes"] == list(SIZES)


def test_one_size_is_refused_in_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = write(tmp_path / "out", grid((24,)))
    assert main(["overlay", str(out), "--extrapolate"]) == 2
    assert "sweep it over two values or more" in capsys.readouterr().err
    assert not (out / "extrapolation.png").exists()
    assert main(["overlay", str(out), "--extrapolate", "--observable", "bayes_eror"]) == 2
    assert "use one of bayes_error" in capsys.readouterr().err
