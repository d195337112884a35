"""Every example in scripts/examples runs as it stands and its chains pass their verdict."""

import pytest
from processes import ROOT, python

EXAMPLES = sorted((ROOT / "scripts" / "examples").glob("*.py"))


def test_there_are_examples():
    assert {path.stem for path in EXAMPLES} >= {"logistic_regression", "own_module", "custom_observable"}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs_and_converges(path, tmp_path):
    done = python(str(path), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "verdict: passed" in done.stdout, done.stdout


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_readme_names_an_example(path):
    assert f"scripts/examples/{path.name}" in (ROOT / "README.md").read_text(encoding="utf-8")
