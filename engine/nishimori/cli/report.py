"""What commands print and draw about finished points."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nishimori.comparison.align import agreement, residuals
from nishimori.comparison.approach import Approach, approaches, fit_power_law
from nishimori.comparison.curves import curves_table
from nishimori.comparison.extrapolation import Limits, extrapolate
from nishimori.comparison.plane import on_one_axis
from nishimori.comparison.series import branch_names, build_series, choose_axis
from nishimori.comparison.summaries import SCHEMA, load_summaries, sorting_key
from nishimori.comparison.tables import agreement_line, comparison_table, describe, varying_names, verdict_table
from nishimori.description.errors import BadInput
from nishimori.systems import SYSTEMS

MEAN_ERRORS = ("bayes_error", "posterior_mean_error")
MEASURED_APART = ("mutual_information", "mutual_information_per_dim", "log_evidence")
FIGURE_FORMATS = (".png", ".pdf", ".svg")


def main_observable(summaries: Sequence[Mapping[str, Any]]) -> str:
    """The error of the posterior mean: the Bayes error, or that of students who differ from their teachers where there
    are some; where no point has independent chains to measure it, the Gibbs error."""
    if "main" in summaries[0]:
        return summaries[0]["main"]
    counts = {name: sum(name in summary["estimates"] for summary in summaries) for name in MEAN_ERRORS}
    return max(counts, key=lambda name: counts[name]) if any(counts.values()) else "gibbs_error"


def failures(summaries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Every reason to distrust a point, with the point."""
    return [
        f"{describe(summary['parameters'])}: {failure}"
        for summary in summaries
        for failure in summary["verdict"]["failures"]
    ]


