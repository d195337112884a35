"""Compiled kernels are kept on the node, where nobody else can put theirs."""

import os
import tempfile
from pathlib import Path

import pytest

from nishimori_kernels.cache import VARIABLE, keep_compiled_kernels_here


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def chosen(monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv(VARIABLE, raising=False)
    keep_compiled_kernels_here()
    return Path(os.environ[VARIABLE])


def test_processes_of_a_user_share_a_private_folder(temporary: Path, monkeypatch: pytest.MonkeyPatch):
    folder = chosen(monkeypatch)
    assert folder.parent == temporary and folder.stat().st_mode & 0o777 == 0o700
    assert chosen(monkeypatch) == folder


def test_what_the_environment_says_is_left_alone(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(VARIABLE, "/somewhere")
    keep_compiled_kernels_here()
    assert os.environ[VARIABLE] == "/somewhere"


@pytest.mark.parametrize("taken", ["open", "link", "file"])
def test_a_folder_that_others_can_write_to_is_not_used(temporary: Path, taken: str, monkeypatch: pytest.MonkeyPatch):
    name = temporary / f"nishimori-triton-{os.getuid()}"
    if taken == "open":
        name.mkdir()
        name.chmod(0o777)
    elif taken == "link":
        (temporary / "elsewhere").mkdir(mode=0o700)
        name.symlink_to(temporary / "elsewhere")
    else:
        name.write_text("")
    folder = chosen(monkeypatch)
    assert folder != name and folder.is_dir() and folder.stat().st_mode & 0o777 == 0o700
