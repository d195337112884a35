"""Publishing: whole, absent or as before, at whatever system call the storage fails."""

import errno
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from nishimori.chains import storage
from nishimori.chains.files import StorageFailed, publish, publish_bytes, publish_json, quarantine
from nishimori.chains.segments import publish_arrays, read_arrays
from nishimori.chains.storage import Operations
from nishimori.chains.temporaries import sweep, temporary_of

OPERATIONS = [field.name for field in fields(Operations)]
FATAL = [errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOENT, errno.EINVAL]
OLD, NEW = b"old and whole", b"new" * 1000
MOST_CALLS = 9
FAILURES = {
    "mkdir": {1, 2},
    "open": {1, 2},
    "write": {1},
    "pwrite": set(),
    "fsync": {1, 2},
    "close": {1, 2},
    "replace": {1},
    "unlink": set(),
}
"""Of every system call those that end the publishing of bytes; through a path there are more."""


class FailsOnce:
    """A system call that fails at one of its calls, before it does anything; close closes all the same."""

    def __init__(self, name: str, at: int, number: int) -> None:
        self.original: Callable[..., Any] = getattr(Operations(), name)
        self.closes, self.at, self.number, self.calls = name == "close", at, number, 0

    def __call__(self, *arguments: Any) -> Any:
        self.calls += 1
        if self.calls != self.at:
            return self.original(*arguments)
        if self.closes:
            self.original(*arguments)
        raise OSError(self.number, os.strerror(self.number))


def visible(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir() if not path.name.startswith("."))


def through_a_path(path: Path, content: bytes) -> None:
    publish(path, lambda temporary: storage.write_synced(temporary, content))


