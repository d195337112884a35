"""The studies of scripts/studies run as they stand, and refuse what they cannot do."""

import csv

import pytest
from processes import ROOT, python

STUDIES = sorted((ROOT / "scripts" / "studies").glob("*.py"))
SPECIALISATION = str(ROOT / "scripts" / "studies" / "specialisation.py")
SMALL = ("--dim", "4", "--instances", "2", "--warmup", "5", "--draws", "8")


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_the_readme_names_a_study(path):
    assert f"scripts/studies/{path.name}" in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_a_study_tells_its_options(path):
    done = python(str(path), "--help")
    assert done.returncode == 0 and "--alpha" in done.stdout, done.stderr


def test_specialisation_writes_its_table_and_figure(tmp_path):
    done = python(SPECIALISATION, *SMALL, "--alpha", "0.5", "3", "--out", "found", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("the starts ") == 2
    with (tmp_path / "found" / "specialisation.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["samples"], row["start"], row["observable"]) for row in rows] == [
        (samples, start, name)
        for samples in ("8", "48")
        for start in ("teacher", "prior")
        for name in ("gibbs_error", "weight_overlap_1")
    ]
    assert [row["informed"] == "" for row in rows] == [True] * 4 + [False] * 4
    assert (tmp_path / "found" / "specialisation.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--dim", "1"), "--dim 1 is too small: give 2 or more"),
        (("--instances", "1"), "--instances 1 is too small: give 2 or more"),
        (("--alpha", "1", "-2"), "must be finite and greater than 0: give other values"),
    ],
)
def test_specialisation_refuses_what_it_cannot_do(arguments, sentence):
    done = python(SPECIALISATION, *arguments)
    assert done.returncode == 2 and sentence in done.stderr
