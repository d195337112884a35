"""What importing costs: nothing heavy before it is used, and no work at all."""

import json
from collections.abc import Sequence

import pytest
from processes import python

import nishimori

HEAVY = {"torch", "numba", "triton"}
HELP = [[], ["overlay"], ["status"], ["audit"], ["export"], ["plan"], ["run"]]
THEORY = ["theory", "--activation", "tanh", "--depth", "2", "--sample-ratio", "2", "--noise-variance", "0.1"]

COMMAND = """
import json, sys
from nishimori.cli import main
try:
    code = main(json.loads(sys.argv[1]))
except SystemExit as stop:
    code = stop.code
print(json.dumps({"code": code or 0, "modules": sorted(sys.modules)}), file=sys.stderr)
"""

EVERY_MODULE = """
import importlib, pkgutil
for root in ("nishimori", "nishimori_kernels"):
    package = importlib.import_module(root)
    for module in pkgutil.walk_packages(package.__path__, root + "."):
        if not module.name.endswith(".__main__"):
            importlib.import_module(module.name)
"""


def command(arguments: Sequence[str]) -> tuple[int, set[str], str]:
    """Exit code, imported modules and standard output of `nishimori ARGUMENTS` in a fresh process."""
    result = python("-c", COMMAND, json.dumps(list(arguments)))
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stderr.splitlines()[-1])
    return report["code"], set(report["modules"]), result.stdout


def test_the_package_imports_nothing_heavy():
    result = python("-c", "import sys, nishimori; nishimori.theory.predict; print(*sys.modules)")
    assert result.returncode == 0, result.stderr
    assert "nishimori.theory" in result.stdout.split()
    assert not HEAVY & set(result.stdout.split())


@pytest.mark.parametrize("arguments", [*([*words, "--help"] for words in HELP), THEORY], ids=" ".join)
def test_a_light_command_imports_nothing_heavy(arguments: list[str]):
    code, modules, output = command(arguments)
    assert code == 0
    assert not HEAVY & modules
    assert output.strip()


def test_theory_prints_one_json_object():
    code, modules, output = command([*THEORY, "--json"])
    assert code == 0
    assert not HEAVY & modules
    assert {"overlap", "bayes_error", "generalization_error"} <= json.loads(output).keys()


@pytest.mark.parametrize("name", nishimori.__all__)
def test_every_public_name_resolves(name: str):
    assert getattr(nishimori, name) is not None
    assert name in dir(nishimori)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nonsense"):
        _ = nishimori.nonsense


def test_no_module_works_or_speaks_at_import():
    result = python("-W", "error", "-c", EVERY_MODULE)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
