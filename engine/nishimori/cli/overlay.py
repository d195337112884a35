"""`nishimori overlay`: measured points over theory, from finished or unfinished runs."""

import json as json_module
from dataclasses import asdict
from pathlib import Path

import tyro

from nishimori.chains.files import without_nan
from nishimori.cli.codes import DONE
from nishimori.cli.report import draw_overlay, report
from nishimori.comparison.align import residuals
from nishimori.comparison.summaries import load_summaries
from nishimori.description.errors import BadInput


def overlay(
    directories: tyro.conf.Positional[tuple[Path, ...]],
    observable: str = "bayes_error",
    out: Path | None = None,
    json: bool = False,
) -> int:
    """Draw measured points over the line of the equivalent linear model, and print the comparison.

    Args:
        directories: run directories; their points are drawn together.
        observable: bayes_error, generalization_error, gibbs_error, train_mmse, overlap, function_overlap, ...;
            mutual_information where the experiment's [information] measured it.
        out: where the figure goes; by default overlay.png in the first directory.
        json: print the join of measurement and theory as one JSON object and nothing else.
    """
    if not directories:
        raise BadInput("overlay needs at least one run directory; give the --out directory of a run")
    summaries = load_summaries(directories)
    path = out or directories[0] / "overlay.png"
    draw_overlay(directories, observable, path)
    if json:
        rows = [asdict(row) for row in residuals(summaries, observable)]
        document = {"observable": observable, "figure": str(path), "points": rows}
        print(json_module.dumps(without_nan(document), allow_nan=False))
    else:
        print(report(summaries, observable) + f"\nfigure: {path}")
    return DONE
