"""Segments and sampler states: immutable HDF5 files of plain numeric arrays."""

import errno
import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from nishimori.chains.datasets import attributes_of, dataset_of, refuse_other_messages
from nishimori.chains.files import publish_bytes
from nishimori.chains.image import (
    MOST_NAMES,
    Bytes,
    Message,
    Refused,
    is_group,
    is_name,
    members_of,
    messages_of,
    root_of,
)
from nishimori.description.errors import BadInput

SCHEMA = 1
SEAL = "seal"
REMEDY = "restore the file or run this point again"
LEFT_ALONE = "it may be whole and is left as it is; remove the cause, then run again"
FORMAT = ("earliest", "v110")
"""HDF5's oldest format, and no newer one where that cannot hold something."""

NOT_ITS_FAULT = (errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE, errno.ETIMEDOUT)
"""What the system says where reading fails that has nothing to do with what a file holds."""

Arrays = Mapping[str, Mapping[str, NDArray[Any]]]
"""group -> dataset -> values."""


class NotRead(BadInput):
    """A file that may be whole could not be read: nobody may take it for damaged."""


@dataclass(frozen=True, eq=False)
class Stored:
    """What a file holds: `arrays[group][name]`, and its attributes, `schema` and `digest` among them."""

    arrays: dict[str, dict[str, NDArray[Any]]]
    attributes: dict[str, str | int]


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
    """Write groups of arrays as one HDF5 file; returns their digest, which the file also carries.

    The file is made in memory: on a full disk the HDF5 library can end the process. Raises BadInput for a name or a
    type of values that such a file cannot hold, StorageFailed where it cannot be stored.
    """
    _require_plain(path, arrays)
    content = digest(arrays)
    named = {"schema": SCHEMA, "digest": content, **attributes}
    publish_bytes(path, _image(arrays, {**named, SEAL: _seal(named)}))
    return content


def _seal(attributes: Mapping[str, str | int]) -> str:
    """Hash of all attributes but itself."""
    named = sorted((name, value) for name, value in attributes.items() if name != SEAL)
    return hashlib.blake2b(repr(named).encode(), digest_size=16).hexdigest()


def _image(arrays: Arrays, attributes: Mapping[str, str | int]) -> bytes:
    with h5py.File("image", "w", driver="core", backing_store=False, libver=FORMAT) as file:
        file.attrs.update(attributes)
        for group, datasets in arrays.items():
            for name, values in datasets.items():
                file.create_dataset(f"{group}/{name}", data=values, track_times=False)
        file.flush()
        return file.id.get_file_image()


def _require_plain(path: Path, arrays: Arrays) -> None:
    count = sum(map(len, arrays.values()))
    if max(count, len(arrays)) > MOST_NAMES:
        raise BadInput(f"{path} cannot hold {count} names; keep to {MOST_NAMES}")
    for names in (arrays, *arrays.values()):
        for name in names:
            if not is_name(name):
                raise BadInput(f"{path} cannot hold the name {name!r}; give it letters and no slash")
    for group, datasets in arrays.items():
        for name, values in datasets.items():
            dtype = np.asarray(values).dtype
            if dtype.kind not in "fiub" or dtype.itemsize > 8:
                raise BadInput(f"{path} cannot hold {group}/{name} of type {dtype}; give real numbers of up to 8 bytes")


def read_arrays(path: Path) -> dict[str, dict[str, NDArray[Any]]]:
    """The groups of a file that `publish_arrays` wrote, checked against the digest it carries.

    Raises BadInput, with what is wrong, for a file that is damaged, of another schema, or holds anything but groups of
    plain numeric datasets, contiguous and unfiltered. It takes memory in proportion to the file,
    whatever the file declares.
    """
    return read_stored(path).arrays


def read_stored(path: Path) -> Stored:
    """As `read_arrays`, with the attributes of the file, which carry a hash of their own (but in files of earlier
    versions). Raises NotRead, a BadInput, for a file that may be whole: without memory or permission to read it."""
    try:
        stored = _parsed(Bytes(_content(path)))
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno in NOT_ITS_FAULT:
            raise NotRead(f"{path} cannot be read ({reason}); {LEFT_ALONE}") from None
        raise BadInput(f"{path} cannot be read ({reason}); {REMEDY}") from None
    except MemoryError:
        raise NotRead(f"{path} cannot be read (memory ended); {LEFT_ALONE}") from None
    except Refused as refusal:
        raise BadInput(f"{path} cannot be read ({refusal}); {REMEDY}") from None
    if stored.attributes.get("schema") != SCHEMA:
        raise BadInput(f"{path}: not of schema {SCHEMA}; use the version of nishimori that wrote it")
    if digest(stored.arrays) != stored.attributes.get("digest"):
        raise BadInput(f"{path} does not match the digest it carries; {REMEDY}")
    if stored.attributes.pop(SEAL, _seal(stored.attributes)) != _seal(stored.attributes):
        raise BadInput(f"{path} has attributes that do not match their hash; {REMEDY}")
    return stored


def _content(path: Path) -> bytes:
    """Without waiting for a writer where the name is a pipe."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Refused("it is no regular file")
        return file.read()


def _parsed(file: Bytes) -> Stored:
    root = messages_of(file, root_of(file))
    groups = members_of(file, root, "/")
    refuse_other_messages(root, "/")
    stored = Stored({group: {} for group in groups}, attributes_of(file, root, "/"))
    names = size = 0
    for group, name, header in _members(file, groups):
        values = _dataset(file, messages_of(file, header), f"/{group}/{name}")
        names, size = names + 1, size + values.nbytes
        # Several names can lead to one dataset, and a small file to more than the memory holds.
        if size > len(file.content) or names > MOST_NAMES:
            raise Refused(f"its datasets hold more than its {len(file.content)} bytes or are more than {MOST_NAMES}")
        stored.arrays[group][name] = values
    return stored


def _members(file: Bytes, groups: Mapping[str, int]) -> Iterator[tuple[str, str, int]]:
    for group, header in groups.items():
        messages = messages_of(file, header)
        if not is_group(messages):
            raise Refused(f"/{group} is no group")
        members = members_of(file, messages, f"/{group}")
        refuse_other_messages(messages, f"/{group}")
        attributes_of(file, messages, f"/{group}")
        yield from ((group, name, at) for name, at in members.items())


def _dataset(file: Bytes, messages: list[Message], where: str) -> NDArray[Any]:
    if is_group(messages):
        raise Refused(f"{where} is a group within a group, no plain numeric dataset")
    attributes_of(file, messages, where)
    return dataset_of(file, messages, where)