def verdict_document(summaries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Every criterion of every point with value and bound, and the checks behind them, as verdict.json holds them."""
    failed = failures(summaries)
    return {
        "schema": SCHEMA,
        "passed": not failed,
        "failures": failed,
        "points": [
            {
                "id": summary["id"],
                "parameters": summary["parameters"],
                **summary["verdict"],
                "checks": summary.get("checks", {}),
            }
            for summary in summaries
        ],
    }


def failure_sentence(summaries: Sequence[Mapping[str, Any]]) -> str:
    """The first reason and how many there are more; empty where every point passed."""
    failed = failures(summaries)
    more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
    return f"the verdict failed: {failed[0]}{more}" if failed else ""


def report(summaries: Sequence[Mapping[str, Any]], observable: str) -> str:
    """Measurement beside theory, the agreement of both (of the mutual information too, where it was measured), criteria
    of the verdicts, and every failure."""
    ordered = sorted(summaries, key=lambda summary: sorting_key(summary["parameters"]))
    failed = failures(ordered)
    refusals = sorted({summary["theory_refusal"] for summary in ordered if "theory_refusal" in summary})
    lines = [
        comparison_table(ordered, observable),
        "",
        *_curves(ordered, observable),
        *[f"{comparison_table(ordered, name)}\n" for name in branch_names(observable) if _measured(ordered, name)],
        *[agreement_line(agreement(residuals(ordered, name)), name) for name in _compared(ordered, observable)],
        *([verdict_table(ordered)] if any(summary["verdict"].get("criteria") for summary in ordered) else []),
        f"verdict: {f'{len(failed)} failure(s)' if failed else 'every point passed'}",
        *[f"  {failure}" for failure in failed],
        *[f"theory: {refusal}" for refusal in refusals],
        *[f"checks: {reason}" for reason in _unchecked(ordered)],
        *_choices(ordered),
        *_absent(ordered),
    ]
    return "\n".join(lines)


def _compared(summaries: Sequence[Mapping[str, Any]], observable: str) -> list[str]:
    """`observable`, and by branch and the mutual information where they were measured."""
    others = [name for name in (*branch_names(observable), "mutual_information") if _measured(summaries, name)]
    return list(dict.fromkeys([observable, *others]))


def _measured(summaries: Sequence[Mapping[str, Any]], name: str) -> bool:
    return any(name in summary["estimates"] for summary in summaries)


def _curves(summaries: Sequence[Mapping[str, Any]], observable: str) -> list[str]:
    found = curves_table(summaries, observable)
    return [found, ""] if found else []


def _choices(summaries: Sequence[Mapping[str, Any]]) -> list[str]:
    """What calibration chose at how many points, where it was left to it."""
    chosen = [
        f"{choice['integrator']} on the {choice['target']} posterior"
        for summary in summaries
        for choice in summary.get("calibration", {}).get("choices", ())
        if choice["chosen"]
    ]
    counts = Counter(chosen).most_common()
    return [f"sampler: {', '.join(f'{name} ({count} points)' for name, count in counts)}"] if counts else []


def _unchecked(summaries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Why points have no Nishimori identities among their checks, each reason once."""
    diagnostics = [summary["diagnostics"] for summary in summaries]
    return sorted({told["unchecked"] for told in diagnostics if "unchecked" in told})


def _absent(summaries: Sequence[Mapping[str, Any]]) -> list[str]:
    if any("main" in summary for summary in summaries) or all(
        any(name in summary["estimates"] for name in MEAN_ERRORS) for summary in summaries
    ):
        return []
    name = "posterior_mean_error" if _unchecked(summaries) else "bayes_error"
    return [f'{name} needs two independent chains; set sampler.start = "both", or "prior" with two chains or more']


def draw_overlay(directories: Sequence[Path], observable: str, path: Path) -> None:
    """The overlay of all finished points in `directories`, in the format that the suffix of `path` names."""
    summaries = drawable(directories, observable, path)
    from nishimori.chains.files import publish
    from nishimori.comparison.figures import curves_figure, overlay_figure, shared_title

    if any(observable in summary.get("curves", {}) for summary in summaries):
        ordered = sorted(summaries, key=lambda summary: sorting_key(summary["parameters"]))
        title = shared_title(summaries, "", set(varying_names(summaries)))
        publish(path, lambda temporary: curves_figure(ordered, observable, title, temporary))
        return
    axis, system = choose_axis(summaries), SYSTEMS[summaries[0]["system"]]
    series = build_series(summaries, observable, axis, system.predict_at)
    title = shared_title(summaries, axis, set().union(*[line.label for line in series]))
    publish(path, lambda temporary: overlay_figure(series, axis, observable, title, temporary))


def draw_extrapolation(directories: Sequence[Path], observable: str, path: Path) -> Limits:
    """The limits of infinite size of all finished points in `directories`, drawn against 1/d into `path`."""
    summaries = _of_sizes(drawable(directories, observable, path))
    rows, left_out = extrapolate(summaries, observable)
    from nishimori.chains.files import publish
    from nishimori.comparison.figures import extrapolation_figure, shared_title

    title = shared_title(summaries, "input_dim", set().union(*[row.label for row in rows]))
    publish(path, lambda temporary: extrapolation_figure(rows, observable, title, temporary))
    return rows, left_out


def draw_approach(directories: Sequence[Path], observable: str, path: Path) -> list[Approach]:
    """Differences from theory of all finished points in `directories`, drawn against d into `path`."""
    summaries = _of_sizes(drawable(directories, observable, path))
    groups = approaches(summaries, observable)
    from nishimori.chains.files import publish
    from nishimori.comparison.figures import approach_figure, shared_title

    title, law = shared_title(summaries, "input_dim", set().union(*[g.label for g in groups])), fit_power_law(groups)
    publish(path, lambda temporary: approach_figure(groups, law, observable, title, temporary))
    return groups


def draw_plane(directories: Sequence[Path], names: Sequence[str], path: Path) -> list[dict[str, Any]]:
    """The first of the curves `names` of all finished points in `directories` against the second, and others dashed,
    drawn into `path`; the points with these curves alone."""
    summaries = drawable(directories, names[0], path)
    points = on_one_axis(sorted(summaries, key=lambda summary: sorting_key(summary["parameters"])), names)
    from nishimori.chains.files import publish
    from nishimori.comparison.figures import plane_figure, shared_title

    curves = [point["curves"][names[0]] for point in points]
    first, last = min(curve["at"][0] for curve in curves), max(curve["at"][-1] for curve in curves)
    along = f"along {curves[0]['axis']} from {first:g} (open) to {last:g}"
    title = f"{shared_title(points, '', set(varying_names(points)))}\n{along}"
    publish(path, lambda temporary: plane_figure(points, names, title, temporary))
    return points


def _of_sizes(summaries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same. Raises BadInput where points do not say their input dimension."""
    if all("input_dim" in summary["parameters"] for summary in summaries):
        return summaries
    raise BadInput(f"points of {summaries[0]['system']} have no input_dim to follow; leave out the option")


def drawable(directories: Sequence[Path], observable: str, path: Path) -> list[dict[str, Any]]:
    """The finished points in `directories`. Raises BadInput unless they are of one known system, an estimate of
    `observable` is among them, and `path` names a figure."""
    if path.suffix not in FIGURE_FORMATS:
        raise BadInput(f"{path}: not a figure format; end its name in one of {', '.join(FIGURE_FORMATS)}")
    summaries = load_summaries(directories)
    if not any(observable in summary["estimates"] for summary in summaries):
        known = ", ".join(sorted({name for summary in summaries for name in summary["estimates"]}))
        if observable in MEASURED_APART:
            raise BadInput(f"no point has an estimate of {observable!r}; set information.method in the experiment file")
        raise BadInput(f"no point has an estimate of {observable!r}; use one of {known}")
    kinds = sorted({summary["system"] for summary in summaries})
    if len(kinds) > 1:
        raise BadInput(f"the directories hold different systems ({', '.join(kinds)}); overlay them one by one")
    if kinds[0] not in SYSTEMS:
        raise BadInput(f"system {kinds[0]!r} is not known here; use the version of nishimori that wrote it")
    return summaries
