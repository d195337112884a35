"""One writer a directory: who is refused, who takes over, and what a lock file says."""

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from processes import ENVIRONMENT

from nishimori.chains import lock as locks
from nishimori.chains.files import DirectoryBusy, StorageFailed, exclusive
from nishimori.chains.lock import holder_of
from nishimori.chains.storage import operations

HOLD = """
import sys, time
from pathlib import Path
from nishimori.chains.files import exclusive
with exclusive(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@contextmanager
def another_writer(directory: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock of `directory` until it is killed."""
    command = [sys.executable, "-c", HOLD, str(directory)]
    with subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None and process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def write_holder(directory: Path, **changed: object) -> bytes:
    now = time.time()
    record = {"host": "another", "pid": 77, "started": now - 100, "heartbeat": now} | changed
    content = json.dumps(record).encode()
    (directory / "lock").write_bytes(content)
    return content


def test_the_second_writer_is_refused_and_changes_nothing(tmp_path: Path):
    with another_writer(tmp_path) as writer:
        (tmp_path / ".0.tmp.file").touch()
        before = (tmp_path / "lock").read_bytes(), (tmp_path / "lock").stat().st_mtime_ns
        started = time.monotonic()
        with pytest.raises(DirectoryBusy) as refusal, exclusive(tmp_path):
            pytest.fail("two writers")
        assert time.monotonic() - started < 1
        sentence = str(refusal.value)
        assert all(word in sentence for word in (str(tmp_path), socket.gethostname(), f"{writer.pid}", "stop it"))
        assert ((tmp_path / "lock").read_bytes(), (tmp_path / "lock").stat().st_mtime_ns) == before
        assert sorted(os.listdir(tmp_path)) == [".0.tmp.file", "lock"]


def test_the_lock_of_a_killed_process_is_taken_over_and_its_rests_are_removed(tmp_path: Path):
    with another_writer(tmp_path) as writer:
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    named = holder_of(tmp_path)
    assert named is not None and (named.host, named.pid) == (socket.gethostname(), writer.pid)
    (tmp_path / f".{socket.gethostname()}@{writer.pid}.tmp.file").touch()
    with exclusive(tmp_path):
        mine = holder_of(tmp_path)
        assert mine is not None and mine.pid == os.getpid()
        assert os.listdir(tmp_path) == ["lock"]


@pytest.mark.parametrize("fails", [False, True])
def test_after_a_clean_end_the_lock_is_nobodys(fails: bool, tmp_path: Path):
    directory = tmp_path / "new" / "point"
    try:
        with exclusive(directory):
            record = json.loads((directory / "lock").read_bytes())
            assert record.keys() == {"host", "pid", "started", "heartbeat"}
            assert (record["host"], record["pid"]) == (socket.gethostname(), os.getpid())
            assert abs(time.time() - record["heartbeat"]) < 60
            if fails:
                raise KeyboardInterrupt
    except KeyboardInterrupt:
        assert fails
    assert holder_of(directory) is None
    assert (directory / "lock").read_bytes() == b""
    with exclusive(directory):
        pass


def test_one_process_does_not_hold_a_directory_twice(tmp_path: Path):
    with exclusive(tmp_path):
        with pytest.raises(DirectoryBusy, match=str(os.getpid())), exclusive(tmp_path):
            pytest.fail("two writers")
        named = holder_of(tmp_path)
        assert named is not None and named.pid == os.getpid()


@pytest.mark.parametrize("ago", [0.0, 50.0, -3000.0])
def test_a_living_writer_on_another_host_is_believed_although_flock_is_free(ago: float, tmp_path: Path):
    content = write_holder(tmp_path, heartbeat=time.time() - ago)
    with pytest.raises(DirectoryBusy, match="process 77 on another"), exclusive(tmp_path):
        pytest.fail("two writers")
    assert (tmp_path / "lock").read_bytes() == content


