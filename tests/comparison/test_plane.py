"""One curve against another on the same axis: what is drawn where, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nishimori.comparison.figures import plane_figure
from nishimori.comparison.plane import on_one_axis, parametric, plane_table
from nishimori.description.errors import BadInput


def curve(axis: str, at: list[float], value: list[float], **told: Any) -> dict[str, Any]:
    return {"axis": axis, "at": at, "value": value, "standard_error": [0.1 * one for one in value], **told}


CURVES = {
    "rise": curve("time", [1.0, 2.0, 4.0], [2.0, 3.0, 5.0], theory=[2.5, 3.5, 5.5], z=[-1.0, 0.0, 1.0]),
    "fall": curve("time", [2.0, 4.0, 8.0], [30.0, 20.0, 10.0], theory=[31.0, 21.0, 11.0], z=[0.5, 0.25, 0.0]),
    "most": curve("time", [1.0, 2.0, 4.0, 8.0], [9.0, 8.0, 7.0, 6.0]),
    "late": curve("time", [16.0], [1.0]),
    "other": curve("entry", [2.0, 4.0], [1.0, 1.0]),
}


def point(temperature: float, **curves: Any) -> dict[str, Any]:
    return {"parameters": {"temperature": temperature}, "system": "coin", "curves": curves or CURVES}


def test_places_that_both_have_are_kept() -> None:
    """And points without one of the curves are left out."""
    (found,) = on_one_axis([point(1.0), point(2.0, rise=CURVES["rise"])], ["fall", "rise"])
    assert list(found["curves"]) == ["fall", "rise"]
    assert found["curves"]["fall"]["value"] == [30.0, 20.0] and found["curves"]["rise"]["value"] == [3.0, 5.0]
    assert found["curves"]["fall"]["at"] == found["curves"]["rise"]["at"] == [2.0, 4.0]
    assert CURVES["fall"]["value"] == [30.0, 20.0, 10.0]
    header, _, first, second = plane_table([found]).splitlines()
    assert header.split() == ["time", "fall", "theory", "z", "rise", "theory", "z"]
    assert first.split() == ["2", "30.0(30)", "31.00000", "+0.50", "3.00(30)", "3.50000", "+0.00"]
    assert second.split()[:2] == ["4", "20.0(20)"]


def test_lines_are_followed_where_both_have_them_at_the_same_places() -> None:
    lines = [{"theory": [0.0], "line": [[1.0, 2.0], values]} for values in ([5.0, 6.0], [7.0, 8.0])]
    assert parametric(*lines) == ([5.0, 6.0], [7.0, 8.0])
    apart = {**lines[1], "line": [[1.0, 3.0], [7.0, 8.0]], "theory": [9.0]}
    assert parametric(lines[0], apart) == ([0.0], [9.0]) and parametric(CURVES["most"], lines[0]) is None


def test_what_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Points with bars both ways, the line of theory, and a bound without theory dashed through its own values."""
    from matplotlib.container import ErrorbarContainer
    from matplotlib.figure import Figure

    drawn: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda self, *_, **__: drawn.append(self))
    names = ["fall", "rise", "most"]
    plane_figure(on_one_axis([point(1.0), point(2.0)], names), names, "", tmp_path / "drawn.png")
    (axes,) = drawn[0].axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("rise", "fall")
    for container in axes.containers:
        assert isinstance(container, ErrorbarContainer)
        points, _, (across, along) = container.lines
        np.testing.assert_allclose(np.asarray(points.get_xydata()), [[3.0, 30.0], [5.0, 20.0]])
        np.testing.assert_allclose(across.get_segments()[0], [[2.7, 30.0], [3.3, 30.0]])
        np.testing.assert_allclose(along.get_segments()[0], [[3.0, 27.0], [3.0, 33.0]])
    told = [(line.get_linestyle(), np.asarray(line.get_xydata()).tolist()) for line in axes.lines]
    assert told.count(("-", [[3.5, 31.0], [5.5, 21.0]])) == 2
    assert told.count(("--", [[3.0, 8.0], [5.0, 7.0]])) == 2
    legend = axes.get_legend()
    assert legend and [text.get_text() for text in legend.get_texts()] == [
        *("temperature 1", "temperature 2"),
        *("theory", "most"),
    ]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["rise", "rises"], "'rises' is no curve of these points; use one of fall, late, most, other, rise"),
        (["rise", "rise"], "'rise' is asked for twice; lay another curve against it"),
        (["rise", "other"], r"no point has rise \(along time\) and other \(along entry\) at the same places; give"),
        (["rise", "late"], "at the same places; give curves of one axis"),
    ],
)
def test_what_has_no_plane_is_a_sentence(names: list[str], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        on_one_axis([point(1.0)], names)


def test_points_without_curves_are_a_sentence() -> None:
    with pytest.raises(BadInput, match="points of coin have no curves; leave out --against"):
        on_one_axis([{"parameters": {}, "system": "coin"}], ["rise", "fall"])
