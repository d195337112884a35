"""What a law is, and what checking one says."""

from dataclasses import dataclass
from typing import Protocol

MOST_Z = 4.0
LARGEST_RELATIVE_ERROR = 0.0025
"""A mean or variance that is wrong by 1 % lies four standard errors off at the least."""


@dataclass(frozen=True)
class Place:
    """Where and how a law is checked: device and precision as targets take them, and the seed of every draw."""

    device: str = "cpu"
    precision: str = "fp64"
    seed: int = 0


@dataclass(frozen=True)
class Comparison:
    """One quantity against its exact value.

    `z` is the deviation in Monte Carlo standard errors, and `relative_error` that error in units of the exact value
    (of a standard deviation where the value may vanish), 0 where the quantity is not such a number. The limits are
    two-sided; NaN passes none.
    """

    quantity: str
    z: float
    relative_error: float = 0.0
    most_z: float = MOST_Z
    largest_relative_error: float = LARGEST_RELATIVE_ERROR

    @property
    def passed(self) -> bool:
        return abs(self.z) < self.most_z and self.relative_error < self.largest_relative_error


@dataclass(frozen=True)
class Outcome:
    """What one law says of a sampler."""

    comparisons: tuple[Comparison, ...]

    @property
    def worst(self) -> Comparison:
        """The comparison that deviates most; one without a number deviates more than any."""
        return max(self.comparisons, key=lambda one: abs(one.z) if one.z == one.z else float("inf"))

    @property
    def bluntest(self) -> Comparison:
        """The comparison whose relative error is nearest to its limit."""
        return max(self.comparisons, key=lambda one: one.relative_error / one.largest_relative_error)

    @property
    def passed(self) -> bool:
        return all(one.passed for one in self.comparisons)


class Law(Protocol):
    """A statement about a sampler that can be checked alone.

    `name` is "target/sampler"; `statement` is a clause about the sampler.
    """

    @property
    def name(self) -> str: ...

    @property
    def statement(self) -> str: ...

    def check(self, place: Place) -> Outcome: ...
