"""The experiment files that come with the repository."""

from pathlib import Path

import pytest

from nishimori.systems import SYSTEMS, load_experiment

FILES = sorted((Path(__file__).parents[2] / "scripts" / "experiments").glob("*.toml"))
CONJECTURES = {"classification", "relu", "specialisation", "structured_inputs"}
"""The others are covered by the theorem, but for students that differ from their teacher."""
SIZE_SWEPT = ("approach", "breakdown", "finite_size", "structured_inputs")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_point_has_theory_and_says_what_it_rests_on(path: Path) -> None:
    experiment = load_experiment(path)
    assert len(experiment.points) > 1
    if experiment.points[0].config.system.kind != "matched_teacher":
        for point in experiment.points:
            assert isinstance(SYSTEMS[point.config.system.kind].predict(point.config), dict)
        return
    for point in experiment.points[:: max(1, len(experiment.points) // 4)]:
        predicted = SYSTEMS[point.config.system.kind].predict(point.config)
        mismatched = "bayes_error" not in predicted
        assert not mismatched or path.stem == "mismatch"
        assert predicted["basis"] == ("conjecture" if mismatched or path.stem in CONJECTURES else "theorem")
        assert predicted["posterior_mean_error" if mismatched else "bayes_error"] > 0


def test_sizes_are_one_override_away() -> None:
    for path in FILES:
        if path.stem not in SIZE_SWEPT:
            larger = load_experiment(path, ["network.input_dim=300"])
            assert {point.config.network.input_dim for point in larger.points} == {300}


def test_the_sweep_of_specialisation_follows_its_size_by_a_second_override() -> None:
    path = next(path for path in FILES if path.stem == "specialisation")
    larger = load_experiment(path, ["network.input_dim=40", "sweep.data.sample_ratio=[1, 200]"])
    assert [point.config.data.sample_ratio for point in larger.points] == [1, 200]
