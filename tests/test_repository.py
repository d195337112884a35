"""What the repository holds, and what it must not."""

import ast
import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MACHINE_PATH = re.compile(r"(^|[^a-zA-Z0-9_.])/(work|farm|tmp|root|opt)/", re.MULTILINE)
ENTRIES = (
    ".ci/run",
    ".gitignore",
    "CHANGELOG.md",
    "CITATION.cff",
    "LICENSE",
    "README.md",
    "bench/README.md",
    "constraints.txt",
    "engine/nishimori",
    "kernels/nishimori_kernels",
    "pyproject.toml",
    "scripts/experiments/quickstart.toml",
    "tests",
)
EXECUTABLES = (".ci/run", "scripts/quickstart", "scripts/test")
PACKAGES = [ROOT / "engine/nishimori", ROOT / "kernels/nishimori_kernels"]


def kept_files() -> list[Path]:
    """Files of the repository, those about to be added included."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    # The checkout may belong to another user than the one who tests it.
    command = [
        "git",
        "-c",
        "safe.directory=*",
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]


def text_of(path: Path) -> str:
    """The text of a file, empty for a binary one."""
    content = path.read_bytes()
    return "" if b"\0" in content else content.decode("utf-8")


def test_no_file_names_a_path_of_one_machine():
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in kept_files()
        for line in text_of(path).splitlines()
        if MACHINE_PATH.search(line)
    ]
    assert found == []


@pytest.mark.parametrize("entry", ENTRIES)
def test_the_entry_exists(entry: str):
    assert (ROOT / entry).exists()


@pytest.mark.parametrize("script", EXECUTABLES)
def test_the_script_can_be_executed(script: str):
    assert os.access(ROOT / script, os.X_OK)
    assert (ROOT / script).read_text(encoding="utf-8").startswith("#!/usr/bin/env bash\n")


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_every_subpackage_says_what_it_is(package: Path):
    folders = {path.parent for path in package.rglob("*.py")}
    silent = [
        str(folder.relative_to(ROOT))
        for folder in sorted(folders)
        if not (initial := folder / "__init__.py").exists() or not ast.get_docstring(ast.parse(text_of(initial)))
    ]
    assert silent == []


def test_versions_agree():
    texts = {name: (ROOT / name).read_text(encoding="utf-8") for name in ("pyproject.toml", "CITATION.cff")}
    module = (ROOT / "engine/nishimori/__init__.py").read_text(encoding="utf-8")
    found = {
        re.search(r'^version = "(.+)"$', texts["pyproject.toml"], re.MULTILINE),
        re.search(r"^version: (.+)$", texts["CITATION.cff"], re.MULTILINE),
        re.search(r'^__version__ = "(.+)"$', module, re.MULTILINE),
    }
    assert len({match and match.group(1) for match in found}) == 1


def test_nothing_draws_from_a_stateful_generator():
    """Product randomness has an address; a generator's state would make a draw depend on what was drawn before."""
    stateful = re.compile(
        r"torch\.(rand|randn|randint|normal|bernoulli|manual_seed|Generator)\b|np\.random|^import random"
    )
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for package in PACKAGES
        for path in package.rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if stateful.search(line)
    ]
    assert found == []
