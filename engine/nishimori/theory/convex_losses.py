"""Convex losses of one number, with their proximal operator.

Of regression the number is the residual t = y - z of a label and the output for it, of classes y = -1 and 1 the margin
t = y z. For labels -1 and 1 the square loss (y - z)^2 / 2 is (1 - t)^2 / 2 of the margin.

    prox(t) = argmin_x l(x) + (x - t)^2 / (2 V),    force(t) = (t - prox(t)) / V, an element of l'(prox(t))
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

Array = NDArray[np.float64]
Elementwise = Callable[[Array], Array]
_ROUNDS = 200
_ROUND_OFF = 4e-15
_NEAR = 1e-6
_BESIDE = 1e-9
"""How far beside a kink its two slopes are taken."""


@dataclass(frozen=True)
class Loss:
    """A convex loss by its value and derivative, elementwise from float64 arrays to new ones of their shape.

    `argument` is what it is a function of. `kinks` are the places where the derivative jumps, at which it may have any
    value in between, or the second one. Where `second_derivative` is given the proximal operator is found by Newton's
    method, else by bisection; `proximal`, of t and V, replaces both where there is a closed form.
    """

    value: Elementwise = field(repr=False)
    derivative: Elementwise = field(repr=False)
    argument: Literal["residual", "margin"]
    name: str = "custom"
    second_derivative: Elementwise | None = field(default=None, repr=False)
    kinks: tuple[float, ...] = ()
    proximal: Callable[[Array, float], Array] | None = field(default=None, repr=False)

    def prox(self, places: ArrayLike, scale: float) -> Array:
        """argmin_x l(x) + (x - t)^2 / (2 scale) at t = `places` [any], to round-off.

        The root x of x - t + scale l'(x) lies between t and t - scale l'(t), for l' grows; steps of Newton that leave
        the bracket, or do not get on, halve it instead. Raises ValueError for a scale that is not positive, a
        derivative that is not finite, and a loss that has less beside what is found, as no convex one has.
        """
        if not scale > 0:
            raise ValueError(f"the scale of a proximal operator must be positive, got {scale}")
        targets = np.asarray(places, dtype=np.float64)
        if self.proximal is not None:
            return self.proximal(targets, scale)
        other = targets - scale * self.derivative(targets)
        if not np.isfinite(other).all():
            raise ValueError(f"the derivative of loss {self.name!r} is not finite: give one that is")
        found = self._between(np.minimum(targets, other), np.maximum(targets, other), targets, scale)
        self._require_least(found, targets, scale)
        return found

    @property
    def smooth(self) -> bool:
        """Whether the derivative jumps nowhere: a millionth beside its kinks it is alike, to a thousandth."""
        places = np.array(self.kinks)
        left, right = (self.derivative(places + side) for side in (-_NEAR, _NEAR))
        return bool(np.all(np.abs(right - left) < 1e3 * _NEAR))

    def force(self, places: Array, scale: float) -> Array:
        """(t - prox(t)) / scale: the derivative of the loss where the proximal operator leads."""
        return (places - self.prox(places, scale)) / scale

    def corners(self, scale: float) -> tuple[float, ...]:
        """Where `prox` and `force` have kinks as functions of t: a kink of the loss is reached from an interval."""
        places = np.array(self.kinks)
        sides = [places + scale * self.derivative(places + side) for side in (-_BESIDE, _BESIDE)]
        return tuple(np.concatenate(sides).tolist()) if self.kinks else ()

    def _between(self, low: Array, high: Array, targets: Array, scale: float) -> Array:
        """The root of x - t + scale l'(x) in [low, high], where it changes its sign."""
        found, move = 0.5 * (low + high), high - low
        settled = _ROUND_OFF * np.maximum(1.0, np.abs(targets))
        for _ in range(_ROUNDS):
            excess = found - targets + scale * self.derivative(found)
            low, high = np.where(excess > 0, low, found), np.where(excess < 0, high, found)
            following = 0.5 * (low + high)
            if self.second_derivative is not None:
                newton = found - excess / (1 + scale * self.second_derivative(found))
                # half the last move at most, else Newton's method may go to and fro for ever
                kept = (newton >= low) & (newton <= high) & (np.abs(newton - found) <= np.maximum(0.5 * move, settled))
                following = np.where(kept, newton, following)
            found, move = following, np.abs(following - found)
            if np.all(move <= settled):
                break
        return found

    def _require_least(self, found: Array, targets: Array, scale: float) -> None:
        """No convex loss has less beside its minimum."""
        reach = 1e-4 * (1 + np.abs(found))
        least, left, right = (
            self.value(x) + (x - targets) ** 2 / (2 * scale) for x in (found, found - reach, found + reach)
        )
        if np.any(np.minimum(left, right) < least - 1e-9 * (1 + np.abs(least))):
            raise ValueError(
                f"loss {self.name!r} is not convex, or its derivative is not that of its value: correct them"
            )


def _logistic_derivative(margins: Array) -> Array:
    return -special.expit(-margins)


def _logistic_second_derivative(margins: Array) -> Array:
    return special.expit(margins) * special.expit(-margins)


def _huber_proximal(residuals: Array, scale: float) -> Array:
    return residuals - scale * np.clip(residuals / (1 + scale), -1.0, 1.0)


def _hinge_proximal(margins: Array, scale: float) -> Array:
    return np.maximum(margins, np.minimum(margins + scale, 1.0))


SQUARE = Loss(
    lambda residuals: 0.5 * residuals**2,
    lambda residuals: residuals.copy(),
    "residual",
    "square",
    np.ones_like,
    proximal=lambda residuals, scale: residuals / (1 + scale),
)
"""(y - z)^2 / 2."""

HUBER = Loss(
    lambda residuals: np.where(np.abs(residuals) < 1, 0.5 * residuals**2, np.abs(residuals) - 0.5),
    lambda residuals: np.clip(residuals, -1.0, 1.0),
    "residual",
    "huber",
    kinks=(-1.0, 1.0),
    proximal=_huber_proximal,
)
"""t^2 / 2 of a residual t up to 1, |t| - 1 / 2 beyond it."""

SQUARE_OF_MARGIN = Loss(
    lambda margins: 0.5 * (1 - margins) ** 2,
    lambda margins: margins - 1,
    "margin",
    "square",
    np.ones_like,
    proximal=lambda margins, scale: (margins + scale) / (1 + scale),
)
"""(y - z)^2 / 2 of labels -1 and 1."""

LOGISTIC = Loss(
    lambda margins: np.logaddexp(0.0, -margins),
    _logistic_derivative,
    "margin",
    "logistic",
    _logistic_second_derivative,
)
"""log(1 + exp(-y z))."""

HINGE = Loss(
    lambda margins: np.maximum(0.0, 1 - margins),
    lambda margins: np.where(margins < 1, -1.0, 0.0),
    "margin",
    "hinge",
    kinks=(1.0,),
    proximal=_hinge_proximal,
)
"""max(0, 1 - y z)."""

LOSSES = (SQUARE, HUBER, SQUARE_OF_MARGIN, LOGISTIC, HINGE)
