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

    `z` is the deviation in Monte Carlo standard errors; `relative_error` is the standard error in units of the exact
    value (of a standard deviation, for a mean that may vanish), 0 where the quantity is not such a number.
    """

    quantity: str
    z: float
    relative_error: float = 0.0


@dataclass(frozen=True)
class Outcome:
    """What one law says of a sampler: its comparisons, and the limits they are held to."""

    comparisons: tuple[Comparison, ...]
    most_z: float = MOST_Z
    largest_relative_error: float = LARGEST_RELATIVE_ERROR

    @property
    def worst(self) -> Comparison:
        """The comparison that deviates most; one without a z-score deviates more than any."""
        return max(self.comparisons, key=lambda one: abs(one.z) if one.z == one.z else float("inf"))

    @property
    def z(self) -> float:
        return self.worst.z

    @property
    def relative_error(self) -> float:
        return max(one.relative_error for one in self.comparisons)

    @property
    def passed(self) -> bool:
        """Two-sided, and sharp enough to have seen an error of 1 %; NaN fails."""
        return all(
            abs(one.z) < self.most_z and one.relative_error < self.largest_relative_error for one in self.comparisons
        )


class Law(Protocol):
    """A statement about a sampler that can be checked alone.

    `name` is "target/sampler"; `statement` is one clause a reader can judge.
    """

    @property
    def name(self) -> str: ...

    @property
    def statement(self) -> str: ...

    def check(self, place: Place) -> Outcome: ...
