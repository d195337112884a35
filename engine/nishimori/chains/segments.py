"""Segments and sampler states: immutable HDF5 files of plain numeric arrays."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from nishimori.chains.files import publish

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
