"""Extrapolations as a table for a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from nishimori.comparison.extrapolation import Extrapolation
from nishimori.comparison.finite_size import POWERS, PowerFit
from nishimori.comparison.tables import table, value_text, with_error

SHORT = {
    "depth": "L",
    "sample_ratio": "alpha",
    "noise_variance": "Delta",
    "width_ratios": "d_l/d",
    "weight_variance": "weight_variance",
    "bias_variance": "bias_variance",
}


def extrapolation_table(rows: Sequence[Extrapolation], observable: str) -> str:
    """One line a group: sizes, limit of A + B/d beside theory, slope B, chi-square; with four sizes the fitted power
    and the limit that goes with it, both with 68 % intervals."""
    header = ["group", "sizes", f"{observable} at 1/d = 0", "theory", "z", "slope", "chi2/dof"]
    powers = any(row.power for row in rows)
    cells = [[*_row(row), *(_power(row.power) if powers else ())] for row in rows]
    return table([*header, *(["power", "limit at power", "chi2/dof"] if powers else [])], cells)


def _row(row: Extrapolation) -> list[str]:
    fit = row.linear
    return [
        group_text(row.label),
        ",".join(str(size) for size in sorted(set(row.sizes))),
        with_error(fit.limit, fit.standard_error),
        "-" if row.theory is None else f"{row.theory:.4f}",
        f"{row.z:+.2f}" if row.z == row.z else "-",
        with_error(fit.slope, fit.slope_standard_error),
        chi_square_text(fit.chi_square, fit.degrees_of_freedom),
    ]


def _power(fit: PowerFit | None) -> list[str]:
    if fit is None:
        return ["-"] * 3
    limits = ", ".join(f"{limit:.4f}" for limit in fit.limit_interval)
    chi_square = chi_square_text(fit.chi_square, fit.degrees_of_freedom)
    return [power_text(fit.power, fit.power_interval), f"{fit.limit:.4f} [{limits}]", chi_square]


def power_text(power: float, interval: tuple[float | None, float | None]) -> str:
    """A fitted power with its interval, whose open ends say how far was looked."""
    low, high = interval
    if low is None and high is None:
        return "undetermined"
    lower = f"<{POWERS[0]:g}" if low is None else f"{low:.2f}"
    upper = f">{POWERS[1]:g}" if high is None else f"{high:.2f}"
    return f"{power:.2f} [{lower}, {upper}]"


def group_text(label: Mapping[str, Any]) -> str:
    """What tells a group from the others."""
    texts = {name: value_text(value) if isinstance(value, list) else str(value) for name, value in label.items()}
    return " ".join(f"{SHORT[name]}={text}" if name in SHORT else text for name, text in texts.items()) or "all"


def chi_square_text(value: float, degrees_of_freedom: int) -> str:
    """A chi-square by degree of freedom."""
    return f"{value / degrees_of_freedom:.2f}" if degrees_of_freedom else "-"
