"""Files of a run directory are read without trust: refused by name, or read back as they were written."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from nishimori.chains.segments import digest, publish_arrays, read_arrays, read_stored
from nishimori.description.errors import BadInput

ARRAYS = {
    "draws": {
        "overlap": np.arange(12.0).reshape(2, 2, 3),
        "single": np.array([[0.1, np.nan, np.inf]], dtype=np.float32),
    },
    "statistics": {
        "divergent": np.array([[True, False], [False, False]]),
        "num_steps": np.array([3, -4]),
        "scalar": np.array(2.5),
        "none": np.zeros((0, 3)),
        "half": np.array([1.5], dtype=np.float16),
        "large": np.arange(3, dtype=">i2"),
        "bytes": np.array([0, 255], dtype=np.uint8),
    },
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    publish_arrays(tmp_path / "000001.h5", ARRAYS, {"segment": 1, "previous": "é" * 8})
    return tmp_path / "000001.h5"


def require_equal(arrays: dict[str, dict[str, Any]]) -> None:
    assert digest(arrays) == digest(ARRAYS)
    for group, datasets in ARRAYS.items():
        assert arrays[group].keys() == datasets.keys()
        for name, values in datasets.items():
            found = arrays[group][name]
            assert (found.dtype, found.shape, found.flags.writeable) == (values.dtype, values.shape, True)
            np.testing.assert_array_equal(found, values)


def test_what_was_written_is_read(path: Path):
    stored = read_stored(path)
    require_equal(stored.arrays)
    assert stored.attributes == {"schema": 1, "segment": 1, "previous": "é" * 8, "digest": digest(ARRAYS)}


@pytest.mark.parametrize("track_times", [False, True])
def test_files_that_hdf5_wrote_to_the_disk_are_read(track_times: bool, tmp_path: Path):
    """As the first versions wrote them; many attributes continue the header elsewhere."""
    path = tmp_path / "old.h5"
    extra = {f"number_{i}": i - 20 for i in range(40)}
    with h5py.File(path, "w") as file:
        file.attrs.update({"schema": 1, "digest": digest(ARRAYS), **extra, "bytes": np.bytes_("fixed"), "empty": ""})
        for group, datasets in ARRAYS.items():
            for name, values in datasets.items():
                file.create_dataset(f"{group}/{name}", data=values, track_times=track_times)
    stored = read_stored(path)
    require_equal(stored.arrays)
    assert extra.items() <= stored.attributes.items()
    assert (stored.attributes["bytes"], stored.attributes["empty"]) == ("fixed", "")


def test_groups_of_many_names_are_read(tmp_path: Path):
    """More than a leaf and a node of the tree of names hold."""
    many = {"draws": {f"observable_{i}": np.array([i]) for i in range(700)}}
    publish_arrays(tmp_path / "many.h5", many, {})
    assert digest(read_arrays(tmp_path / "many.h5")) == digest(many)


def test_compact_datasets_are_read(tmp_path: Path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        creation.set_layout(h5py.h5d.COMPACT)
        values, group = np.arange(3.0), file.create_group("draws")
        space = h5py.h5s.create_simple((3,))
        h5py.h5d.create(group.id, b"a", h5py.h5t.IEEE_F64LE, space, creation).write(h5py.h5s.ALL, h5py.h5s.ALL, values)
        file.attrs.update({"schema": 1, "digest": digest({"draws": {"a": values}})})
    np.testing.assert_array_equal(read_arrays(tmp_path / "a.h5")["draws"]["a"], values)


def soft_link(file: h5py.File) -> None:
    file["draws/alias"] = h5py.SoftLink("/draws/overlap")


def soft_link_at_the_top(file: h5py.File) -> None:
    file["alias"] = h5py.SoftLink("/draws")


def external_link(file: h5py.File) -> None:
    file["draws/alias"] = h5py.ExternalLink("elsewhere.h5", "/draws/overlap")


def external_storage(file: h5py.File) -> None:
    file.create_dataset("draws/outside", shape=(2,), dtype="f8", external=[("elsewhere.raw", 0, 16)])


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout(shape=(4,), dtype="f8")
    layout[:] = h5py.VirtualSource("elsewhere.h5", "a", shape=(4,))
    file.create_virtual_dataset("draws/virtual", layout)


def strings(file: h5py.File) -> None:
    file["draws/text"] = "overlap"


def fixed_strings(file: h5py.File) -> None:
    file["draws/text"] = np.bytes_("overlap")


def variable_length(file: h5py.File) -> None:
    file.create_dataset("draws/ragged", shape=(2,), dtype=h5py.vlen_dtype("f8"))


def compound(file: h5py.File) -> None:
    file["draws/pairs"] = np.zeros(2, dtype=[("a", "f8"), ("b", "i4")])


def references(file: h5py.File) -> None:
    file.create_dataset("draws/pointers", data=[file["draws/overlap"].ref], dtype=h5py.ref_dtype)


def enumeration(file: h5py.File) -> None:
    file.create_dataset("draws/colours", shape=(2,), dtype=h5py.enum_dtype({"RED": 0, "BLUE": 1}, "i1"))


def complex_numbers(file: h5py.File) -> None:
    file["draws/waves"] = np.zeros(2, dtype=complex)


def long_double(file: h5py.File) -> None:
    file["draws/long"] = np.zeros(2, dtype=np.longdouble)


def committed_type(file: h5py.File) -> None:
    file["draws/type"] = np.dtype("f8")


def dataset_of_a_committed_type(file: h5py.File) -> None:
    file["draws/type"] = np.dtype("f8")
    file.create_dataset("draws/typed", shape=(2,), dtype=file["draws/type"])


def compressed(file: h5py.File) -> None:
    file.create_dataset("draws/small", data=np.zeros(1000), compression="gzip")


def checksummed(file: h5py.File) -> None:
    file.create_dataset("draws/sums", data=np.zeros(1000), fletcher32=True)


def chunked(file: h5py.File) -> None:
    file.create_dataset("draws/pieces", data=np.zeros(1000), chunks=(10,))


def terabyte(file: h5py.File) -> None:
    file.create_dataset("draws/huge", shape=(2**37,), dtype="f8")


def one_dataset_under_many_names(file: h5py.File) -> None:
    for number in range(50):
        file[f"draws/alias_{number}"] = file["draws/large"]


def no_shape(file: h5py.File) -> None:
    file["draws/empty"] = h5py.Empty("f8")


def nested(file: h5py.File) -> None:
    file.create_group("draws/inner")


def circle(file: h5py.File) -> None:
    file["draws/circle"] = file["/"]


def dataset_at_the_top(file: h5py.File) -> None:
    file["loose"] = np.zeros(3)


def many_names(file: h5py.File) -> None:
    for number in range(4097):
        file[f"statistics/a{number}"] = file["draws/none"]


def another_schema(file: h5py.File) -> None:
    file.attrs["schema"] = 99


def no_digest(file: h5py.File) -> None:
    del file.attrs["digest"]


def float_attribute(file: h5py.File) -> None:
    file["draws/overlap"].attrs["scale"] = 0.5


def attribute_of_several(file: h5py.File) -> None:
    file["draws"].attrs["lengths"] = [1, 2]


HOSTILE: list[tuple[Callable[[h5py.File], None], str]] = [
    (soft_link, "/draws/alias is a soft link"),
    (soft_link_at_the_top, "/alias is a soft link"),
    (external_link, "/draws/alias is an external link"),
    (external_storage, "/draws/outside is in external files"),
    (virtual, "/draws/virtual is stored virtual"),
    (strings, "/draws/text holds values of variable length"),
    (fixed_strings, "/draws/text holds strings"),
    (variable_length, "/draws/ragged holds values of variable length"),
    (compound, "/draws/pairs holds compound values"),
    (references, "/draws/pointers holds references"),
    (enumeration, "/draws/colours holds enumerations"),
    (complex_numbers, "/draws/waves holds co"),
    (long_double, "/draws/long holds numbers of no standard format"),
    (committed_type, "/draws/type is a committed datatype"),
    (dataset_of_a_committed_type, "/draws/typed? .* committed datatype"),
    (compressed, "/draws/small is filtered"),
    (checksummed, "/draws/sums is filtered"),
    (chunked, "/draws/pieces is stored chunked"),
    (terabyte, "/draws/huge declares 1099511627776 bytes, more than the file stores"),
    (one_dataset_under_many_names, "hold more than its"),
    (no_shape, "/draws/empty is empty"),
    (nested, "/draws/inner is a group within a group"),
    (circle, "/draws/circle is a group within a group"),
    (dataset_at_the_top, "/loose is no group"),
    (many_names, "/statistics has more than 4096 names"),
    (another_schema, "not of schema 1"),
    (no_digest, "does not match the digest"),
    (float_attribute, "attribute 'scale' of /draws/overlap is not a string or an integer"),
    (attribute_of_several, "attribute 'lengths' of /draws holds several values"),
]


@pytest.mark.parametrize(("spoil", "words"), HOSTILE, ids=[spoil.__name__ for spoil, _ in HOSTILE])
def test_what_is_not_plain_is_refused_by_name(spoil: Callable[[h5py.File], None], words: str, tmp_path: Path):
    path = tmp_path / "hostile.h5"
    arrays = {"draws": {"overlap": np.zeros(3), "large": np.zeros(500), "none": np.zeros(0)}, "statistics": {}}
    with h5py.File(path, "w") as file:
        file.attrs.update({"schema": 1, "digest": digest(arrays)})
        for group, datasets in arrays.items():
            for name, values in datasets.items():
                file.create_dataset(f"{group}/{name}", data=values)
            file.require_group(group)
    assert digest(read_arrays(path)) == digest(arrays)
    with h5py.File(path, "r+") as file:
        spoil(file)
    with pytest.raises(BadInput, match=words) as refusal:
        read_arrays(path)
    assert str(path) in str(refusal.value) and "\n" not in str(refusal.value)


def test_a_shape_that_is_larger_than_what_is_stored_is_refused(path: Path):
    content = path.read_bytes()
    shape, huge = (b"".join(size.to_bytes(8, "little") for size in sizes) for sizes in ((2, 2, 3), (2, 2**38, 3)))
    assert content.count(shape) >= 1
    path.write_bytes(content.replace(shape, huge))
    with pytest.raises(BadInput, match=f"/draws/overlap declares {2**42 * 3} bytes and stores 96"):
        read_arrays(path)


def test_a_name_cannot_write_into_the_terminal(path: Path):
    path.write_bytes(path.read_bytes().replace(b"overlap\0", b"over\n\x1b[\0"))
    with pytest.raises(BadInput, match=r"has the name 'over\\n\\x1b\['"):
        read_arrays(path)


def test_what_is_no_hdf5_file_of_the_oldest_format_is_refused(tmp_path: Path):
    newest, text, empty = tmp_path / "newest.h5", tmp_path / "text.h5", tmp_path / "empty.h5"
    with h5py.File(newest, "w", libver="latest") as file:
        file["draws/overlap"] = np.zeros(3)
    text.write_text("overlap = 1", encoding="utf-8")
    empty.touch()
    for path, words in ((newest, "superblock has version"), (text, "no HDF5 file"), (empty, "no HDF5 file")):
        with pytest.raises(BadInput, match=words):
            read_arrays(path)
    with pytest.raises(BadInput, match="No such file or directory"):
        read_arrays(tmp_path / "missing.h5")
    with pytest.raises(BadInput, match=r"no regular file|Is a directory"):
        read_arrays(tmp_path)


def test_nothing_waits_for_a_pipe(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.h5")
    with pytest.raises(BadInput, match="no regular file"):
        read_arrays(tmp_path / "pipe.h5")


def spoilt(content: bytes, seed: int) -> bytes:
    """Cut short, with some bits flipped, or with eight bytes replaced by an address inside the file."""
    numbers = np.random.default_rng(seed)
    changed, at = bytearray(content), int(numbers.integers(len(content) - 8))
    if seed % 3 == 0:
        return content[:at]
    if seed % 3 == 1:
        changed[at : at + 8] = int(numbers.integers(len(content))).to_bytes(8, "little")
    for _ in range(int(numbers.integers(1, 4)) if seed % 3 == 2 else 0):
        changed[int(numbers.integers(len(content)))] ^= 1 << int(numbers.integers(8))
    return bytes(changed)


def test_a_damaged_file_is_refused_or_read_as_it_was(path: Path):
    """In this process: nothing may crash, hang or raise anything else."""
    content, refused = path.read_bytes(), 0
    for seed in range(500):
        path.write_bytes(spoilt(content, seed))
        started = time.monotonic()
        try:
            arrays = read_arrays(path)
        except BadInput as refusal:
            refused += 1
            assert str(path) in str(refusal) and str(refusal).count("\n") == 0
        else:
            assert digest(arrays) == digest(ARRAYS), seed
        assert time.monotonic() - started < 5, seed
    assert 200 < refused < 500


def test_every_bit_of_the_values_counts(path: Path):
    content = path.read_bytes()
    at = content.index(np.asarray(ARRAYS["draws"]["overlap"]).tobytes())
    for bit in range(0, 8 * 96, 13):
        changed = bytearray(content)
        changed[at + bit // 8] ^= 1 << bit % 8
        path.write_bytes(bytes(changed))
        with pytest.raises(BadInput, match="does not match the digest"):
            read_arrays(path)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"draws": {"a/b": np.zeros(1)}}, "cannot hold the name 'a/b'"),
        ({"draws": {"": np.zeros(1)}}, "cannot hold the name ''"),
        ({"draws": {"a": np.array(["text"])}}, "draws/a of type <U4"),
        ({"draws": {"a": np.array([None])}}, "draws/a of type object"),
        ({"draws": {"a": np.zeros(1, complex)}}, "draws/a of type complex128"),
    ],
)
def test_what_could_not_be_read_is_not_written(arrays: dict[str, Any], words: str, tmp_path: Path):
    with pytest.raises(BadInput, match=words):
        publish_arrays(tmp_path / "a.h5", arrays, {})
    assert list(tmp_path.iterdir()) == []
