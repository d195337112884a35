"""`nishimori overlay`: measured points over theory, from finished or unfinished runs."""

import json as json_module
from dataclasses import asdict
from pathlib import Path
from typing import Any

import tyro

from nishimori.chains.files import without_nan
from nishimori.cli.codes import DONE
from nishimori.cli.report import draw_extrapolation, draw_overlay, report
from nishimori.comparison.align import residuals
from nishimori.comparison.extrapolation import Limits
from nishimori.comparison.extrapolation_table import extrapolation_table
from nishimori.comparison.summaries import load_summaries
from nishimori.description.errors import BadInput


def overlay(
    directories: tyro.conf.Positional[tuple[Path, ...]],
    observable: str = "bayes_error",
    out: Path | None = None,
    extrapolate: bool = False,
    json: bool = False,
) -> int:
    """Draw measured points over the line of the equivalent linear model, and print the comparison.

    Args:
        directories: run directories; their points are drawn together.
        observable: bayes_error, generalization_error, gibbs_error, train_mmse, overlap, function_overlap, ...;
            mutual_information where the experiment's [information] measured it.
        out: where the figure goes; by default overlay.png in the first directory, extrapolation.png with extrapolate.
        extrapolate: fit A + B/d to points that differ in network.input_dim alone (with four sizes a power of d too),
            print the limits beside theory, and draw them against 1/d.
        json: print the join of measurement and theory as one JSON object and nothing else.
    """
    if not directories:
        raise BadInput("overlay needs at least one run directory; give the --out directory of a run")
    summaries = load_summaries(directories)
    path = out or directories[0] / ("extrapolation.png" if extrapolate else "overlay.png")
    limits = None
    if extrapolate:
        limits = draw_extrapolation(directories, observable, path)
    else:
        draw_overlay(directories, observable, path)
    if json:
        points = [asdict(row) for row in residuals(summaries, observable)]
        document = {"observable": observable, "figure": str(path), "points": points, **_plain(limits)}
        print(json_module.dumps(without_nan(document), allow_nan=False))
    else:
        print("\n".join([report(summaries, observable), *_lines(limits, observable), f"figure: {path}"]))
    return DONE


def _plain(limits: Limits | None) -> dict[str, Any]:
    if limits is None:
        return {}
    rows, left_out = limits
    return {"extrapolations": [asdict(row) for row in rows], "left_out": left_out}


def _lines(limits: Limits | None, observable: str) -> list[str]:
    if limits is None:
        return []
    rows, left_out = limits
    return ["", extrapolation_table(rows, observable), *[f"not extrapolated: {reason}" for reason in left_out]]
