"""The power by which measurements approach theory: on exact laws, over seeds, and by the command."""

import json
from pathlib import Path

import numpy as np
import pytest
from sized_points import grid, summary, write

from nishimori.cli import main
from nishimori.comparison.approach import Approach, approaches, fit_power_law
from nishimori.comparison.approach_table import approach_table
from nishimori.description.errors import BadInput

SIZES = np.array([50.0, 100.0, 200.0, 200.0])


def law(amplitude: float, power: float, error: float = 1e-4) -> Approach:
    return Approach({}, SIZES, amplitude * SIZES**-power, np.full(len(SIZES), error))


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_an_exact_law_is_recovered(power: float) -> None:
    for groups in ([law(-0.3, power)], [law(-0.3, power), law(2.0, power, 1e-3)]):
        found = fit_power_law(groups)
        assert found.power == pytest.approx(power, rel=1e-3)
        assert found.amplitudes[0] == pytest.approx(-0.3, rel=1e-2)
        assert found.chi_square == pytest.approx(0, abs=1e-4)
        assert found.degrees_of_freedom == 4 * len(groups) - len(groups) - 1


def test_intervals_cover_and_a_wrong_power_is_seen_in_chi_square() -> None:
    """Over 600 seeds with errors of a tenth of the largest difference: 68 % of intervals, and chi-square as it is."""
    generator = np.random.default_rng(3)
    covered, chi_squares, wrong = [], [], []
    for _ in range(600):
        noise = generator.normal(0, 5e-4, (2, 4))
        groups = [
            Approach({}, SIZES, amplitude / SIZES + own, np.full(4, 5e-4))
            for amplitude, own in zip((-0.25, -0.35), noise, strict=True)
        ]
        found = fit_power_law(groups)
        low, high = found.interval
        covered.append((low is None or low < 1) and (high is None or high > 1))
        chi_squares.append(found.chi_square)
        wrong.append((low is None or low < 0.5) and (high is None or high > 0.5))
    deviation = (0.683 * 0.317 / 600) ** 0.5
    assert abs(np.mean(covered) - 0.683) < 3.5 * deviation
    assert np.mean(chi_squares) == pytest.approx(5, abs=3.5 * (10 / 600) ** 0.5)
    assert np.mean(wrong) < 0.1


def test_differences_that_are_noise_determine_no_power() -> None:
    low, high = fit_power_law([Approach({}, SIZES, np.array([1e-4, -2e-4, 1e-4, 0]), np.full(4, 1e-3))]).interval
    assert low is None and high is None


def test_points_of_one_size_are_pooled_by_their_weights() -> None:
    group = Approach({}, np.array([50.0, 50.0, 100.0]), np.array([1.0, 4.0, 3.0]), np.array([1.0, 2.0, 0.5]))
    sizes, means, errors = group.pooled()
    np.testing.assert_array_equal(sizes, [50, 100])
    np.testing.assert_allclose(means, [1.6, 3.0])
    np.testing.assert_allclose(errors, [0.8**0.5, 0.5])


def test_groups_are_those_of_size_alone() -> None:
    groups = approaches(grid(), "bayes_error")
    assert [group.label for group in groups] == [{"depth": 1}, {"depth": 2}]
    np.testing.assert_allclose(groups[0].differences * groups[0].sizes, -0.17, rtol=1e-9)
    text = approach_table(groups, "bayes_error")
    assert "all together" in text and "bayes_error - theory at d" in text
    with pytest.raises(BadInput, match="network.input_dim alone"):
        approaches([summary(1, 24), summary(2, 36)], "bayes_error")


def test_the_command_draws_and_prints_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = write(tmp_path / "run", grid())
    assert main(["overlay", str(out), "--approach"]) == 0
    assert "all together" in capsys.readouterr().out and (out / "approach.png").stat().st_size > 10_000
    assert main(["overlay", str(out), "--approach", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [row["power"] for row in document["approaches"]] == [pytest.approx(1, rel=1e-3)] * 2
    assert document["together"]["degrees_of_freedom"] == 5
    assert main(["overlay", str(out), "--approach", "--extrapolate"]) == 2
    assert "ask for one of them" in capsys.readouterr().err
