"""README.md keeps its word: its Python and its commands run, its links lead somewhere."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
NISHIMORI = "import sys; from nishimori.cli import main; sys.exit(main())"

RUN_ELSEWHERE = {"scripts/test", "scripts/quickstart"}
"""The first runs this very test, and test_quickstart.py runs the second."""


def blocks(language: str) -> list[str]:
    return [text for found, text in BLOCKS if found == language]


def commands(block: str) -> list[list[str]]:
    """The words of every command of a bash block."""
    lines = (shlex.split(line, comments=True) for line in block.replace("\\\n", " ").splitlines())
    return [words for words in lines if words]


def python(*arguments: str, cwd: Path) -> str:
    path = os.pathsep.join(str(ROOT / source) for source in ("engine", "kernels"))
    environment = os.environ | {"PYTHONPATH": path, "PYTHONIOENCODING": "utf-8"}
    result = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_every_block_is_of_a_kind_that_is_run():
    assert {language for language, _ in BLOCKS} == {"bash", "python"}
    assert README.count("```") == 2 * len(BLOCKS)


@pytest.mark.parametrize("block", blocks("python"), ids=range(len(blocks("python"))))
def test_a_python_block_runs(block: str, tmp_path: Path):
    assert python("-c", block, cwd=tmp_path).strip()


@pytest.mark.parametrize("block", blocks("bash"), ids=range(len(blocks("bash"))))
def test_the_commands_of_a_bash_block_run(block: str, tmp_path: Path):
    """In order and in one directory, so that a command finds what the ones before it left."""
    (tmp_path / "scripts").symlink_to(ROOT / "scripts")
    for words in commands(block):
        if words[0] == "nishimori":
            assert python("-c", NISHIMORI, *words[1:], cwd=tmp_path).strip()
        else:
            assert " ".join(words) in RUN_ELSEWHERE
            assert os.access(ROOT / words[0], os.X_OK)


def test_local_links_lead_somewhere():
    links = re.findall(r"\]\(([^)#]+)\)", README)
    local = [link for link in links if "://" not in link]
    assert local
    assert [link for link in local if not (ROOT / link).exists()] == []
