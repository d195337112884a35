"""`nishimori export`: a finished point as one file for xarray and ArviZ."""

import json
from pathlib import Path
from typing import Annotated, Any

import tyro

from nishimori.cli.codes import DONE
from nishimori.comparison.summaries import read_summary
from nishimori.description.errors import BadInput


def export(
    directory: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="DIR")],
    file: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="samples.h5")],
    point: str | None = None,
    force: bool = False,
) -> int:
    """Write a finished point as one HDF5 file with the groups posterior, sample_stats, constant_data, pairs, estimates
    and theory.

    Example: nishimori export runs/a samples.h5

    In Python, xarray.open_datatree("samples.h5", engine="h5netcdf") gives a DataTree for ArviZ; its group pairs goes
    with sample_dims=["pair", "draw"]. Dimensions are chain, draw, instance (one teacher with its data) and pair (of
    independent chains); attributes of the file hold the resolved experiment, versions and the verdict, as JSON. Exit
    codes: 0 written; 2 the input is wrong, and nothing is written.

    Args:
        directory: directory of a run, or of one of its points.
        file: the file to write; it appears whole, or not at all.
        point: id of the point, where the run has several.
        force: replace the file where there is one.
    """
    home = _home(directory, point)
    _require_free(file, force)
    summary = _summary(home)
    if "main" in summary:
        raise BadInput(f"{home}: {summary['system']} has no draws to export; its values are in {home / 'summary.json'}")
    from nishimori.sampling.export import export_point

    export_point(home, file, summary, _provenance(home))
    print(f"point {home.name}: {file}")
    return DONE


def _home(directory: Path, point: str | None) -> Path:
    """The directory of the point that is meant."""
    if (directory / "config.json").exists() and point in (None, directory.resolve().name):
        return directory.resolve()
    known = sorted(path for path in directory.glob("points/*") if path.is_dir())
    if not known:
        raise BadInput(f"{directory} holds no run; give the --out directory of a run, or one of its points/<id>")
    names = ", ".join(path.name for path in known)
    if point is None and len(known) > 1:
        raise BadInput(f"{directory} holds {len(known)} points; name one with --point: {names}")
    chosen = known if point is None else [path for path in known if path.name == point]
    if not chosen:
        raise BadInput(f"{directory} has no point {point}; name one with --point: {names}")
    return chosen[0].resolve()


def _require_free(file: Path, force: bool) -> None:
    if file.is_dir():
        raise BadInput(f"{file} is a directory; name a file, as {file / 'samples.h5'}")
    if file.exists() and not force:
        raise BadInput(f"{file} exists; name another file, or replace it with --force")


def _summary(home: Path) -> dict[str, Any]:
    path = home / "summary.json"
    if not path.exists():
        raise BadInput(f"{home} is not finished; give its run the same command again and export it then")
    return read_summary(path)


def _provenance(home: Path) -> dict[str, Any]:
    """Versions and device of the run, where the point still lies in its directory."""
    try:
        manifest = json.loads((home.parents[1] / "run.json").read_text(encoding="utf-8"))
        return {"versions": manifest["versions"], "machine": manifest["device"]}
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        return {}
