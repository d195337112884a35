"""Every planted bug breaks the law that is named for it, and the source without it keeps that law."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from mutants.gate import (
    HERE,
    ROOT,
    Finding,
    Gate,
    Mutant,
    NoFindingError,
    apply,
    copy_source,
    examine,
    laws_of,
    mutants,
    table_rows,
)

MUTANTS = mutants()
LAWS = laws_of(MUTANTS)
CHEAPEST_LAW = "posterior/gradient"


@pytest.fixture(scope="module")
def gate(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    """Begins with all that was asked of this session, in its order, after one law, which compiles what copies share."""
    items = [item for item in request.session.items if item.path == request.path and isinstance(item, pytest.Function)]
    asked = {item.callspec.id for item in items if "mutant" in item.fixturenames}
    gate = Gate(tmp_path_factory.mktemp("mutants"))
    gate.start(LAWS[:1], [mutant for mutant in MUTANTS if mutant.name in asked])
    yield gate
    gate.stop()


@pytest.mark.parametrize("law", LAWS)
def test_the_source_keeps_the_law(selftest: subprocess.CompletedProcess[str], law: str):
    (line,) = [line for line in selftest.stdout.splitlines() if f" {law} " in line]
    assert line.split()[1] == "pass", line


def test_a_copy_of_the_source_keeps_it_too(gate: Gate):
    assert gate.of_law(LAWS[0]).holds, gate.of_law(LAWS[0])


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_planted_bug_breaks_its_law(gate: Gate, mutant: Mutant):
    assert gate.of_mutant(mutant.name).is_kill, gate.of_mutant(mutant.name)


def test_every_patch_is_listed():
    assert [mutant.patch for mutant in MUTANTS] == sorted(HERE.glob("*.patch"))
    assert len(MUTANTS) >= 15


def test_the_kill_table_is_that_of_the_mutants():
    rows = table_rows((HERE / "README.md").read_text(encoding="utf-8"))
    assert [row[:3] for row in rows] == [[mutant.name, mutant.plants, mutant.law] for mutant in MUTANTS]
    assert all(Finding(False, row[3], float(row[4])).is_kill for row in rows)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return copy_source(ROOT, tmp_path / "copy")


def patch_of(path: Path, file: str, before: str, after: str) -> Path:
    path.write_text(f"--- a/{file}\n+++ b/{file}\n@@ -1 +1 @@\n-{before}\n+{after}\n", encoding="utf-8")
    return path


FILE = "engine/nishimori/samplers/__init__.py"
FIRST_LINE = (ROOT / FILE).read_text(encoding="utf-8").splitlines()[0]


def test_a_patch_must_meet_the_lines_it_changes(copy: Path, tmp_path: Path):
    with pytest.raises(NoFindingError, match="x.patch no longer applies"):
        apply(patch_of(tmp_path / "x.patch", FILE, FIRST_LINE + " ", "pass"), copy)


def test_a_patch_may_change_the_product_alone(copy: Path, tmp_path: Path):
    (copy / "README.md").write_text("a\n", encoding="utf-8")
    with pytest.raises(NoFindingError, match="x.patch no longer applies"):
        apply(patch_of(tmp_path / "x.patch", "README.md", "a", "b"), copy)


def test_a_mutant_that_cannot_be_imported_is_not_killed(copy: Path, tmp_path: Path):
    apply(patch_of(tmp_path / "x.patch", FILE, FIRST_LINE, "import nothing_of_this_name"), copy)
    with pytest.raises(NoFindingError, match=re.compile("died with code 1.*nothing_of_this_name", re.DOTALL)):
        examine(copy, CHEAPEST_LAW)


def test_a_mutant_that_changes_nothing_is_not_killed(copy: Path, tmp_path: Path):
    apply(patch_of(tmp_path / "x.patch", FILE, FIRST_LINE, '"""Samplers."""'), copy)
    assert not examine(copy, CHEAPEST_LAW).is_kill


@pytest.mark.parametrize("z", [float("nan"), float("inf"), 3.9])
def test_only_a_measured_deviation_is_a_kill(z: float):
    assert not Finding(False, "mean", z).is_kill
    assert Finding(False, "mean", -4.1).is_kill and not Finding(True, "mean", -4.1).is_kill
