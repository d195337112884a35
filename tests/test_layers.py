"""The import contract of pyproject.toml is kept, and breaks where an import points the wrong way."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = ("engine", "kernels")
RULES = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
NAMES = {contract["id"]: contract["name"] for contract in RULES["contracts"]}

VIOLATIONS = [
    ("layers", "engine/nishimori/models/problem.py", "from nishimori.chains import loop"),
    ("layers", "engine/nishimori/measurement/overlaps.py", "from nishimori.theory import coefficients"),
    ("layers", "engine/nishimori/sampling.py", "import nishimori.systems"),
    ("theory", "engine/nishimori/theory/gaussian.py", "from nishimori.chains import loop"),
    ("theory", "engine/nishimori/theory/coefficients.py", "def late():\n    import nishimori_kernels"),
    ("description", "engine/nishimori/description/network.py", "import numba"),
    ("figures", "engine/nishimori/measurement/overlaps.py", "import matplotlib.pyplot"),
    ("ground", "kernels/nishimori_kernels/rng/keys.py", "import nishimori.description"),
    ("top", "engine/nishimori/theory/gaussian.py", "from nishimori import sample"),
]


def lint_imports(root: Path) -> subprocess.CompletedProcess[str]:
    """Check the contract on the sources under `root`, which shadow any installed ones."""
    program = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    return subprocess.run(
        [sys.executable, "-P", "-c", program, "--no-cache", "--no-logo"],
        cwd=root,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(str(root / source) for source in SOURCES)},
        capture_output=True,
        text=True,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for source in SOURCES:
        shutil.copytree(ROOT / source, tmp_path / source, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def test_the_contract_is_kept():
    result = lint_imports(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"Contracts: {len(NAMES)} kept, 0 broken." in result.stdout


@pytest.mark.parametrize(("contract", "file", "line"), VIOLATIONS)
def test_a_planted_violation_is_reported(copy: Path, contract: str, file: str, line: str):
    with (copy / file).open("a", encoding="utf-8") as source:
        source.write(f"\n{line}\n")
    result = lint_imports(copy)
    assert result.returncode == 1, result.stdout + result.stderr
    assert f"{NAMES[contract]} BROKEN" in result.stdout
    offender = ".".join(Path(file).with_suffix("").parts[1:])
    assert re.search(rf"^- +{re.escape(offender)} -> ", result.stdout, re.MULTILINE), result.stdout


def test_an_import_for_type_checking_alone_is_no_violation(copy: Path):
    with (copy / "engine/nishimori/theory/gaussian.py").open("a", encoding="utf-8") as source:
        source.write("\nfrom typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    from nishimori.chains import loop\n")
    result = lint_imports(copy)
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_module_has_a_layer():
    layers = {contract["id"]: contract.get("layers") for contract in RULES["contracts"]}["layers"]
    named = {name.strip(" ()") for layer in layers for name in layer.split("|")}
    found = {
        f"nishimori.{path.stem}"
        for path in (ROOT / "engine/nishimori").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert found - {"nishimori.__init__"} <= named