@pytest.mark.parametrize(
    "changed",
    [{"heartbeat": time.time() - 3600}, {"host": socket.gethostname(), "pid": 2**22 + 1}, {"pid": "many"}],
    ids=["silent for long", "dead process of this host", "illegible"],
)
def test_who_is_dead_or_nobody_is_taken_over(changed: dict[str, object], tmp_path: Path):
    write_holder(tmp_path, padding="x" * 500, **changed)
    with exclusive(tmp_path):
        named = holder_of(tmp_path)
        assert named is not None and named.pid == os.getpid()


def test_a_heartbeat_is_written_once_in_ten_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with exclusive(tmp_path) as lock:
        first = holder_of(tmp_path)
        lock.beat()
        assert holder_of(tmp_path) == first
        monkeypatch.setattr(locks, "BETWEEN_BEATS", 0.0)
        lock.beat()
        second = holder_of(tmp_path)
        assert first is not None and second is not None
        assert second.heartbeat > first.heartbeat and second.started == first.started


@pytest.mark.parametrize("call", ["pwrite", "fsync"])
def test_a_heartbeat_that_cannot_be_written_is_tried_again_until_others_might_believe_it(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(locks, "BETWEEN_BEATS", 0.0)
    with exclusive(tmp_path) as lock:
        first = holder_of(tmp_path)
        with monkeypatch.context() as patched:
            patched.setattr(operations, call, failing)
            lock.beat()
            patched.setattr(locks, "LONGEST_SILENCE", 0.0)
            with pytest.raises(StorageFailed, match=r"lock cannot be written \(Input/output error\); .*run again"):
                lock.beat()
        lock.beat()
        second = holder_of(tmp_path)
        assert first is not None and second is not None and second.heartbeat > first.heartbeat


@pytest.mark.parametrize("call", ["pwrite", "fsync"])
def test_who_cannot_write_a_name_leaves_none(call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with monkeypatch.context() as patched:
        patched.setattr(operations, call, failing)
        with pytest.raises(StorageFailed, match="lock cannot be written"), exclusive(tmp_path):
            pytest.fail("nobody knows who writes")
    assert holder_of(tmp_path) is None
    with exclusive(tmp_path):
        pass


def test_half_a_name_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(operations, "pwrite", lambda descriptor, record, at: os.pwrite(descriptor, record[:20], at))
    with pytest.raises(StorageFailed, match="No space left on device"), exclusive(tmp_path):
        pytest.fail("nobody knows who writes")


def test_what_closing_the_lock_says_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with exclusive(tmp_path):
        monkeypatch.setattr(operations, "close", lambda descriptor: (os.close(descriptor), failing()))
    assert holder_of(tmp_path) is None


def failing(*_: object) -> int:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_a_writer_that_was_taken_over_stops_and_leaves_the_lock_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(locks, "BETWEEN_BEATS", 0.0)
    with exclusive(tmp_path) as lock:
        content = write_holder(tmp_path)
        with pytest.raises(DirectoryBusy, match="lock is no longer .* process 77 on another took it over; let one"):
            lock.beat()
    assert (tmp_path / "lock").read_bytes() == content


def test_a_removed_lock_file_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(locks, "BETWEEN_BEATS", 0.0)
    with exclusive(tmp_path) as lock:
        (tmp_path / "lock").unlink()
        with pytest.raises(DirectoryBusy, match="removed or emptied"):
            lock.beat()


def test_what_cannot_be_locked_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "elsewhere").write_text("precious", encoding="utf-8")
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageFailed, match="lock cannot be written"), exclusive(tmp_path):
        pytest.fail("a link is no lock")
    assert (tmp_path / "elsewhere").read_text(encoding="utf-8") == "precious"
    with pytest.raises(StorageFailed, match="Not a directory"), exclusive(tmp_path / "elsewhere" / "below"):
        pytest.fail("a file is no directory")

    def refused(descriptor: int, operation: int) -> None:
        raise OSError(38, os.strerror(38))

    monkeypatch.setattr(locks.fcntl, "flock", refused)
    with pytest.raises(StorageFailed, match="use a file system that supports flock"), exclusive(tmp_path / "new"):
        pytest.fail("not locked")
