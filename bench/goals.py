"""Goals: what a number should reach, as data; and how those of a run stand to them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from common import KEY, Row


@dataclass(frozen=True)
class Goal:
    """The row of these names should be at most `limit`, in `unit`; or, where `at_least`, no less."""

    operation: str
    provider: str
    case: str
    metric: str
    precision: str
    limit: float
    unit: str
    at_least: bool = False

    def value(self, rows: Iterable[Row]) -> float | None:
        """That of the last such row; None where there is none. Raises ValueError for another unit."""
        key = tuple(getattr(self, field) for field in KEY)
        found = [row for row in rows if tuple(row[field] for field in KEY) == key]
        if not found:
            return None
        if found[-1]["unit"] != self.unit:
            raise ValueError(f"{self}: the row is in {found[-1]['unit']}; give the goal in the same unit")
        return float(found[-1]["value"])

    def met_by(self, value: float) -> bool:
        """Not by NaN."""
        return value >= self.limit if self.at_least else value <= self.limit

    def __str__(self) -> str:
        return f"{self.operation}, {self.metric}, {self.precision}, {self.case}"


def standing(goal: Goal, rows: Iterable[Row]) -> str:
    """ "met", "missed" or "not measured", with the value."""
    value = goal.value(rows)
    if value is None:
        return "not measured"
    return f"{value:.4g} {goal.unit} {'met' if goal.met_by(value) else 'missed'}"


def table(goals: Sequence[Goal], rows: Sequence[Row]) -> str:
    """A line a goal."""
    named = max((len(str(goal)) for goal in goals), default=0)
    return "\n".join(
        f"{goal!s:{named}}  {'>=' if goal.at_least else '<='} {goal.limit:g} {goal.unit:6} {standing(goal, rows)}"
        for goal in goals
    )
