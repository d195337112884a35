"""Another theory of an observable is drawn beside the first, where points have it."""

from pathlib import Path
from typing import Any

import numpy as np

from nishimori.comparison.figures import overlay_figure
from nishimori.comparison.series import build_series


def summary(width: int, **theory: float) -> dict[str, Any]:
    return {
        "parameters": {"width": width},
        "estimates": {"gain": {"value": 1.0, "standard_error": 0.1}},
        "theory": {"gain": 2.0, **theory},
        "instances": 4,
    }


def test_rivals_are_told_by_name(tmp_path: Path) -> None:
    def refuse(parameters: Any) -> Any:
        raise ValueError(f"no theory between points, at {parameters}")

    points = [summary(4, **{"gain, another": 1.5}), summary(2), summary(8, gains=7.0)]
    (line,) = build_series(points, "gain", "width", refuse)
    assert list(line.rivals) == ["another"]
    np.testing.assert_array_equal(line.rivals["another"], [np.nan, 1.5, np.nan])
    np.testing.assert_array_equal(line.curve, [2.0, 2.0, 2.0])
    overlay_figure([line], "width", "gain", "", tmp_path / "drawn.png")
    assert (tmp_path / "drawn.png").stat().st_size > 1000
