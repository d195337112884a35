"""What commands print and draw about finished points."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nishimori.comparison.align import agreement, residuals
from nishimori.comparison.series import build_series, choose_axis
from nishimori.comparison.tables import agreement_line, comparison_table
from nishimori.description.experiment import BadInput
from nishimori.systems import SYSTEMS


def load_summaries(directories: Sequence[Path]) -> list[dict[str, Any]]:
    """The finished points of these run directories. Raises BadInput where there is none."""
    summaries = []
    for directory in directories:
        paths = sorted((directory / "points").glob("*/summary.json"))
        if not paths:
            raise BadInput(f"{directory} holds no finished point; give the --out directory of a run")
        summaries += [_read(path) for path in paths]
    return summaries


def _read(path: Path) -> dict[str, Any]:
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(summary, dict) or not {"parameters", "estimates", "theory"} <= summary.keys():
            raise ValueError("keys are missing")
        return summary
    except (OSError, ValueError) as error:
        raise BadInput(f"{path}: not a summary ({error}); remove the file and run the experiment again") from None


def print_report(summaries: Sequence[Mapping[str, Any]], observable: str) -> str:
    """Table, agreement with theory, and every failure of a verdict."""
    ordered = sorted(summaries, key=lambda summary: [str(value) for value in summary["parameters"].values()])
    failures = [failure for summary in ordered for failure in summary["verdict"]["failures"]]
    refusals = sorted({summary["theory_refusal"] for summary in ordered if "theory_refusal" in summary})
    lines = [
        comparison_table(ordered, observable),
        "",
        agreement_line(agreement(residuals(ordered, observable)), observable),
        f"verdict: {'every point passed' if not failures else f'{len(failures)} failure(s)'}",
        *[f"  {failure}" for failure in failures],
        *[f"theory: {refusal}" for refusal in refusals],
    ]
    return "\n".join(lines)


def draw_overlay(directories: Sequence[Path], observable: str, path: Path) -> None:
    """The overlay of all finished points in `directories`."""
    from nishimori.chains.files import publish
    from nishimori.comparison.figures import overlay_figure

    summaries = load_summaries(directories)
    if not any(observable in summary["estimates"] for summary in summaries):
        known = ", ".join(sorted({name for summary in summaries for name in summary["estimates"]}))
        raise BadInput(f"no point has an estimate of {observable!r}; use one of {known}")
    axis = choose_axis(summaries)
    system = SYSTEMS["matched_teacher"]
    series = build_series(summaries, observable, axis, system.predict_at)
    title = _title(summaries, axis, set().union(*[line.label for line in series]))
    publish(path, lambda temporary: overlay_figure(series, axis, observable, title, temporary))


def _title(summaries: Sequence[Mapping[str, Any]], axis: str, shown: set[str]) -> str:
    """What all points share."""
    parameters = summaries[0]["parameters"]
    parts = [] if "activation" in shown else [parameters["activation"]]
    symbols = {"noise_variance": r"\Delta", "input_dim": "d", "sample_ratio": r"\alpha", "depth": "L"}
    for name, symbol in symbols.items():
        if name not in shown and name != axis:
            parts.append(f"${symbol} = {parameters[name]:g}$")
    counts = sorted({summary["instances"] for summary in summaries})
    teachers = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return ", ".join([*parts, f"{teachers} teachers a point, bars: one standard error"])
