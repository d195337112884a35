"""A finished point as one HDF5 file with dimension scales, the netCDF4 way, which xarray and ArviZ open.

Every dimension has a coordinate in each group that uses it; texts are UTF-8; truths are int8 with `dtype = "bool"`, as
xarray writes and reads them.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from nishimori.chains.files import publish
from nishimori.chains.loop import Schedule
from nishimori.chains.start import ChainPlan
from nishimori.description.config import Config, to_plain
from nishimori.description.errors import BadInput
from nishimori.sampling.groups import Group, Sampled, Variable
from nishimori.sampling.load import config_of, parts_of

STATISTIC = ("value", "standard_error")
ATTRIBUTES = ("id", "system", "digest", "device")
"""Of a summary, as they are; the rest is JSON."""
DOCUMENTS = ("parameters", "verdict", "calibration", "theory_refusal")


def export_point(home: Path, path: Path, summary: Mapping[str, Any], versions: Mapping[str, Any]) -> None:
    """Write the finished point in `home` to `path`, whole or not at all; an existing file is replaced.

    Groups are those of `Sampled.groups`, `estimates` [statistic: value, standard_error] and `theory` (by the same
    names), both from the point's `summary`. The resolved config, `versions` and what else the summary says are
    attributes of the file, JSON where they are no plain text. Nothing is sampled or drawn again, so that a run made on
    a GPU is exported anywhere.
    Raises BadInput for files that are missing, foreign or damaged, and where `path` cannot be written.
    """
    config = config_of(home)
    groups = {**_sampled(config, home).groups(), "estimates": _estimates(summary), "theory": _theory(summary)}
    attributes = _attributes(config, summary, versions)
    try:
        publish(path, lambda temporary: write_groups(temporary, groups, attributes))
    except OSError as error:
        raise BadInput(f"{path} cannot be written ({error}); name a file in a directory that can") from None


def _sampled(config: Config, home: Path) -> Sampled:
    parts, run = parts_of(home, config), config.run
    plan = ChainPlan.of(config.sampler.chains, config.sampler.start)
    schedule = Schedule(run.warmup, run.draws, run.thin)
    return Sampled(
        parts.segment["draws"], parts.segment["statistics"], schedule, plan, parts.record, parts.record.instances
    )


def _estimates(summary: Mapping[str, Any]) -> Group:
    variables = {
        name: Variable(("statistic",), np.array([_number(estimate[key]) for key in STATISTIC]))
        for name, estimate in summary["estimates"].items()
    }
    return Group.of(variables, {"statistic": np.array(STATISTIC)})


def _theory(summary: Mapping[str, Any]) -> Group:
    """Lists are by layer; what is said in words is an attribute."""
    predicted = summary["theory"] or {}
    variables = {
        name: Variable(("layer",), np.array([_number(entry) for entry in value]))
        if isinstance(value, list)
        else Variable((), np.array(_number(value)))
        for name, value in predicted.items()
        if not isinstance(value, str)
    }
    words = {name: value for name, value in predicted.items() if isinstance(value, str)}
    return Group.of(variables, {}, **words)


def _number(value: float | None) -> float:
    """NaN and infinity are null in JSON."""
    return float("nan") if value is None else float(value)


def _attributes(config: Config, summary: Mapping[str, Any], versions: Mapping[str, Any]) -> dict[str, str]:
    plain = {name: str(summary[name]) for name in ATTRIBUTES if name in summary}
    told = {name: json.dumps(summary[name]) for name in DOCUMENTS if name in summary}
    made = {name: json.dumps(value) for name, value in versions.items()}
    return {"inference_library": "nishimori", **plain, "config": json.dumps(to_plain(config)), **told, **made}


def write_groups(path: Path, groups: Mapping[str, Group], attributes: Mapping[str, str]) -> None:
    """An HDF5 file of these groups, with a dimension scale attached to every axis."""
    with h5py.File(path, "w") as file:
        file.attrs.update(attributes)
        for name, group in groups.items():
            _write(file.create_group(name), group)


def _write(home: h5py.Group, group: Group) -> None:
    home.attrs.update(group.attributes)
    for name, values in group.coordinates.items():
        _dataset(home, name, values).make_scale(name)
    for name, variable in group.variables.items():
        dataset = _dataset(home, name, variable.values)
        for axis, dimension in enumerate(variable.dimensions):
            dataset.dims[axis].attach_scale(home[dimension])


def _dataset(home: h5py.Group, name: str, values: Any) -> h5py.Dataset:
    if values.dtype.kind == "U":
        return home.create_dataset(name, data=values.astype(object), dtype=h5py.string_dtype(), track_times=False)
    if values.dtype.kind != "b":
        return home.create_dataset(name, data=values, track_times=False)
    dataset = home.create_dataset(name, data=values.astype(np.int8), track_times=False)
    dataset.attrs["dtype"] = "bool"
    return dataset
