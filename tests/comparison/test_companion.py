"""The infinitely wide network at a point's own size, drawn beside the points that know it."""

from pathlib import Path

import numpy as np
from sized_points import grid

from nishimori.comparison.figures import overlay_figure
from nishimori.comparison.series import build_series
from nishimori.systems import SYSTEMS


def test_points_that_know_the_wide_network_bring_it_along(tmp_path: Path) -> None:
    points = grid()
    for point in points:
        if point["parameters"]["depth"] == 2:
            point["estimates"]["kernel_bayes_error"] = {"value": 0.1 + 1 / point["parameters"]["input_dim"]}
    predict = SYSTEMS["matched_teacher"].predict_at
    without, with_companion = build_series(points, "bayes_error", "input_dim", predict)
    assert np.isnan(without.companion).all() and len(without.companion) == len(without.x)
    np.testing.assert_allclose(with_companion.companion, 0.1 + 1 / with_companion.x)
    drawn, plain = tmp_path / "a.png", tmp_path / "b.png"
    overlay_figure([with_companion], "input_dim", "bayes_error", "", drawn)
    overlay_figure([without], "input_dim", "bayes_error", "", plain)
    assert drawn.stat().st_size > 10_000 and plain.stat().st_size > 10_000
