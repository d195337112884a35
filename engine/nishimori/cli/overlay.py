"""`nishimori overlay`: measured points over theory, from finished or unfinished runs."""

import json as json_module
from dataclasses import asdict
from pathlib import Path
from typing import Any

import tyro

from nishimori.chains.files import publish_json, without_nan
from nishimori.cli.codes import DONE
from nishimori.cli.report import draw_approach, draw_extrapolation, draw_overlay, draw_plane, report
from nishimori.comparison.align import residuals
from nishimori.comparison.approach import fit_power_law
from nishimori.comparison.approach_table import approach_table
from nishimori.comparison.extrapolation_table import extrapolation_table
from nishimori.comparison.plane import plane_table
from nishimori.comparison.summaries import load_summaries, saved
from nishimori.description.errors import BadInput


def overlay(
    directories: tyro.conf.Positional[tuple[Path, ...]],
    observable: str | None = None,
    against: str | None = None,
    bound: str | None = None,
    out: Path | None = None,
    extrapolate: bool = False,
    approach: bool = False,
    save: Path | None = None,
    json: bool = False,
) -> int:
    """Draw measured points over the line of the equivalent linear model, and print the comparison.

    Args:
        directories: run directories, or files that --save wrote; their points are drawn together.
        observable: by default bayes_error, or the main one of another system; generalization_error, gibbs_error,
            train_mmse, overlap, function_overlap, ...; mutual_information where the experiment's [information] measured
            it.
        against: draw the observable against this one, where both are curves on one axis (as training time): a series a
            point, with bars both ways over the line of theory; label_information against input_information_upper is
            the information plane of infinite_ensemble.
        bound: with against, a third curve on that axis, drawn dashed; bottleneck in that plane.
        out: where the figure goes; by default overlay.png in the first directory, extrapolation.png with extrapolate,
            approach.png with approach, plane.png with against.
        extrapolate: fit A + B/d to points that differ in network.input_dim alone (with four sizes a power of d too),
            print the limits beside theory, and draw them against 1/d.
        approach: fit B/d^g to the differences from theory of such points, print g, and draw them against d.
        save: also write the points into one small JSON file, without what is not needed to draw and judge them.
        json: print the join of measurement and theory as one JSON object and nothing else.
    """
    if not directories:
        raise BadInput("overlay needs at least one run directory; give the --out directory of a run")
    if extrapolate and approach:
        raise BadInput("--extrapolate and --approach are two figures; ask for one of them")
    if against and (extrapolate or approach):
        raise BadInput("--against is a figure of its own; leave out --extrapolate and --approach")
    if bound and not against:
        raise BadInput("--bound is drawn beside what --against asks for; give --against too, or leave it out")
    summaries = load_summaries(directories)
    shown = observable or str(summaries[0].get("main", "bayes_error"))
    kind = "extrapolation" if extrapolate else "approach" if approach else "plane" if against else "overlay"
    home = directories[0].parent if directories[0].is_file() else directories[0]
    path = out or home / f"{kind}.png"
    if save:
        publish_json(save, saved(summaries))
    crossed = [against, *([bound] if bound else [])] if against else []
    lines, document = (
        _crossed(directories, [shown, *crossed], path) if crossed else _drawn(kind, directories, shown, path)
    )
    if json:
        points = [asdict(row) for row in residuals(summaries, shown)]
        told = {"observable": shown, "figure": str(path), "points": points, **document}
        print(json_module.dumps(without_nan(told), allow_nan=False))
    else:
        print("\n".join([report(summaries, shown), *lines, f"figure: {path}"]))
    return DONE


def _crossed(directories: tuple[Path, ...], names: list[str], path: Path) -> tuple[list[str], dict[str, Any]]:
    """Draw the first of the curves against the second; what is printed of it, as lines and for JSON."""
    points = draw_plane(directories, names, path)
    curves = [{name: point[name] for name in ("id", "parameters", "curves")} for point in points]
    return ["", plane_table(points)], {"against": names[1], "plane": curves}


def _drawn(kind: str, directories: tuple[Path, ...], observable: str, path: Path) -> tuple[list[str], dict[str, Any]]:
    """Draw one of the figures; what is printed of it, as lines and for JSON."""
    if kind == "overlay":
        draw_overlay(directories, observable, path)
        return [], {}
    if kind == "extrapolation":
        rows, left_out = draw_extrapolation(directories, observable, path)
        lines = ["", extrapolation_table(rows, observable), *[f"not extrapolated: {reason}" for reason in left_out]]
        return lines, {"extrapolations": [asdict(row) for row in rows], "left_out": left_out}
    groups = draw_approach(directories, observable, path)
    laws = [{"label": group.label, **asdict(fit_power_law([group]))} for group in groups]
    together = asdict(fit_power_law(groups))
    return ["", approach_table(groups, observable)], {"approaches": laws, "together": together}
