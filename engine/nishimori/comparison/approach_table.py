"""The approach to theory as a table for a terminal."""

from collections.abc import Sequence

from nishimori.comparison.approach import Approach, PowerLaw, fit_power_law
from nishimori.comparison.extrapolation_table import chi_square_text, group_text, power_text
from nishimori.comparison.tables import table, with_error


def approach_table(groups: Sequence[Approach], observable: str) -> str:
    """One line a group: its differences from theory by size, and g of B / d^g with a 68 % interval; a last line for one
    g of all groups."""
    header = ["group", f"{observable} - theory at d", "power", "chi2/dof"]
    rows = [[group_text(group.label), _differences(group), *_law(fit_power_law([group]))] for group in groups]
    if len(groups) > 1:
        rows.append(["all together", "", *_law(fit_power_law(groups))])
    return table(header, rows)


def _differences(group: Approach) -> str:
    columns = zip(group.sizes, group.differences, group.errors, strict=True)
    return ", ".join(f"{size:g}: {with_error(difference, error)}" for size, difference, error in columns)


def _law(law: PowerLaw) -> list[str]:
    return [power_text(law.power, law.interval), chi_square_text(law.chi_square, law.degrees_of_freedom)]
