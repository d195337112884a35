"""Proximal operators against minimisation itself."""

import dataclasses

import numpy as np
import pytest
from scipy import optimize

from nishimori.theory.convex_losses import HINGE, LOGISTIC, SQUARE, SQUARE_OF_MARGIN, Loss

LOG_COSH = Loss(lambda t: np.logaddexp(t, -t) - np.log(2), np.tanh, "residual", "log_cosh")
PLACES = np.concatenate([np.linspace(-12, 12, 41), [0.9999, 1.0, 1.0001]])
EVERY = [SQUARE, SQUARE_OF_MARGIN, LOGISTIC, HINGE, LOG_COSH]


@pytest.mark.parametrize("scale", [0.02, 1.0, 40.0])
@pytest.mark.parametrize("loss", EVERY, ids=lambda loss: f"{loss.name}-{loss.argument}")
def test_it_is_the_minimum(loss: Loss, scale: float) -> None:
    for place, found in zip(PLACES, loss.prox(PLACES, scale), strict=True):

        def cost(x: float, place: float = place) -> float:
            return float(loss.value(np.array(x))) + (x - place) ** 2 / (2 * scale)

        least = optimize.minimize_scalar(cost, bounds=(place - scale * 14, place + scale * 14), method="bounded")
        assert cost(found) <= least.fun + 1e-12  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("scale", [0.1, 3.0, 500.0])
@pytest.mark.parametrize("loss", EVERY[:4], ids=lambda loss: f"{loss.name}-{loss.argument}")
def test_closed_forms_and_newton_agree_with_bisection(loss: Loss, scale: float) -> None:
    places = np.linspace(-3 * scale - 5, 3 * scale + 5, 301)
    bisected = dataclasses.replace(loss, proximal=None, second_derivative=None)
    newton = dataclasses.replace(loss, proximal=None)
    expected = loss.prox(places, scale)
    np.testing.assert_allclose(bisected.prox(places, scale), expected, atol=1e-13 * scale + 1e-13)
    np.testing.assert_allclose(newton.prox(places, scale), expected, atol=1e-13 * scale + 1e-13)


def test_the_corners_of_a_kink_are_where_it_is_reached() -> None:
    assert HINGE.corners(0.7) == pytest.approx((0.3, 1.0))
    assert LOGISTIC.corners(0.7) == ()
    force = HINGE.force(np.array([0.2, 0.3, 0.65, 1.0, 2.0]), 0.7)
    np.testing.assert_allclose(force, [-1, -1, -0.5, 0, 0], atol=1e-12)


@pytest.mark.parametrize(
    ("loss", "said"),
    [
        (Loss(lambda t: -(t**2), lambda t: -2 * t, "margin", "hill"), "'hill' is not convex"),
        (Loss(lambda t: t**2, lambda t: 0.5 * t, "margin", "slip"), "derivative is not that of its value"),
        (Loss(lambda t: t, lambda t: np.full_like(t, np.nan), "margin", "none"), "is not finite"),
    ],
)
def test_what_is_no_convex_loss_is_refused(loss: Loss, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        loss.prox(PLACES, 1.0)


def test_a_scale_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="must be positive"):
        HINGE.prox(PLACES, 0.0)
