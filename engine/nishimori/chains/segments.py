"""Segments and sampler states: immutable HDF5 files of plain numeric arrays."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from nishimori.chains.files import publish
from nishimori.description.errors import BadInput

SCHEMA = 1

Arrays = Mapping[str, Mapping[str, NDArray[Any]]]
"""group -> dataset -> values."""


def digest(arrays: Arrays) -> str:
    """Hash of names, shapes and values, independent of how they are stored."""
    state = hashlib.blake2b(digest_size=16)
    for group in sorted(arrays):
        for name in sorted(arrays[group]):
            values = np.ascontiguousarray(arrays[group][name])
            state.update(f"{group}/{name}:{values.dtype.str}{values.shape};".encode())
            state.update(values.tobytes())
    return state.hexdigest()


def publish_arrays(path: Path, arrays: Arrays, attributes: Mapping[str, str | int]) -> str:
    """Write groups of arrays as one HDF5 file; returns their digest, which the file also carries."""
    content = digest(arrays)

    def write(temporary: Path) -> None:
        with h5py.File(temporary, "w") as file:
            file.attrs.update({"schema": SCHEMA, "digest": content, **attributes})
            for group, datasets in arrays.items():
                for name, values in datasets.items():
                    file.create_dataset(f"{group}/{name}", data=values, track_times=False)

    publish(path, write)
    return content


def read_arrays(path: Path) -> dict[str, dict[str, NDArray[Any]]]:
    """The groups of a file that `publish_arrays` wrote; see `read_file`."""
    return read_file(path)[0]


def read_file(path: Path) -> tuple[dict[str, dict[str, NDArray[Any]]], dict[str, Any]]:
    """Groups and attributes of a file that `publish_arrays` wrote, checked against the digest it carries.

    Raises BadInput for a file that is damaged, of another schema, or holds anything but plain numeric datasets.
    """
    try:
        with h5py.File(path, "r") as file:
            if file.attrs.get("schema") != SCHEMA:
                raise BadInput(f"{path}: not of schema {SCHEMA}; use the version of nishimori that wrote it")
            arrays = {name: _datasets(path, group) for name, group in file.items()}
            attributes = dict(file.attrs)
    except (OSError, RuntimeError) as error:
        raise BadInput(f"{path} cannot be read ({error}); restore the file or run this point again") from None
    if digest(arrays) != attributes.get("digest"):
        raise BadInput(f"{path} does not match the digest it carries; restore the file or run this point again")
    return arrays, attributes


def _datasets(path: Path, group: Any) -> dict[str, NDArray[Any]]:
    if not isinstance(group, h5py.Group):
        raise BadInput(f"{path}: {group.name} is no group; restore the file or run this point again")
    found: dict[str, NDArray[Any]] = {}
    for name in map(str, group):
        values = group[name] if isinstance(group.get(name, getlink=True), h5py.HardLink) else None
        if not isinstance(values, h5py.Dataset) or values.dtype.kind not in "fiub" or values.external:
            raise BadInput(f"{path}: {name} is no plain numeric dataset; restore the file or run this point again")
        found[name] = values[()]
    return found