@pytest.mark.parametrize("publishes", [publish_bytes, through_a_path])
@pytest.mark.parametrize("name", OPERATIONS)
def test_a_failure_at_any_call_leaves_old_or_new_and_is_told(
    name: str, publishes: Callable[[Path, bytes], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    told = set()
    for number in FATAL:
        for at in range(1, MOST_CALLS):
            path = tmp_path / f"{number}-{at}" / "deep" / "file"
            if name != "mkdir":
                path.parent.mkdir(parents=True)
                path.write_bytes(OLD)
            failing = FailsOnce(name, at, number)
            with monkeypatch.context() as patched:
                patched.setattr(storage.operations, name, failing)
                try:
                    publishes(path, NEW)
                except StorageFailed as refusal:
                    assert str(path) in str(refusal) and os.strerror(number) in str(refusal)
                    assert "then run again" in str(refusal)
                    told.add(at)
                else:
                    assert path.read_bytes() == NEW
            _require_whole(path, untouched=name in ("write", "replace") and at in told)
            if failing.calls < at:
                break
            publishes(path, NEW)
            assert path.read_bytes() == NEW and os.listdir(path.parent) == ["file"]
        else:
            pytest.fail(f"{name} is called more than {MOST_CALLS} times")
    assert told == FAILURES[name] or (publishes is through_a_path and told > FAILURES[name])


def _require_whole(path: Path, untouched: bool) -> None:
    """Nothing but the file is left there, with its old content or all of the new."""
    assert not path.parent.exists() or os.listdir(path.parent) in ([], ["file"])
    assert not path.exists() or path.read_bytes() in ((OLD,) if untouched else (OLD, NEW))


@pytest.mark.parametrize("name", OPERATIONS)
def test_interrupted_calls_are_repeated(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for at in range(1, MOST_CALLS):
        path = tmp_path / str(at) / "file"
        failing = FailsOnce(name, at, errno.EINTR)
        with monkeypatch.context() as patched:
            patched.setattr(storage.operations, name, failing)
            publish_bytes(path, NEW)
        assert path.read_bytes() == NEW
        assert os.listdir(path.parent) == ["file"]
        if failing.calls < at:
            break


def test_a_temporary_that_cannot_be_removed_does_not_hide_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with monkeypatch.context() as patched:
        patched.setattr(storage.operations, "fsync", FailsOnce("fsync", 1, errno.ENOSPC))
        patched.setattr(storage.operations, "unlink", FailsOnce("unlink", 1, errno.EIO))
        with pytest.raises(StorageFailed, match="No space left on device.*free space there, then run again"):
            publish_bytes(tmp_path / "file", NEW)
    assert visible(tmp_path) == []
    publish_bytes(tmp_path / "file", NEW)
    assert os.listdir(tmp_path) == ["file"]


def test_writes_may_be_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def short(descriptor: int, content: memoryview) -> int:
        return os.write(descriptor, content[:7])

    monkeypatch.setattr(storage.operations, "write", short)
    publish_bytes(tmp_path / "file", NEW)
    assert (tmp_path / "file").read_bytes() == NEW


def test_content_and_directory_are_synced_around_the_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    told = []
    for name in ("write", "fsync", "replace", "mkdir"):
        original = getattr(Operations(), name)

        def telling(*arguments: Any, name: str = name, original: Callable[..., Any] = original) -> Any:
            told.append(name)
            return original(*arguments)

        monkeypatch.setattr(storage.operations, name, telling)
    publish_bytes(tmp_path / "new" / "file", NEW)
    assert told == ["mkdir", "fsync", "write", "fsync", "replace", "fsync"]


def test_a_file_system_that_syncs_no_directories_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(storage.operations, "fsync", FailsOnce("fsync", 2, errno.EINVAL))
    publish_bytes(tmp_path / "file", NEW)
    assert (tmp_path / "file").read_bytes() == NEW


def test_what_hdf5_says_of_a_full_device_is_told(tmp_path: Path):
    def full(temporary: Path) -> None:
        temporary.write_bytes(b"half")
        raise RuntimeError("Can't decrement id ref count (file write failed: errno = 28, error message = '...')")

    with pytest.raises(StorageFailed, match="No space left on device"):
        publish(tmp_path / "file", full)
    assert os.listdir(tmp_path) == []


def test_an_error_of_the_writer_is_no_failure_of_the_storage(tmp_path: Path):
    def broken(temporary: Path) -> None:
        temporary.write_bytes(b"half")
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ") as error:
        publish(tmp_path / "file", broken)
    assert not isinstance(error.value, StorageFailed)
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full; run on Linux")
def test_a_device_that_is_full_in_earnest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(path: Path, flags: int, mode: int = 0o777) -> int:
        return os.open("/dev/full" if flags & os.O_WRONLY else path, os.O_WRONLY if flags & os.O_WRONLY else flags)

    monkeypatch.setattr(storage.operations, "open", full)
    with pytest.raises(StorageFailed, match=r"segment\.h5 cannot be written \(No space left on device\); free space"):
        publish_arrays(tmp_path / "segment.h5", {"draws": {"overlap": np.zeros(100)}}, {})
    assert os.listdir(tmp_path) == []


def test_files_are_plain_and_of_the_oldest_format(tmp_path: Path):
    path = tmp_path / "000000.h5"
    arrays = {"draws": {"overlap": np.arange(6.0).reshape(1, 2, 3)}}
    content = publish_arrays(path, arrays, {"segment": 3, "previous": "ab"})
    assert path.read_bytes()[8] == 0
    with h5py.File(path, "r") as file:
        assert {name: file.attrs[name] for name in file.attrs if name != "seal"} == {
            "schema": 1,
            "digest": content,
            "segment": 3,
            "previous": "ab",
        }
        np.testing.assert_array_equal(file["draws/overlap"], arrays["draws"]["overlap"])  # pyright: ignore[reportArgumentType]
    np.testing.assert_array_equal(read_arrays(path)["draws"]["overlap"], arrays["draws"]["overlap"])


def test_json_is_text_and_has_no_nan(tmp_path: Path):
    publish_json(tmp_path / "a.json", {"value": float("nan"), "list": (1, float("inf"))})
    assert (tmp_path / "a.json").read_text(
        encoding="utf-8"
    ) == '{\n  "value": null,\n  "list": [\n    1,\n    null\n  ]\n}\n'


@pytest.fixture
def dead() -> int:
    """The number of a process that ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_sweep_removes_what_dead_writers_left_and_nothing_else(tmp_path: Path, dead: int):
    host = socket.gethostname()
    gone = [tmp_path / f".{host}@{dead}.tmp.a", tmp_path / "segments" / f".{dead}.tmp.000001.h5", tmp_path / ".0.tmp.b"]
    stale = tmp_path / ".another.host@1.tmp.c"
    kept = [
        temporary_of(tmp_path / "a"),
        tmp_path / f".{os.getppid()}.tmp.a",
        tmp_path / ".another.host@1.tmp.d",
        tmp_path / "held" / f".{dead}.tmp.a",
        tmp_path / "held" / "lock",
        tmp_path / "lock",
        tmp_path / f"{dead}.tmp.a",
        tmp_path / ".hidden",
    ]
    for path in (*gone, stale, *kept):
        path.parent.mkdir(exist_ok=True)
        path.touch()
    os.utime(stale, (0, 0))
    assert set(sweep(tmp_path)) == {*gone, stale}
    assert all(path.exists() for path in kept)
    assert sweep(tmp_path) == []


def test_a_damaged_file_is_set_aside_under_a_free_name(tmp_path: Path):
    path, names = tmp_path / "000001.h5", []
    for content in "abc":
        path.write_text(content, encoding="utf-8")
        aside = quarantine(path)
        assert aside.read_text(encoding="utf-8") == content and not path.exists()
        names.append(aside.name)
    assert names == ["000001.h5.damaged", "000001.h5.damaged-2", "000001.h5.damaged-3"]
    with pytest.raises(StorageFailed, match="No such file"):
        quarantine(path)
