"""Integrals by panels and averages over a normal, against closed forms."""

import math

import numpy as np
import pytest

from nishimori.description.quadrature import gaussian_average, normal_rule, panel_rule


def test_panels_end_at_kinks():
    points, weights = panel_rule((-1.0, 2.0), 0.7, (0.3, 5.0))
    assert weights @ np.abs(points - 0.3) == pytest.approx(0.5 * (1.3**2 + 1.7**2), rel=1e-14)
    assert weights.sum() == pytest.approx(3, rel=1e-14)
    assert np.all(np.diff(points) > 0)


def test_panels_are_no_wider_than_asked():
    assert len(panel_rule((0.0, 1.0), 0.3)[0]) == 4 * 16


@pytest.mark.parametrize("frequency", [0.0, 1.0, 3.0])
def test_averages_over_a_normal(frequency):
    points, weights = normal_rule(0.25)
    expected = pytest.approx(math.exp(-0.5 * frequency**2), abs=1e-14)
    assert weights @ np.cos(frequency * points) == expected
    assert gaussian_average(lambda z: np.cos(frequency * z)) == expected


def test_a_jump_is_found():
    assert gaussian_average(lambda z: np.where(z > 0.1, 1.0, 0.0)) == pytest.approx(0.46017216272297, abs=1e-13)
