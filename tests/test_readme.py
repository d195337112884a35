"""README.md keeps its word: its Python and its commands run, its links lead somewhere."""

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from processes import ROOT, nishimori, python

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)

RUN_ELSEWHERE = {"scripts/test", "scripts/quickstart"}
"""The first runs this very test, and test_quickstart.py runs the second."""


def blocks(language: str) -> list[str]:
    return [text for found, text in BLOCKS if found == language]


def commands(block: str) -> list[list[str]]:
    """The words of every command of a bash block."""
    lines = (shlex.split(line, comments=True) for line in block.replace("\\\n", " ").splitlines())
    return [words for words in lines if words]


def checked(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_block_is_of_a_kind_that_is_run():
    assert {language for language, _ in BLOCKS} == {"bash", "python"}
    assert README.count("```") == 2 * len(BLOCKS)


OWN_SYSTEM = (ROOT / "scripts" / "examples" / "own_system.py").read_text(encoding="utf-8")
"""test_examples.py runs it."""
SNIPPETS = [text for text in blocks("python") if text != OWN_SYSTEM]


@pytest.mark.parametrize("block", SNIPPETS, ids=range(len(SNIPPETS)))
def test_a_python_block_runs(block: str, tmp_path: Path):
    assert checked(python("-X", "utf8", "-c", block, cwd=tmp_path)).strip()


@pytest.mark.parametrize("block", blocks("bash"), ids=range(len(blocks("bash"))))
def test_the_commands_of_a_bash_block_run(block: str, tmp_path: Path, request: pytest.FixtureRequest):
    """In order and in one directory; the quickstart's run is there already, so that `run` finds it finished, and the
    self-test is that of the session."""
    (tmp_path / "scripts").symlink_to(ROOT / "scripts")
    if "runs/quickstart" in block:
        shutil.copytree(request.getfixturevalue("quickstart"), tmp_path / "runs" / "quickstart")
    for words in commands(block):
        if words == ["nishimori", "selftest"]:
            assert "every law holds" in checked(request.getfixturevalue("selftest"))
        elif words[0] == "nishimori":
            assert checked(nishimori(*words[1:], cwd=tmp_path)).strip()
        else:
            assert " ".join(words) in RUN_ELSEWHERE
            assert os.access(ROOT / words[0], os.X_OK)


def test_the_system_that_is_shown_is_the_example():
    assert OWN_SYSTEM in blocks("python")


def test_local_links_lead_somewhere():
    links = re.findall(r"\]\(([^)#]+)\)", README)
    local = [link for link in links if "://" not in link]
    assert local
    assert [link for link in local if not (ROOT / link).exists()] == []
